"""The points of a sweep: products of lists, and lists written out, from options, TOML or CSV."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError, choose, errors_at
from wse_sim.files import read_bytes
from wse_sim.spec.reading import read_toml, text_of
from wse_sim.sweeps.grid import Grid
from wse_sim.sweeps.keys import Point, Vocabulary

_MOST_POINTS = 10_000_000
_TABLES = ("fixed", "grid", "list")


def grid_points(grid: Mapping[str, Sequence[object]], vocabulary: Vocabulary) -> Grid:
    """Every combination of the values; those of the last key change fastest.

    Raises
    ------
    SpecError
        As `Vocabulary.point`, and when a key has no values.
    """
    values = [[vocabulary.reader(name)(value, name) for value in given] for name, given in grid.items()]
    for name, read in zip(grid, values, strict=True):
        if not read:
            raise SpecError(f"{name} has no values")
    if (n_points := prod(map(len, values))) > _MOST_POINTS:
        raise SpecError(f"the lists make {n_points:,} points: at most {_MOST_POINTS:,} would be right")
    points = Grid(dict(zip(grid, values, strict=True)))
    vocabulary.check(points[0])
    return points


def read_points(path: Path, vocabulary: Vocabulary) -> Sequence[Point]:
    """The points of a file, in its order.

    A CSV has a header of keys and a point in each row; an empty cell is a key that the point does not have. A TOML has
    a table [fixed] of keys that all points have, a table [grid] of lists, whose product comes first, and tables
    [[list]], each a point.

    Raises
    ------
    SpecError
        When it cannot be read or holds no point, and as `Vocabulary.point`; the message names the file.
    """
    readers = {".toml": _toml_points, ".csv": _csv_points}
    if path.suffix not in readers:
        raise SpecError(f"{path}: points are read from a .toml or a .csv")
    points: Sequence[Point] = readers[path.suffix](path, vocabulary)
    if not points:
        raise SpecError(f"{path}: there is no point in it")
    return points


def _toml_points(path: Path, vocabulary: Vocabulary) -> Sequence[Point]:
    tables = read_toml(str(path))
    with errors_at(str(path)):
        for name in tables:
            choose(name, _TABLES, "table")
        fixed, listed = _flat(tables.get("fixed", {})), tables.get("list", [])
        if not isinstance(listed, list):
            raise SpecError("write [[list]], once for each point")
    points: Sequence[Point] = []
    if "grid" in tables or not listed:
        with errors_at(f"{path} [grid]"):
            grid = _joined(fixed, _flat(tables.get("grid", {})))
            lists = {name: given if isinstance(given, list) else [given] for name, given in grid.items()}
            points = grid_points(lists, vocabulary)
    if not listed:
        return points
    points = list(points)
    for number, table in enumerate(listed, start=1):
        with errors_at(f"{path} [[list]] {number}"):
            points.append(vocabulary.point(_joined(fixed, _flat(table))))
    return points


def _flat(table: object, prefix: str = "") -> dict[str, Any]:
    """A table with inner tables as dotted keys: TOML reads `csx.power_w = 1` as a table."""
    if not isinstance(table, dict):
        raise SpecError("must be a table")
    flat: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        flat |= _flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return flat


def _joined(fixed: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    twice = [name for name in given if name in fixed]
    if twice:
        raise SpecError(f"{twice[0]} is in [fixed] already")
    return {**fixed, **given}


def _csv_points(path: Path, vocabulary: Vocabulary) -> list[Point]:
    rows = _csv_rows(path, text_of(read_bytes(path), path, "CSV"))
    line, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    with errors_at(f"{path} line {line}"):
        if len(set(names)) < len(names):
            raise SpecError("a key stands in the header twice")
        for name in names:
            vocabulary.reader(name)
    points = []
    for line, cells in rows:
        with errors_at(f"{path} line {line}"):
            if len(cells) != len(names):
                raise SpecError(f"has {len(cells)} cells, the header has {len(names)}")
            given = {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()}
            points.append(vocabulary.point(given))
    return points


def _csv_rows(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line in which it begins, as editors count them."""
    rows = csv.reader(io.StringIO(content, newline=""))
    line = 1
    try:
        for cells in rows:
            if cells:
                yield line, cells
            line = rows.line_num + 1
    except csv.Error as error:
        raise SpecError(f"{path} line {line}: is not CSV: {error}") from None
