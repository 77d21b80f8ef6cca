"""Rows of a sweep on the disk as they come, so that a sweep that was killed goes on.

Beside the table `sweep.csv`, which is there once it is whole, stand

- `sweep.csv.sweep.json`: which sweep it belongs to;
- `sweep.csv.part`, as long as rows are missing: those that are there, a line of JSON each, in whatever order they came.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import msgspec

from wse_sim import __version__
from wse_sim.errors import FileError, SpecError
from wse_sim.files import make_folder, open_locked, read_bytes, remove_torn, write_json
from wse_sim.sweeps.rows import StoredRows
from wse_sim.sweeps.sweep import Kind, Row, Sweep
from wse_sim.sweeps.table import read_table, require_table_name, write_table

TABLE = "sweep.csv"  # of a sweep that trains, in its folder
_ROW = msgspec.json.Decoder(Row)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which sweep a table belongs to, and the command that began it; "" where nobody knows."""

    kind: Kind
    n_points: int
    keys: tuple[str, ...]
    version: str
    digest: str
    command: str = ""


class Journal:
    """The rows of a sweep that are known, and the files that they are kept in.

    Parameters
    ----------
    out :
        The table; None keeps the rows until nobody wants them any more.
    command :
        That works it out, for the page.

    Raises
    ------
    SpecError
        When `out` holds something else or cannot be written, or another process works on it.
    """

    def __init__(self, sweep: Sweep, out: Path | None, *, command: str = "") -> None:
        self._sweep, self._out, self._end = sweep, out, 0
        if out is not None:
            require_table_name(out)
            _claim(sweep, out, command)
            remove_torn(out.parent)
        is_whole = out is not None and out.exists()
        if is_whole and out is not None:
            _part_of(out).unlink(missing_ok=True)  # whoever wrote the table was killed before it did this
        self._part = None if out is None or is_whole else _part_of(out)
        busy = f"{out}: another process works on this sweep: wait for it, or stop it"
        self._file: IO[bytes] = TemporaryFile() if self._part is None else open_locked(self._part, busy=busy)  # noqa: SIM115
        try:
            self.rows = StoredRows(_opened_again(self._file, self._part), len(sweep.points))
            if self._part is not None:
                self._read_part(self._part)
            elif out is not None:
                self._read_table(out)
        except BaseException:
            self.close()
            raise

    def append(self, rows: Sequence[Row]) -> None:
        """Keep rows.

        Raises
        ------
        FileError
            When they cannot be written; those before them are.
        """
        lines = [msgspec.json.encode(row) + b"\n" for row in rows]
        try:
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            raise FileError(
                f"{self._part or 'rows'}: cannot be written: {error.strerror}; rows before this one are kept, the same "
                "command goes on with them"
            ) from None
        for row, line in zip(rows, lines, strict=True):
            self.rows.place(row.index, self._end)
            self._end += len(line)

    def finish(self) -> Sequence[Row]:
        """All rows, in the order of the points, after the table was written."""
        if self._part is not None and self._out is not None:
            write_table(self._out, self._sweep, self.rows)
            self._part.unlink(missing_ok=True)
        return self.rows

    def close(self) -> None:
        """Close the files."""
        with suppress(OSError):  # what a full disk did not take, nobody counts on
            self._file.close()

    def _read_table(self, table: Path) -> None:
        """Take the rows over from a table that is whole."""
        for row in read_table(table, self._sweep):
            self.append([row])

    def _read_part(self, path: Path) -> None:
        """Find the rows that are there; what a crash cut short is removed, or it would begin the next one."""
        self._file.seek(0)
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                self.rows.place(_ROW.decode(line).index, self._end)
            except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
                raise SpecError(
                    f"{path}: line {number} is no row of this sweep; remove the file to begin anew"
                ) from None
            self._end += len(line)
        self._file.truncate(self._end)


def _opened_again(file: IO[bytes], path: Path | None) -> int:
    """To be read for as long as its rows are wanted; anew where it has a name, since its lock ends with the journal."""
    return os.dup(file.fileno()) if path is None else os.open(path, os.O_RDONLY)


def _claim(sweep: Sweep, out: Path, command: str) -> None:
    """Say that `out` is of this sweep, unless it is of another one."""
    path = _identity_path(out)
    ours = Identity(
        kind=sweep.kind,
        n_points=len(sweep.points),
        keys=sweep.keys,
        version=__version__,
        digest=sweep.digest,
        command=command,
    )
    theirs = identity_of(out)
    if theirs is not None:
        if theirs.digest != ours.digest:
            raise SpecError(
                f"{out}: {_difference(theirs, ours)}: name another file with --out, or remove it and {path}"
            )
        return
    if out.exists() or _part_of(out).exists():
        raise SpecError(f"{out}: is there already, and no sweep has written it: name another file with --out")
    make_folder(out.parent)
    write_json(path, msgspec.to_builtins(ours))


def identity_of(out: Path) -> Identity | None:
    """Which sweep a table belongs to; None where nothing beside it says that it belongs to one.

    Raises
    ------
    SpecError
        When what stands beside it cannot be read.
    """
    path = _identity_path(out)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(read_bytes(path), type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError(f"{path}: does not say which sweep it belongs to: {error}") from None


def _difference(theirs: Identity, ours: Identity) -> str:
    if theirs.version != ours.version:
        return f"was begun by version {theirs.version} of this program, this is {ours.version}"
    if (theirs.n_points, theirs.keys) != (ours.n_points, ours.keys):
        return f"belongs to another sweep, of {theirs.n_points:,} points over {', '.join(theirs.keys)}"
    return "belongs to another sweep: its values, models or constants are not these"


def _identity_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.sweep.json")


def _part_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.part")
