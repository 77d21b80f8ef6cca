"""The streams that a process is started with: one may be closed, its disk full, or its reader gone."""

import io
import os
import sys
from typing import Any


class _Stream(io.FileIO):
    """Names itself in the error when it cannot be written, and takes what comes after that to nowhere.

    Else nobody could tell the error from a file's, and the interpreter would complain of the rest at its end.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._called = name
        self._has_failed = False

    def write(self, data: Any) -> int:
        n_bytes = memoryview(data).nbytes
        if self._has_failed or not n_bytes:  # click asks with nothing whether it may write
            return n_bytes
        try:
            return super().write(data)
        except OSError as error:
            self._has_failed = True
            raise OSError(error.errno, error.strerror, self._called) from None


def make_streams_whole() -> None:
    """Have stdout and stderr say which of them cannot be written; a stream that was closed leads nowhere.

    Else the next file that is opened would get the number of the closed one, and what other programs print would go
    into that file.
    """
    for name in ("stdin", "stdout", "stderr"):  # the lowest free number is taken, so in the order of the numbers
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _named(name, stream))


def _named(name: str, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw: Any = _Stream(name, stream.fileno())
    return io.TextIOWrapper(
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),  # without a buffer: python -u
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
