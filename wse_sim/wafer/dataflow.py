"""The wafer's sparse dataflow: from the non-zeros of a layer to how long its product takes on the mesh.

Input channels lie along the mesh's width, tokens along its height. A column of cores holds a group of channels, each
core of it a slice of the tokens. Weight rows stream in; a non-zero (16-bit value, 16-bit index: one wavelet) is
broadcast down the column of its channel and triggers an AXPY over the slice in every core there. A command wavelet ends
the row, and its partial sums are handed from column to column. Three stages work at once on different rows:

    multiply    non-zeros of the fullest column x cycles of an AXPY, at the rate that dense products sustain
    broadcast   non-zeros of the fullest column + one command per row, a wavelet per cycle
    reduction   rows x cycles to hand on the partial sums of one

No column can run ahead of the slowest by more than its buffers hold: a window of rows. A window takes as long as its
slowest stage, a layer as long as its windows.

What leaves this room for the cluster's clock is a ratio, `work_ratio`: the sparse product over the dense one, on the
same mesh with the same tokens. How long the dense product takes is the cluster model's business.

Source: Lie, Hot Chips 34 and IEEE Micro 43(3) 2023, as far as public; docs/explanation/physics.md.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wse_sim.wafer.draws import Counts, drawn_fullest
from wse_sim.wafer.mesh import Mesh
from wse_sim.workload.sparsity import exact_nonzeros

Stage = Literal["multiply", "broadcast", "reduction"]
Limit = Literal["imbalance", "broadcast", "reduction", "none"]
STAGES: tuple[Stage, ...] = ("multiply", "broadcast", "reduction")
LIMITS: tuple[Limit, ...] = ("imbalance", "broadcast", "reduction")

_ROUNDING_NOISE = 1e-12

Cycles = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a product's time is spent on, as fractions of the dense product's time; none is negative.

    Parameters
    ----------
    multiply :
        The non-zeros' share of the dense multiplications.
    imbalance :
        Waiting for the fullest column.
    broadcast, reduction :
        What the wavelets of the rows, and their partial sums, take beyond the multiplications.
    """

    multiply: float
    imbalance: float
    broadcast: float
    reduction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWork:
    """What one matrix's non-zeros ask of the mesh.

    Parameters
    ----------
    density :
        Non-zeros over weights: the ideal work ratio.
    work_ratio :
        Time of the product over that of the dense one, same mesh, same tokens; exactly 1 at density 1.
    multiply_ratio :
        The same for the multiplications alone: for a product whose sums never bind (dW, summed over the tokens).
    imbalance :
        The multiplications' time over that of the same share of the dense ones; 1 or more.
    bound :
        The stage that takes longest.
    parts :
        Of `work_ratio`, which is their sum.
    """

    density: float
    work_ratio: float
    multiply_ratio: float
    imbalance: float
    bound: Stage
    parts: Parts

    @property
    def limit(self) -> Limit:
        """What keeps the product from the time of its multiplications most, "none" where nothing does."""
        largest = max(LIMITS, key=self._part)
        return largest if self._part(largest) > _ROUNDING_NOISE else "none"

    def _part(self, name: Limit) -> float:
        return float(getattr(self.parts, name))


def counts_of_mask(mask: npt.NDArray[np.bool_], group: int, window_rows: int) -> Counts:
    """(n_windows, n_columns): non-zeros of a real mask (n_out, n_in), per window of rows and column of cores."""
    row_starts = np.arange(0, mask.shape[0], window_rows)
    column_starts = np.arange(0, mask.shape[1], group)
    return np.add.reduceat(np.add.reduceat(mask, row_starts, axis=0, dtype=np.int64), column_starts, axis=1)


def mask_work(mask: npt.NDArray[np.bool_], mesh: Mesh, n_tokens: int) -> LayerWork:
    """What a real mask (n_out, n_in) takes. The product of dX = W^T dY takes what its transpose takes.

    Raises
    ------
    ValueError
        When the mask keeps nothing.
    """
    n_out, n_in = mask.shape
    counts = counts_of_mask(mask, mesh.channel_group(n_in), mesh.window_rows)
    return layer_work(counts.max(axis=1), int(counts.sum()), n_out, n_in, mesh, n_tokens)


@lru_cache(maxsize=4096)
def drawn_work(n_out: int, n_in: int, density: float, mesh: Mesh, n_tokens: int, seed: int, name: str) -> LayerWork:
    """What a random mask of exactly the non-zeros of `density` (`exact_nonzeros`) takes, drawn from (seed, name)."""
    n_nonzeros = exact_nonzeros(n_out * n_in, density)
    group = mesh.channel_group(n_in)
    fullest = drawn_fullest(n_out, n_in, n_nonzeros, group, mesh.window_rows, seed, name)
    return layer_work(fullest, n_nonzeros, n_out, n_in, mesh, n_tokens)


def work_ratios(
    n_out: int, n_in: int, density: float, mesh: Mesh, n_tokens: Counts, seed: int, name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`work_ratio` and `multiply_ratio` of `drawn_work` for a column of token numbers at once; both (n,)."""
    n_nonzeros = exact_nonzeros(n_out * n_in, density)
    if n_nonzeros == n_out * n_in:
        return np.ones(len(n_tokens)), np.ones(len(n_tokens))
    group = mesh.channel_group(n_in)
    fullest = drawn_fullest(n_out, n_in, n_nonzeros, group, mesh.window_rows, seed, name)
    rows = window_rows(n_out, mesh.window_rows)
    multiply, _, cycles = _overlapped_cycles(_stage_cycles(fullest, rows, mesh, n_tokens[:, None]))
    dense_multiply, _, dense = _overlapped_cycles(_stage_cycles(rows * group, rows, mesh, n_tokens[:, None]))
    return cycles / dense, multiply / dense_multiply


def layer_work(fullest: Counts, n_nonzeros: int, n_out: int, n_in: int, mesh: Mesh, n_tokens: int) -> LayerWork:
    """What a matrix (n_out, n_in) takes, by the law at the top of this file.

    Parameters
    ----------
    fullest : (n_windows,)
        Non-zeros of the fullest column of cores in each window of rows.
    n_nonzeros :
        Of the whole matrix.

    Raises
    ------
    ValueError
        When there are none.
    """
    if n_nonzeros < 1:
        raise ValueError("a matrix without non-zeros has no product to time")
    rows = window_rows(n_out, mesh.window_rows)
    stages = _stage_cycles(fullest, rows, mesh, n_tokens)
    multiply, delivered, cycles = (float(of_stages) for of_stages in _overlapped_cycles(stages))
    dense_stages = _stage_cycles(rows * mesh.channel_group(n_in), rows, mesh, n_tokens)
    dense_multiply, _, dense = (float(of_stages) for of_stages in _overlapped_cycles(dense_stages))
    density = n_nonzeros / (n_out * n_in)
    # A mask that favours the last column, which may hold fewer channels, can leave less than its share to a full one.
    even = min(density * dense_multiply, multiply)
    return LayerWork(
        density=density,
        work_ratio=cycles / dense,
        multiply_ratio=multiply / dense_multiply,
        imbalance=multiply / even,
        bound=STAGES[int(np.argmax([stage.sum() for stage in stages]))],
        parts=Parts(
            multiply=even / dense,
            imbalance=(multiply - even) / dense,
            broadcast=(delivered - multiply) / dense,
            reduction=(cycles - delivered) / dense,
        ),
    )


def window_rows(n_out: int, rows_per_window: int) -> Counts:
    """(n_windows,): rows of each window; the last one takes what is left."""
    return np.diff(np.append(np.arange(0, n_out, rows_per_window), n_out))


def _stage_cycles(fullest: Counts, rows: Counts, mesh: Mesh, n_tokens: Any) -> tuple[Cycles, Cycles, Cycles]:
    """Each (n_windows,): cycles of each stage in each window, in the order of `STAGES`.

    A wavelet holds one weight, dense or not: it is its arrival that triggers the AXPY. For a column of token numbers,
    (n, 1), what hangs on them is (n, n_windows).
    """
    return fullest * mesh.axpy_cycles(n_tokens), fullest + rows, rows * mesh.reduction_cycles(n_tokens)


def _overlapped_cycles(stages: tuple[Cycles, Cycles, Cycles]) -> tuple[Any, Any, Any]:
    """Cycles of the whole product if it had the first stage only, the first two, and all three.

    Three numbers, or three columns of them.
    """
    multiply, broadcast, reduction = stages
    delivered = np.maximum(multiply, broadcast)
    return multiply.sum(axis=-1), delivered.sum(axis=-1), np.maximum(delivered, reduction).sum(axis=-1)
