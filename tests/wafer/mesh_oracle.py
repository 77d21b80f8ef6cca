"""A mesh of cores stepped cycle by cycle, with queues and buffers of finite depth: what the windowed law stands for.

Nothing is shared with `wse_sim.wafer.dataflow` but the words. No windows, no stages, no maxima: a wavelet enters a
column when every core of it has room, a core works on one weight at a time, and the partial sums of a row move from a
core to its eastern neighbour when that one has its own.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

COMMAND = -1


@dataclass
class Core:
    """One core: a queue of wavelets, a multiplier, and a link to the east.

    Parameters
    ----------
    axpy_cycles, reduction_cycles :
        For one weight, and to hand on the partial sums of one row.
    """

    axpy_cycles: int
    reduction_cycles: int
    queue: deque[int] = field(default_factory=deque)
    multiplies_for: int = 0
    rows_multiplied: int = 0
    reduces_for: int = 0
    rows_taken: int = 0
    rows_reduced: int = 0

    def multiply(self, buffer_rows: int) -> None:
        if self.multiplies_for:
            self.multiplies_for -= 1
        while not self.multiplies_for and self.queue:
            if self.rows_multiplied - self.rows_reduced >= buffer_rows:
                return  # nowhere to keep the partial sums of another row
            if self.queue.popleft() == COMMAND:
                self.rows_multiplied += 1
            else:
                self.multiplies_for = self.axpy_cycles

    def reduce(self, west: "Core | None", east: "Core | None") -> None:
        if self.reduces_for:
            self.reduces_for -= 1
            self.rows_reduced += not self.reduces_for
        row = self.rows_taken
        ready = not self.reduces_for and row < self.rows_multiplied
        # One row may wait on the link to the east while the next is handed over.
        if ready and (west is None or west.rows_reduced > row) and (east is None or east.rows_taken >= row - 1):
            self.reduces_for = self.reduction_cycles
            self.rows_taken += 1


def mesh_cycles(
    mask: npt.NDArray[np.bool_],
    group: int,
    axpy_cycles: list[int],
    reduction_cycles: list[int],
    *,
    buffer_rows: int,
    queue_wavelets: int,
) -> int:
    """Cycles from the first wavelet to the last partial sum of the product with `mask` (n_out, n_in).

    Parameters
    ----------
    group :
        Channels of a column of cores.
    axpy_cycles, reduction_cycles :
        Of the cores of a column, from north to south: their slices of tokens differ.
    buffer_rows :
        Rows whose partial sums a core can hold.
    queue_wavelets :
        Wavelets that wait at a core.
    """
    columns = [mask[:, start : start + group].sum(axis=1) for start in range(0, mask.shape[1], group)]
    feeds = [deque(wavelet for n in counts for wavelet in [*range(n), COMMAND]) for counts in columns]
    mesh = [[Core(a, r) for a, r in zip(axpy_cycles, reduction_cycles, strict=True)] for _ in columns]
    cycles = 0
    while any(core.rows_reduced < len(mask) for core in mesh[-1]):
        for feed, cores in zip(feeds, mesh, strict=True):
            if feed and all(len(core.queue) < queue_wavelets for core in cores):
                wavelet = feed.popleft()
                for core in cores:
                    core.queue.append(wavelet)
        for x, cores in enumerate(mesh):
            for y, core in enumerate(cores):
                core.multiply(buffer_rows)
                core.reduce(mesh[x - 1][y] if x else None, mesh[x + 1][y] if x + 1 < len(mesh) else None)
        cycles += 1
    return cycles


def column_cycles(work_cycles: npt.NDArray[np.int64], reduction_cycles: int, *, buffer_rows: int) -> int:
    """The same mesh as a recurrence over its rows, for one core per column: fast enough for the width of a wafer.

    Without the filling of the ring. Queues of wavelets are taken as deep enough.

    Parameters
    ----------
    work_cycles : (n_rows, n_columns)
        Multiplications of each row in each column.
    """
    hop = np.arange(work_cycles.shape[1])
    multiplied = np.zeros(work_cycles.shape[1], np.int64)
    taken: list[npt.NDArray[np.int64]] = []
    for row, work in enumerate(work_cycles):
        if row >= buffer_rows:
            multiplied = np.maximum(multiplied, taken[row - buffer_rows] + reduction_cycles)
        multiplied = multiplied + work
        ready = multiplied.copy()
        if row:
            ready = np.maximum(ready, taken[-1] + reduction_cycles)
            ready[:-1] = np.maximum(ready[:-1], taken[-1][1:])
        taken.append(np.maximum.accumulate(ready - hop) + hop)
    return int(taken[-1][-1]) + reduction_cycles - len(hop)
