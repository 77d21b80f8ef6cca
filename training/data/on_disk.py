"""Tokens in a file, of which the few that are asked for are read."""

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from training.data.source import Integers
from wse_sim.errors import SpecError


class FileTokens:
    """Numbers of one size, one after the other from a place in a file on.

    They are read at their place (`pread`), not mapped: pages of a map count as the process's own memory until the
    machine is short of it, and a run over a large file would seem to fill it. The file stays open, so that another one
    put in its place does not change a run under way.

    Parameters
    ----------
    offset :
        Bytes before the first number.
    n :
        Numbers; by default as many as follow.

    Raises
    ------
    SpecError
        When the file cannot be read, or does not hold so many, or holds part of one.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], *, offset: int = 0, n: int | None = None) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise SpecError(f"data {path}: cannot be read: {error.strerror}") from None
        weakref.finalize(self, os.close, self._file)
        self._path, self._dtype, self._offset = path, dtype, offset
        n_bytes = os.fstat(self._file).st_size - offset
        if n is None and n_bytes % dtype.itemsize:
            raise SpecError(
                f"data {path}: {n_bytes} bytes are no whole number of {dtype.name}: the dtype is another one, or the "
                "file was cut short"
            )
        self.n = n_bytes // dtype.itemsize if n is None else n
        if self.n * dtype.itemsize > n_bytes:
            raise SpecError(
                f"data {path}: is cut short: it has {n_bytes} bytes for {self.n} tokens of {dtype.itemsize} each"
            )

    def __call__(self, first: int, n: int) -> Integers:
        size = self._dtype.itemsize
        content = os.pread(self._file, n * size, self._offset + first * size)
        if len(content) < n * size:
            raise SpecError(f"data {self._path}: was cut short while it was read")
        return np.frombuffer(content, self._dtype)
