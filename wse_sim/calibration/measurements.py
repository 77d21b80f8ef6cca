"""Rates that a user measured: a CSV file in, checked lines out."""

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError, choose
from wse_sim.files import read_bytes
from wse_sim.gpu.layout import GIVEN_NUMBERS, RECOMPUTES, SHARDINGS
from wse_sim.gpu.spec import PRECISIONS
from wse_sim.spec.reading import text_of
from wse_sim.spec.written import plain
from wse_sim.validation import Side

Kind = type[str] | type[int] | type[float] | tuple[str, ...]

_RATES: dict[Side, tuple[str, ...]] = {
    "wafer": ("samples_per_s", "tokens_per_s"),
    "gpu": ("tokens_per_s", "tokens_per_s_per_gpu", "step_time_s"),
}
# In a column: text, whole number, number, or one of some words.
_NEEDED: dict[Side, dict[str, Kind]] = {
    "wafer": {"model": str, "system": str, "num_csx": int, "batch_size": int},
    "gpu": {"model": str, "gpu": str, "num_gpus": int, "batch_size": int},
}
_OPTIONAL: dict[Side, dict[str, Kind]] = {
    "wafer": {"microbatch": int, "seq_len": int, "density": float, "release": str},
    "gpu": {
        "seq_len": int,
        "software": str,
        "precision": PRECISIONS,
        **dict.fromkeys(GIVEN_NUMBERS, int),
        "recompute": RECOMPUTES,
        "sharding": SHARDINGS,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured run.

    Parameters
    ----------
    number :
        In the file, from 1.
    values :
        By column, those that are given.
    rate :
        Column of the one that was measured.
    """

    number: int
    values: Mapping[str, Any]
    rate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Measured runs of one side, as a file holds them.

    Parameters
    ----------
    sha256 :
        Of the file's bytes.
    """

    path: str
    sha256: str
    side: Side
    lines: list[Line]

    @contextmanager
    def at(self, line: Line) -> Iterator[None]:
        """Says of a mistake that comes up inside which line it is in."""
        try:
            yield
        except SpecError as error:
            raise SpecError(f"{self.path}, line {line.number}: {error}") from None

    def same_in_all(self, column: str, default: str = "") -> str:
        """What all lines have in `column`.

        Raises
        ------
        SpecError
            When two lines differ: one kind is calibrated at a time.
        """
        first = self.lines[0]
        wanted: str = first.values.get(column, default)
        for line in self.lines:
            if (here := line.values.get(column, default)) != wanted:
                raise SpecError(
                    f"{self.path}, line {line.number}: {column} is {here}, but line {first.number} has {wanted}: "
                    f"calibrate one {column} at a time, with a file for each"
                )
        return wanted


def read_measurements(path: str) -> Measurements:
    """The measured runs in the CSV file at `path`, whose first line names the columns.

    Raises
    ------
    SpecError
        When it cannot be read, or a column or a value is wrong; the message names line and column.
    """
    content = read_bytes(Path(path))
    rows = csv.reader(io.StringIO(text_of(content, path, "CSV"), newline=""))
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        side = _side(header, path)
        lines = [_line(header, row, side, path, rows.line_num) for row in rows if any(map(str.strip, row))]
    except csv.Error as error:
        raise SpecError(f"{path}, line {rows.line_num}: is not CSV: {error}") from None
    if not lines:
        raise SpecError(f"{path}: holds no measured run below its header")
    return Measurements(path=path, sha256=hashlib.sha256(content).hexdigest(), side=side, lines=lines)


def _side(header: list[str], path: str) -> Side:
    """Which side the columns are of; refuses columns that it does not have."""
    if len(header) == 1 and ";" in header[0]:
        raise SpecError(f"{path}, line 1: columns are separated by ';': separate them by commas")
    sides: list[Side] = [side for side, column in (("wafer", "system"), ("gpu", "gpu")) if column in header]  # type: ignore[misc]
    if len(sides) != 1:
        which = "both a column system and a column gpu" if sides else "neither a column system nor a column gpu"
        raise SpecError(f"{path}, line 1: has {which}: a file holds runs of wafer-scale systems, or of GPUs")
    (side,) = sides
    for i, name in enumerate(header):
        choose(name, [*_NEEDED[side], *_OPTIONAL[side], *_RATES[side]], f"column in {path}, line 1:")
        if name in header[:i]:
            raise SpecError(f"{path}, line 1: there are two columns {name}")
    return side


def _line(header: list[str], row: list[str], side: Side, path: str, number: int) -> Line:
    where = f"{path}, line {number}"
    if len(row) > len(header):
        raise SpecError(f"{where}: has {len(row)} values for {len(header)} columns")
    given = {name: text.strip() for name, text in zip(header, row, strict=False) if text.strip()}
    for name in _NEEDED[side]:
        if name not in given:
            raise SpecError(f"{where}, column {name}: is missing")
    rates = [name for name in _RATES[side] if name in given]
    if len(rates) != 1:
        raise SpecError(f"{where}: has {' and '.join(rates) or 'no rate'}: give one of {', '.join(_RATES[side])}")
    kinds = _NEEDED[side] | _OPTIONAL[side] | dict.fromkeys(_RATES[side], float)
    values = {name: _value(text, kinds[name], f"{where}, column {name}") for name, text in given.items()}
    return Line(number=number, values=values, rate=rates[0])


def _value(text: str, kind: Kind, where: str) -> Any:
    if isinstance(kind, tuple):
        return choose(text.lower(), kind, f"value in {where}:")
    if kind is str:
        return text
    try:
        value = kind(plain(text))
    except ValueError:
        raise SpecError(f"{where}: {text!r} is not a {'whole ' if kind is int else ''}number") from None
    if not 0 < float(value) < math.inf:
        raise SpecError(f"{where}: {text} must be above 0")
    return value
