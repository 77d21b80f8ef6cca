"""The wafer's sparse dataflow: from the non-zeros of a layer to how long the slowest column of cores takes.

Input channels lie along the mesh's width, tokens along its height; a column of cores holds a group of channels. Every
non-zero of a weight row goes to the column that holds its channel and triggers there an AXPY over the column's tokens.
The partial sums of a row are reduced across the columns, so no column can run ahead of the slowest by more than its
buffers hold: a window of rows. The layer takes, window after window, as long as its fullest column.

Source of the mapping: Lie, Hot Chips 34 (as far as public); it is a hypothesis, see docs/explanation/physics.md.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from wse_sim.workload.sparsity import exact_nonzeros

Counts = npt.NDArray[np.int64]

_LARGEST_POPULATION = 10**9  # of numpy's hypergeometric draw


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnWork:
    """What a layer's non-zeros ask of the columns of cores.

    Parameters
    ----------
    work_ratio :
        Time of the sparse product over that of the dense one on the same mapping; 1 at density 1.
    imbalance :
        Time over that of the same non-zeros spread evenly; 1 or more.
    """

    work_ratio: float
    imbalance: float


def column_work(counts: Counts, group: int, n_rows: int) -> ColumnWork:
    """What the non-zeros `counts` take.

    Parameters
    ----------
    counts : (n_windows, n_columns)
        Non-zeros of each window of weight rows in each column of cores.
    group :
        Input channels that a column holds.
    """
    slowest = int(counts.max(axis=1).sum())
    return ColumnWork(
        work_ratio=slowest / (n_rows * group),
        imbalance=slowest * counts.shape[1] / int(counts.sum()),
    )


def channel_group(n_in: int, mesh_width: int) -> int:
    """Input channels per column of cores, when `n_in` channels are laid over at most `mesh_width` columns."""
    return -(-n_in // mesh_width)


def counts_of_mask(mask: npt.NDArray[np.bool_], group: int, window_rows: int) -> Counts:
    """(n_windows, n_columns): non-zeros of a real mask (n_out, n_in), per window of rows and column of cores."""
    row_starts = np.arange(0, mask.shape[0], window_rows)
    column_starts = np.arange(0, mask.shape[1], group)
    return np.add.reduceat(np.add.reduceat(mask, row_starts, axis=0, dtype=np.int64), column_starts, axis=1)


@lru_cache(maxsize=1024)
def drawn_column_work(
    n_out: int, n_in: int, density: float, mesh_width: int, window_rows: int, seed: int, name: str
) -> ColumnWork:
    """What a random mask of exactly `exact_nonzeros(n_out * n_in, density)` non-zeros takes, drawn from (seed, name).

    The counts are drawn, not the mask: splitting the non-zeros in halves again and again by the hypergeometric law
    gives the counts of a uniformly random exact-count mask, at the cost of its windows and columns.
    """
    group = channel_group(n_in, mesh_width)
    n_windows, n_columns = -(-n_out // window_rows), -(-n_in // group)
    rows = np.full(n_windows, window_rows)
    rows[-1] = n_out - window_rows * (n_windows - 1)
    channels = np.full(n_columns, group)
    channels[-1] = n_in - group * (n_columns - 1)
    slots = np.outer(rows, channels).ravel()
    key = int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little")
    counts = _split(exact_nonzeros(n_out * n_in, density), slots, np.random.Generator(np.random.Philox(key)))
    return column_work(counts.reshape(n_windows, n_columns), group, n_out)


def _split(n_nonzeros: int, slots: Counts, rng: np.random.Generator) -> Counts:
    """Spread `n_nonzeros` over cells of `slots` places each, every set of places equally likely."""
    n_cells = 1 << (len(slots) - 1).bit_length()
    places = np.zeros(n_cells, np.int64)
    places[: len(slots)] = slots
    levels = [places]
    while len(levels[-1]) > 1:
        levels.append(levels[-1].reshape(-1, 2).sum(axis=1))
    counts = np.array([n_nonzeros], np.int64)
    for places in reversed(levels[:-1]):
        left, right = places[::2], places[1::2]
        if left[0] + right[0] > _LARGEST_POPULATION:
            # Beyond numpy's draw the spread of a half is below 1e-4 of it: take the mean.
            in_left = np.minimum(left, np.maximum(counts - right, counts * left // np.maximum(left + right, 1)))
        else:
            in_left = rng.hypergeometric(left, right, counts)
        counts = np.stack([in_left, counts - in_left], axis=1).ravel()
    return counts[: len(slots)]
