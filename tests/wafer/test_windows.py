"""How good the windowed law is: against a mesh stepped cycle by cycle, and against buffers at the width of a wafer.

The law lets columns run ahead within a window of rows and makes all of them meet at its end. The mesh has no windows: a
core runs ahead until its buffer is full of rows whose partial sums its neighbours have not taken.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.wafer.mesh_oracle import column_cycles, mesh_cycles
from tests.wafer.meshes import CS2, MANY_TOKENS, tiny
from wse_sim.wafer.dataflow import counts_of_mask, mask_work
from wse_sim.wafer.mesh import Mesh

N_TOKENS = 64
MESH = tiny(4, height=4, row_issue_cycles=4, sums_per_cycle=2)
AXPY_CYCLES, REDUCTION_CYCLES = 8, 12  # 4 vectors at half the peak; 8 pairs of partial sums and 4


def random_mask(n_out: int, n_in: int, density: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n_out, n_in)) < density


def windowed_cycles(mask: np.ndarray, rows: int, mesh: Mesh = MESH) -> float:
    """What the law gives: its ratio, times the cycles of the dense product, which it knows exactly."""
    mesh = replace(mesh, window_rows=rows)
    per_row = max(mesh.channel_group(mask.shape[1]) * AXPY_CYCLES, REDUCTION_CYCLES)
    return mask_work(mask, mesh, N_TOKENS).work_ratio * len(mask) * per_row


def stepped_cycles(mask: np.ndarray, buffer_rows: int) -> int:
    """Of the mesh of 4 x 4 cores, without the cycles in which its ring of partial sums fills."""
    fill = MESH.width * REDUCTION_CYCLES
    cycles = mesh_cycles(
        mask,
        MESH.channel_group(mask.shape[1]),
        [AXPY_CYCLES] * MESH.height,
        [REDUCTION_CYCLES] * MESH.height,
        buffer_rows=buffer_rows,
        queue_wavelets=8,
    )
    return cycles - fill


def test_the_cycles_of_the_mesh_are_those_of_the_stepped_one() -> None:
    assert (MESH.axpy_cycles(N_TOKENS), MESH.reduction_cycles(N_TOKENS)) == (AXPY_CYCLES, REDUCTION_CYCLES)


@pytest.mark.parametrize("density", [0.1, 0.25, 0.5])
def test_the_stepped_mesh_lies_between_one_window_and_windows_of_its_buffer(density: float) -> None:
    """Free of any buffer no mesh can be faster; and one that may hold four rows at any time holds them in a window too.

    Half a percent for the first and the last rows, whose stages have nothing to overlap with.
    """
    mask = random_mask(256, 64, density, seed=0)
    cycles = stepped_cycles(mask, buffer_rows=4)
    assert windowed_cycles(mask, len(mask)) * 0.995 <= cycles <= windowed_cycles(mask, 4) * 1.005


@pytest.mark.parametrize(("buffer_rows", "window"), [(4, 24), (8, 64)])
def test_a_small_buffer_does_the_work_of_a_wide_window(buffer_rows: int, window: int) -> None:
    """On 4 x 4 cores, windows six to eight times as wide as the buffer: measured -1 to +6 %."""
    for density in (0.1, 0.25, 0.5):
        mask = random_mask(384, 64, density, seed=0)
        assert windowed_cycles(mask, window) == pytest.approx(stepped_cycles(mask, buffer_rows), rel=0.06)


def test_the_law_fails_where_nothing_overlaps() -> None:
    """With room for the partial sums of one row only, the stages' times add up: no window is narrow enough."""
    mask = random_mask(384, 64, 0.1, seed=0)
    assert windowed_cycles(mask, 1) < 0.85 * stepped_cycles(mask, buffer_rows=1)


def test_the_dense_product_needs_no_window() -> None:
    mask = np.ones((128, 64), bool)
    assert windowed_cycles(mask, 1) == windowed_cycles(mask, 128)
    assert stepped_cycles(mask, buffer_rows=2) == pytest.approx(windowed_cycles(mask, 1), rel=0.01)


def test_extreme_sparsity_takes_the_stepped_mesh_a_reduction_per_row() -> None:
    mask = random_mask(384, 16, 0.02, seed=0)
    work = mask_work(mask, MESH, N_TOKENS)
    assert work.bound == "reduction"
    assert stepped_cycles(mask, buffer_rows=2) == pytest.approx(windowed_cycles(mask, 64), rel=0.02)


def test_uneven_slices_of_tokens_take_as_long_as_the_fullest_core() -> None:
    """A column's cores share one stream of wavelets: the slowest of them holds it up."""
    mask = random_mask(128, 64, 0.25, seed=0)
    uneven = mesh_cycles(mask, 16, [3, 3, 2, 6], [5, 5, 4, 8], buffer_rows=4, queue_wavelets=8)
    even = mesh_cycles(mask, 16, [6] * 4, [8] * 4, buffer_rows=4, queue_wavelets=8)
    assert uneven == pytest.approx(even, rel=0.01)


def test_the_recurrence_over_columns_agrees_with_the_stepped_mesh() -> None:
    for seed, buffer_rows in enumerate((4, 8, 16)):
        mask = random_mask(256, 64, 0.25, seed)
        counts = counts_of_mask(mask, 16, 1)
        columns = column_cycles(counts * AXPY_CYCLES, REDUCTION_CYCLES, buffer_rows=buffer_rows)
        assert columns == pytest.approx(stepped_cycles(mask, buffer_rows), rel=0.01)


@pytest.mark.parametrize(
    ("n_in", "density", "buffer_rows"), [(2560, 0.25, 12), (4096, 0.25, 10), (12_288, 0.1, 10), (12_288, 0.25, 7)]
)
def test_a_window_of_256_rows_is_a_buffer_of_about_ten_rows(n_in: int, density: float, buffer_rows: int) -> None:
    """At the width of a CS-2, with 200 tokens on a core: what `skew_window_rows` stands for.

    Ten rows of 200 tokens in 16 bits are 4 kB of a core's 48 kB; 256 rows would be 100 kB.
    """
    group = CS2.channel_group(n_in)
    axpy_cycles, reduction_cycles = round(CS2.axpy_cycles(MANY_TOKENS)), round(CS2.reduction_cycles(MANY_TOKENS))
    counts = np.random.default_rng(0).binomial(group, density, (4096, -(-n_in // group)))
    fullest = counts.reshape(16, 256, -1).sum(axis=1).max(axis=1)
    windowed = np.maximum(axpy_cycles * fullest, 256 * reduction_cycles).sum()
    buffered = column_cycles(counts * axpy_cycles, reduction_cycles, buffer_rows=buffer_rows)
    assert windowed == pytest.approx(buffered, rel=0.02)
