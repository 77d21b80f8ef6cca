"""Rows of a sweep that stay in a file: memory holds the place of each alone, so that there may be millions."""

import os
import weakref
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from wse_sim.processes.memory import require_memory
from wse_sim.sweeps.lazily import Lazy
from wse_sim.sweeps.sweep import Row

_ROW = msgspec.json.Decoder(Row)
_AT_ONCE = 2**12  # bytes, of some rows
_NOWHERE = -1


class StoredRows(Lazy[Row]):
    """A row for each point, in a file of lines of JSON, in whatever order they stand there.

    Parameters
    ----------
    descriptor :
        Of the file, to be read; it is closed with the rows.
    n_points :
        Of the sweep.

    Raises
    ------
    SpecError
        When the points are too many for this machine's memory.
    """

    def __init__(self, descriptor: int, n_points: int) -> None:
        weakref.finalize(self, os.close, descriptor)
        require_memory(8 * n_points, f"a sweep of {n_points:,} points takes", lambda free: f"at most {free // 8:,}")
        self._descriptor = descriptor
        self._places = np.full(n_points, _NOWHERE, np.int64)
        self._read, self._read_from = b"", 0

    def place(self, index: int, first: int) -> None:
        """The row of this point begins at this byte.

        Raises
        ------
        IndexError
            When there is no such point.
        """
        if index < 0:
            raise IndexError(index)
        self._places[index] = first

    @property
    def is_missing(self) -> npt.NDArray[np.bool_]:
        """(n_points,): which points have no row yet."""
        missing: npt.NDArray[np.bool_] = self._places == _NOWHERE
        return missing

    def __len__(self) -> int:
        return len(self._places)

    def at(self, place: int) -> Row:
        first = int(self._places[place])
        assert first != _NOWHERE, "every row is there once the sweep is worked out"
        begin = first - self._read_from
        end = self._read.find(b"\n", begin) if begin >= 0 else -1
        size = _AT_ONCE
        while end < 0:
            self._read, self._read_from, begin = os.pread(self._descriptor, size, first), first, 0
            end = self._read.find(b"\n")
            size *= 2
        return _ROW.decode(self._read[begin:end])


class ChosenRows(Lazy[Row]):
    """Some rows of others, in an order of their own."""

    def __init__(self, rows: Sequence[Row], order: npt.NDArray[np.int64]) -> None:
        self._rows, self._order = rows, order

    def __len__(self) -> int:
        return len(self._order)

    def at(self, place: int) -> Row:
        return self._rows[int(self._order[place])]
