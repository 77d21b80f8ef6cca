"""The table of a sweep as a file: a header and a line for each row as CSV, or an object for each row as JSON lines."""

import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.files import open_file, write_atomically
from wse_sim.report.spreadsheet import inert, word_of
from wse_sim.sweeps.keys import Value
from wse_sim.sweeps.sweep import Row, Status, Sweep

Cells = dict[str, Value | None]
Numbers = npt.NDArray[np.float64]
_WHOLE = re.compile(r"-?\d+")
_LINES_AT_ONCE = 1000
_GZIP = 31  # how zlib is asked for gzip's header


def require_table_name(path: Path) -> None:
    """Raises SpecError unless the suffix says how the table is written."""
    if _suffix(path) not in _FORMATS:
        right = path.with_suffix(".csv")
        raise SpecError(f"{path}: a table ends in {', '.join(_FORMATS)}; {right} would be right")


def write_table(path: Path, sweep: Sweep, rows: Iterable[Row]) -> None:
    """Write the rows: the same bytes for the same rows.

    Numbers are written so that they read back as they were.

    Raises
    ------
    SpecError
        When the file cannot be written, or its suffix is none of `.csv`, `.csv.gz` and `.jsonl`.
    """
    require_table_name(path)
    write, _ = _FORMATS[_suffix(path)]
    write_atomically(path, write(sweep.columns, map(sweep.cells, rows)))


def read_table(path: Path, sweep: Sweep) -> Iterator[Row]:
    """The rows of a table that `write_table` wrote for this sweep, as they are read.

    Raises
    ------
    SpecError
        When it cannot be read, or does not hold a row for each point.
    """
    _, read = _FORMATS[_suffix(path)]
    n_rows = 0
    try:
        for cells in read(path):
            yield _row(n_rows, cells, sweep)
            n_rows += 1
    except (OSError, ValueError, IndexError, EOFError, csv.Error, zlib.error, msgspec.MsgspecError):
        n_rows = -1
    if n_rows != len(sweep.points):
        raise SpecError(f"{path}: is not as the sweep left it; remove it, and the sweep can be run anew")


def read_columns(
    path: Path, *, words: Sequence[str], numbers: Sequence[str], is_read: npt.NDArray[np.bool_] | None = None
) -> tuple[dict[str, list[Value | None]], dict[str, Numbers]]:
    """Columns of a table that `write_table` wrote, by name, where it has them.

    Parameters
    ----------
    words :
        Columns of any values, few of which are different.
    numbers :
        Columns of numbers; NaN where a cell is empty.
    is_read : (n_rows,)
        Which rows are wanted; None = all.

    Raises
    ------
    SpecError
        When it cannot be read.
    """
    texts: dict[str, list[Value | None]] = {}
    parts: dict[str, list[Numbers]] = {}
    for of_words, of_numbers in read_blocks(path, words=words, numbers=numbers, is_read=is_read):
        for name, cells in of_words.items():
            texts.setdefault(name, []).extend(cells)
        for name, part in of_numbers.items():
            parts.setdefault(name, []).append(part)
    return texts, {name: np.concatenate(of) for name, of in parts.items()}


def read_blocks(
    path: Path,
    *,
    words: Sequence[str],
    numbers: Sequence[str],
    is_read: npt.NDArray[np.bool_] | None = None,
    n_at_once: int = 10_000,
) -> Iterator[tuple[dict[str, list[Value | None]], dict[str, Numbers]]]:
    """The same, so many rows at a time; at least one part, which may have no rows.

    Raises
    ------
    SpecError
        When it cannot be read.
    """
    try:
        rows = _cells(path)
        header = next(rows, [])
        wanted = rows if is_read is None else itertools.compress(rows, is_read.tobytes())
        block = _Block(header, words, numbers)
        while cells := list(itertools.islice(wanted, n_at_once)):
            yield block.columns(cells)
            if len(cells) < n_at_once:
                return
        yield block.columns([])
    except (OSError, ValueError, IndexError, EOFError, csv.Error, zlib.error, msgspec.MsgspecError) as error:
        raise SpecError(f"{path}: is no table of a sweep: {error}") from None


class _Block:
    """Makes columns of rows."""

    def __init__(self, header: Sequence[str], words: Sequence[str], numbers: Sequence[str]) -> None:
        place = {name: number for number, name in enumerate(header)}
        self._of_words = {name: place[name] for name in words if name in place}
        self._of_numbers = {name: place[name] for name in numbers if name in place}
        self._known: dict[str, Value | None] = {}  # cells that were read before: there are few of them

    def columns(self, rows: list[list[str]]) -> tuple[dict[str, list[Value | None]], dict[str, Numbers]]:
        texts = {name: [self._value(row[place]) for row in rows] for name, place in self._of_words.items()}
        floats = {
            name: np.array([float(row[place] or "nan") for row in rows], np.float64)
            for name, place in self._of_numbers.items()
        }
        return texts, floats

    def _value(self, cell: str) -> Value | None:
        if cell not in self._known:
            self._known[cell] = _value(cell)
        return self._known[cell]


def _cells(path: Path) -> Iterator[list[str]]:
    """Header and rows of a table as CSV has them, whichever way it is written; a line at a time, tables are long."""
    if _suffix(path) == ".jsonl":
        with open_file(path) as lines:
            for number, line in enumerate(lines):
                cells = msgspec.json.decode(line, type=Cells)
                if not number:
                    yield list(cells)
                yield ["" if cell is None else str(_cell(cell)) for cell in cells.values()]
        return
    yield from _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with open_file(path) as file:
        content = gzip.GzipFile(fileobj=file) if _suffix(path) == ".csv.gz" else file
        with io.TextIOWrapper(content, encoding="utf-8", newline="") as text:
            yield from csv.reader(text, strict=True)


def _row(index: int, cells: Cells, sweep: Sweep) -> Row:
    if tuple(cells) != sweep.columns:
        raise ValueError("other columns")
    return Row(
        index=index,
        status=msgspec.convert(cells["status"], Status),
        reason=str(cells["reason"] or ""),
        results={name: cells[name] for name in sweep.results},
    )


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _written_csv(columns: tuple[str, ...], table: Iterable[Cells]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, cells in enumerate(table, start=1):
        writer.writerow(map(_cell, cells.values()))
        if number % _LINES_AT_ONCE == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _cell(value: Value | None) -> object:
    if isinstance(value, str):
        return inert(value)
    return str(value).lower() if isinstance(value, bool) else value  # csv writes None as nothing, floats as repr


def _read_csv(path: Path) -> Iterator[Cells]:
    rows = _csv_rows(path)
    header = next(rows, [])
    return (dict(zip(header, map(_value, cells), strict=True)) for cells in rows)


def _value(cell: str) -> Value | None:
    """The number or word that `_cell` wrote."""
    if not cell or _WHOLE.fullmatch(cell):
        return int(cell) if cell else None
    try:
        return float(cell)
    except ValueError:
        return word_of(cell)


def _gzipped_csv(columns: tuple[str, ...], table: Iterable[Cells]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=9, wbits=_GZIP)  # says no time, or the same rows would not be the same bytes
    yield from map(compressor.compress, _written_csv(columns, table))
    yield compressor.flush()


def _written_jsonl(columns: tuple[str, ...], table: Iterable[Cells]) -> Iterator[bytes]:
    return (msgspec.json.encode(cells) + b"\n" for cells in table)


def _read_jsonl(path: Path) -> Iterator[Cells]:
    with open_file(path) as lines:
        for line in lines:
            yield msgspec.json.decode(line, type=Cells)


Write = Callable[[tuple[str, ...], Iterable[Cells]], Iterator[bytes]]
Read = Callable[[Path], Iterable[Cells]]
_FORMATS: dict[str, tuple[Write, Read]] = {
    ".csv": (_written_csv, _read_csv),
    ".csv.gz": (_gzipped_csv, _read_csv),
    ".jsonl": (_written_jsonl, _read_jsonl),
}
