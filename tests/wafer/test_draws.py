"""Drawn masks follow the law of real ones, by inversion and cell by cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.wafer.dataflow import counts_of_mask, window_rows
from wse_sim.wafer.draws import drawn_counts, drawn_fullest
from wse_sim.workload.sparsity import exact_nonzeros

SEEDS = range(400)
DRAW_OF_Q = [133, 132, 134, 139, 128, 138, 135, 146, 138, 141]


def real_counts(n_out: int, n_in: int, n_nonzeros: int, group: int, rows: int, seed: int) -> np.ndarray:
    """Of a mask drawn place by place."""
    mask = np.zeros(n_out * n_in, bool)
    mask[np.random.default_rng(seed).choice(mask.size, n_nonzeros, replace=False)] = True
    return counts_of_mask(mask.reshape(n_out, n_in), group, rows)


def cell_counts(n_out: int, n_in: int, n_nonzeros: int, group: int, rows: int, seed: int) -> np.ndarray:
    """Of a mask drawn cell by cell."""
    slots = np.outer(window_rows(n_out, rows), window_rows(n_in, group))
    densities = np.full(slots.shape, n_nonzeros / (n_out * n_in))
    return drawn_counts(slots, densities, n_nonzeros, np.random.default_rng(seed))


def assert_same_mean(a: np.ndarray, b: np.ndarray, bias: float) -> None:
    """Means agree within four standard errors and the relative `bias` that the law is known to have."""
    standard_error = np.hypot(a.std() / len(a) ** 0.5, b.std() / len(b) ** 0.5)
    assert abs(a.mean() - b.mean()) < 4 * standard_error + bias * a.mean()


def test_the_inverted_law_is_that_of_real_masks() -> None:
    """180 cells: independent columns lose 0.2 % of the maximum, by 3,000 draws of each (physics.md)."""
    shape = (96, 120, exact_nonzeros(96 * 120, 0.25), 4, 16)
    real = np.array([real_counts(*shape, seed).max(axis=1).sum() for seed in SEEDS])
    drawn = np.array([drawn_fullest(*shape, seed, "w").sum() for seed in SEEDS])
    assert_same_mean(real, drawn, bias=0.003)
    assert drawn.std() == pytest.approx(real.std(), rel=0.2)


def test_the_inverted_law_has_no_bias_at_full_size() -> None:
    """6,400 cells, a 2560-wide layer on a CS-2, against masks drawn cell by cell."""
    shape = (2560, 2560, exact_nonzeros(2560**2, 0.25), 4, 256)
    cells = np.array([cell_counts(*shape, seed).max(axis=1).sum() for seed in SEEDS])
    drawn = np.array([drawn_fullest(*shape, seed, "w").sum() for seed in SEEDS])
    assert_same_mean(cells, drawn, bias=0.0)
    assert drawn.std() == pytest.approx(cells.std(), rel=0.2)


def test_cells_follow_the_law_of_real_masks() -> None:
    """Mean and spread of one cell and of the fullest, an exact total, and last rows and channels that are fewer."""
    shape = (50, 22, 300, 4, 16)
    real = np.array([real_counts(*shape, seed) for seed in SEEDS])
    cells = np.array([cell_counts(*shape, 1_000 + seed) for seed in SEEDS])
    assert real.shape == cells.shape == (400, 4, 6)
    assert set(cells.sum(axis=(1, 2))) == {300}
    for statistic in (lambda c: c[:, 0, 0], lambda c: c[:, 3, 5], lambda c: c.max(axis=2).sum(axis=1)):
        assert_same_mean(statistic(real), statistic(cells), bias=0.0)
        assert statistic(cells).std() == pytest.approx(statistic(real).std(), rel=0.2)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1), st.integers(1, 40), st.integers(1, 400))
def test_the_fullest_column_holds_what_it_must_and_what_it_can(
    n_out: int, n_in: int, density: float, group: int, rows: int
) -> None:
    n_nonzeros = max(1, int(density * n_out * n_in))
    fullest = drawn_fullest(n_out, n_in, n_nonzeros, min(group, n_in), rows, 0, "w")
    slots = window_rows(n_out, rows) * min(group, n_in)
    assert fullest.any()
    assert np.all(fullest <= np.minimum(slots, n_nonzeros))
    if n_nonzeros == n_out * n_in:
        assert fullest.tolist() == slots.tolist()
    # The places that are not taken cannot fill a column beyond this.
    assert np.all(fullest >= slots - (n_out * n_in - n_nonzeros))


def test_one_column_and_one_window_hold_everything() -> None:
    assert drawn_fullest(10, 4, 13, 4, 16, 0, "w").tolist() == [13]


def test_seed_and_name_decide_the_draw() -> None:
    shape = (2560, 2560, 655_360, 4, 256)
    draws = [drawn_fullest(*shape, seed, name).tolist() for seed, name in ((0, "q"), (0, "q"), (0, "k"), (1, "q"))]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]
    # Raw Philox numbers, inverted: the same on every machine and with every numpy.
    assert draws[0] == DRAW_OF_Q


def test_cells_take_the_densities_they_are_given() -> None:
    slots = np.full((2, 1000), 100)
    densities = np.repeat([[0.1], [0.4]], 1000, axis=1)
    counts = drawn_counts(slots, densities, 50_000, np.random.default_rng(0))
    assert counts.sum() == 50_000
    # 100 x 0.1 and 100 x 0.4, with standard errors of 0.1 and 0.16 from a thousand cells.
    assert counts.mean(axis=1) == pytest.approx([10, 40], abs=0.6)
    assert counts.var(axis=1) == pytest.approx([9, 24], rel=0.2)


def test_cells_fill_up_to_the_total() -> None:
    slots = np.array([3, 4, 5])
    assert drawn_counts(slots, np.zeros(3), 12, np.random.default_rng(0)).tolist() == [3, 4, 5]
    assert drawn_counts(slots, np.ones(3), 0, np.random.default_rng(0)).tolist() == [0, 0, 0]
