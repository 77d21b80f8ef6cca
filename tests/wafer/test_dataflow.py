"""The core-level model of sparse work: real masks and drawn counts follow one law, and dense is the limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_sim.wafer.dataflow import channel_group, column_work, counts_of_mask, drawn_column_work
from wse_sim.workload.sparsity import exact_nonzeros

SHAPES = st.tuples(st.integers(8, 300), st.integers(8, 300))


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.integers(4, 64), st.integers(1, 64), st.integers(0, 99))
def test_density_one_equals_dense_exactly(shape: tuple[int, int], width: int, window: int, seed: int) -> None:
    group = channel_group(shape[1], width)
    work = drawn_column_work(*shape, 1.0, width, window, seed, "w")
    assert work.work_ratio == 1.0
    assert work.imbalance >= 1.0
    if shape[1] % group == 0:
        assert work.imbalance == pytest.approx(1.0)


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.floats(0.05, 0.95), st.integers(4, 64), st.integers(1, 64), st.integers(0, 99))
def test_sparse_work_lies_between_its_density_and_dense(
    shape: tuple[int, int], density: float, width: int, window: int, seed: int
) -> None:
    work = drawn_column_work(*shape, density, width, window, seed, "w")
    group = channel_group(shape[1], width)
    n_columns = -(-shape[1] // group)
    # No window is faster than its mean column: the non-zeros spread evenly are a floor.
    assert work.work_ratio * shape[0] * group * n_columns >= exact_nonzeros(shape[0] * shape[1], density) * (1 - 1e-12)
    assert 0 < work.work_ratio <= 1.0


def test_drawn_counts_follow_the_law_of_real_masks() -> None:
    """Mean slowest-column work of 200 exact-count masks and of 200 draws agree within four standard errors."""
    n_out, n_in, density, width, window = 96, 120, 0.25, 30, 16
    group, kept = channel_group(n_in, width), exact_nonzeros(n_out * n_in, density)
    rng = np.random.default_rng(0)
    real = []
    for _ in range(200):
        mask = np.zeros(n_out * n_in, bool)
        mask[rng.choice(mask.size, kept, replace=False)] = True
        counts = counts_of_mask(mask.reshape(n_out, n_in), group, window)
        assert counts.sum() == kept
        real.append(column_work(counts, group, n_out).work_ratio)
    drawn = [drawn_column_work(n_out, n_in, density, width, window, seed, "w").work_ratio for seed in range(200)]
    standard_error = np.hypot(np.std(real), np.std(drawn)) / np.sqrt(200)
    assert abs(np.mean(real) - np.mean(drawn)) < 4 * standard_error
    assert np.std(real) == pytest.approx(np.std(drawn), rel=0.25)


def test_counts_of_mask_by_hand() -> None:
    mask = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], bool)
    assert counts_of_mask(mask, 2, 2).tolist() == [[3, 1], [0, 1]]
    # Windows of two rows take 3 and 1; dense takes 3 rows x 2 channels.
    work = column_work(counts_of_mask(mask, 2, 2), 2, 3)
    assert work.work_ratio == 4 / 6
    assert work.imbalance == 4 * 2 / 5


def test_large_layers_come_near_linear_speed_up_and_small_ones_fall_away() -> None:
    """More channels per column average the non-zeros out: Lie, Hot Chips 34, near-linear at 12k x 12k."""
    speed_ups = [1 / drawn_column_work(d, d, 0.1, 757, 256, 0, "w").work_ratio for d in (1536, 4096, 12288)]
    assert speed_ups == sorted(speed_ups)
    assert speed_ups[-1] > 0.8 * 10
    assert speed_ups[0] < 0.75 * 10


def test_one_block_stands_for_all() -> None:
    """Seeds move a 2560-wide layer's work by less than 1 % (one std), so one drawn block can stand for every block."""
    ratios = [drawn_column_work(2560, 2560, 0.25, 757, 256, seed, "q").work_ratio for seed in range(20)]
    assert np.std(ratios) < 0.01 * np.mean(ratios)


def test_wider_windows_never_hurt() -> None:
    work = [drawn_column_work(1024, 1024, 0.25, 757, window, 3, "w").work_ratio for window in (1, 16, 64, 256, 1024)]
    assert work == sorted(work, reverse=True)
