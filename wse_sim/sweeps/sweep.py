"""A sweep: points, each with the row that comes of it, whatever works them out and in whatever order."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from wse_sim import __version__
from wse_sim.spec.load import data_digest, is_file, load_model
from wse_sim.sweeps.grid import values_by_key
from wse_sim.sweeps.keys import Point, Value

Kind = Literal["simulated", "measured"]
Status = Literal["ok", "infeasible", "diverged"]
STATUS = ("status", "reason")  # the last columns


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a point.

    Parameters
    ----------
    index :
        Of the point in its sweep, from 0.
    status :
        `infeasible` where a wall is hit, `diverged` where training left the numbers.
    reason :
        Of a status that is not ok: a sentence.
    results :
        By the names of the sweep's results; those that the point has none of may be missing.
    """

    index: int
    status: Status = "ok"
    reason: str = ""
    results: dict[str, Value | None] = {}


Evaluate = Callable[[Mapping[int, Point]], Generator[Sequence[Row], None, None]]
"""Takes points by their index; gives a row for each, several at a time, in any order. What a point's row is must hang
on nothing but the point. Closing it stops whatever it has started."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is to be worked out.

    Parameters
    ----------
    kind :
        The word for all results.
    results :
        Names of the columns that points are given.
    """

    kind: Kind
    points: Sequence[Point]
    results: tuple[str, ...]

    @cached_property
    def values(self) -> dict[str, list[Value | None]]:
        """Of each key, each once; None among those that a point lacks."""
        return values_by_key(self.points)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of all points, each once."""
        return tuple(self.values)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Of the table: keys, results that are no keys, status and reason."""
        return (*dict.fromkeys((*self.keys, *self.results)), *STATUS)

    @property
    def varied(self) -> tuple[str, ...]:
        """The keys in which points differ."""
        return tuple(name for name, values in self.values.items() if len(values) > 1)

    @cached_property
    def digest(self) -> str:
        """Of all that the table depends on: points, models, constants, the user's files, this program's version."""
        models = sorted(map(str, self.values["model"]))
        files = sorted({v for values in self.values.values() for v in values if isinstance(v, str) and is_file(v)})
        of_files = [Path(file).read_bytes() for file in files]
        digest = sha256()
        for part in (__version__, data_digest(), self.kind, self.results):
            digest.update(msgspec.json.encode(part))
        for point in self.points:  # one by one: they may be millions
            digest.update(msgspec.json.encode(point))
        digest.update(msgspec.json.encode([list(map(load_model, models)), of_files]))
        return digest.hexdigest()

    def cells(self, row: Row) -> dict[str, Value | None]:
        """The row of the table, by column: None where it is empty."""
        point, results = self.points[row.index], row.results
        cells = {name: point[name] if name in point else results.get(name) for name in self.columns}
        for name in STATUS:
            cells[name] = getattr(row, name) or None
        return cells

    def cell(self, row: Row, column: str) -> Value | None:
        """One cell of the table."""
        if column in STATUS:
            return getattr(row, column) or None
        return self.points[row.index].get(column, row.results.get(column))
