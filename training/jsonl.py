"""Records appended to a file as lines of JSON, so that a reader may follow a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from wse_sim.files import cannot_write, write_atomically
from wse_sim.spec.reading import read_lines


class Stepped(Protocol):
    """A record that belongs to a step."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""


AnyLine = TypeVar("AnyLine", bound=Stepped)


class LineWriter(Generic[AnyLine]):
    """Appends records, each handed to the system as it comes; the file is there from the beginning.

    Parameters
    ----------
    last_step :
        Records after it are cut from the file: they belong to steps that a resumed run does again.

    Raises
    ------
    FileError
        When the file cannot be written, as by `append` and `sync`.
    """

    def __init__(self, path: Path, kind: type[AnyLine], last_step: int) -> None:
        self._path = path
        self.lines = _kept(path, kind, last_step)
        write_atomically(path, b"".join(map(_encoded, self.lines)))
        with self._errors_told():
            self._file = path.open("ab", buffering=0)  # what a full disk did not take is not tried again on closing

    def append(self, line: AnyLine) -> None:
        """Write one record."""
        rest = memoryview(_encoded(line))
        with self._errors_told():
            while rest:
                rest = rest[self._file.write(rest) :]
        self.lines.append(line)

    def sync(self) -> None:
        """Wait until the records are on the disk."""
        with self._errors_told():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._path, error) from None


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
