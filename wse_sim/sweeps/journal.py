"""Rows of a sweep on the disk as they come, so that a sweep that was killed goes on.

Beside the table `sweep.csv`, which is there once it is whole, stand

- `sweep.csv.sweep.json`: which sweep it belongs to;
- `sweep.csv.part`, as long as rows are missing: those that are there, a line of JSON each, in whatever order they came.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from wse_sim import __version__
from wse_sim.errors import SpecError
from wse_sim.files import make_folder, open_locked, read_bytes, whole_lines, write_json
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
        The table; None keeps rows in memory alone.
    command :
        That works it out, for the page.

    Raises
    ------
    SpecError
        When `out` holds something else or cannot be written, or another process works on it.
    """

    def __init__(self, sweep: Sweep, out: Path | None, *, command: str = "") -> None:
        self._sweep, self._out = sweep, out
        self._part: IO[bytes] | None = None
        self.rows: dict[int, Row] = {}
        if out is None:
            return
        require_table_name(out)
        _claim(sweep, out, command)
        if out.exists():
            self.rows = {row.index: row for row in read_table(out, sweep)}
            return
        busy = f"{out}: another process works on this sweep: wait for it, or stop it"
        self._part = open_locked(_part_of(out), busy=busy)
        try:
            self.rows = {row.index: row for row in self._decoded(whole_lines(self._part))}
        except BaseException:
            self.close()
            raise

    def append(self, rows: Sequence[Row]) -> None:
        """Keep rows."""
        if self._part is not None:
            self._part.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
            self._part.flush()
        self.rows.update((row.index, row) for row in rows)

    def finish(self) -> list[Row]:
        """All rows, in the order of the points, after the table was written."""
        rows = [self.rows[index] for index in range(len(self._sweep.points))]
        if self._part is not None and self._out is not None:
            write_table(self._out, self._sweep, rows)
            _part_of(self._out).unlink()
        return rows

    def close(self) -> None:
        """Close the files."""
        if self._part is not None:
            self._part.close()

    def _decoded(self, lines: Iterable[bytes]) -> Iterable[Row]:
        for number, line in enumerate(lines, start=1):
            try:
                row = _ROW.decode(line)
                self._sweep.points[row.index]
            except (msgspec.DecodeError, IndexError):
                path = _part_of(self._out or Path())
                raise SpecError(
                    f"{path}: line {number} is no row of this sweep; remove the file to begin anew"
                ) from None
            yield row


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
