"""Records appended to a file as lines of JSON, so that a reader may follow a run."""

import os
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from wse_sim.errors import FileError
from wse_sim.files import write_atomically
from wse_sim.spec.reading import read_lines


class Stepped(Protocol):
    """A record that belongs to a step."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""


AnyLine = TypeVar("AnyLine", bound=Stepped)


class LineWriter(Generic[AnyLine]):
    """Appends records, each flushed as it comes; the file is there from the first one on.

    Parameters
    ----------
    last_step :
        Records after it are cut from the file: they belong to steps that a resumed run does again.
    """

    def __init__(self, path: Path, kind: type[AnyLine], last_step: int) -> None:
        self._path = path
        self.lines = _kept(path, kind, last_step)
        try:
            write_atomically(path, b"".join(map(_encoded, self.lines)))
            self._file = path.open("ab")
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {error.strerror}") from None

    def append(self, line: AnyLine) -> None:
        """Write one record."""
        self.lines.append(line)
        self._file.write(_encoded(line))
        self._file.flush()

    def sync(self) -> None:
        """Wait until the records are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class UnwrittenLines(Generic[AnyLine]):
    """In the place of a `LineWriter`, in a process that writes no files."""

    def __init__(self, path: Path, kind: type[AnyLine], last_step: int) -> None:
        self.lines = _kept(path, kind, last_step)

    def append(self, line: AnyLine) -> None:
        self.lines.append(line)

    def sync(self) -> None:
        """There is no file."""

    def close(self) -> None:
        """There is no file."""


def _kept(path: Path, kind: type[AnyLine], last_step: int) -> list[AnyLine]:
    there = read_lines(path, kind) if last_step and path.exists() else []
    return [line for line in there if line.step <= last_step]


def _encoded(line: object) -> bytes:
    return msgspec.json.encode(line) + b"\n"
