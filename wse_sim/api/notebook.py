"""Results as notebooks show them: a table without colours of its own, so that it is at home on light and dark pages."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from wse_sim.errors import SpecError, installs
from wse_sim.report.headline import Line
from wse_sim.report.markup import text

if TYPE_CHECKING:
    from pandas import DataFrame

_SCALARS = str | int | float | bool | None
_LEFT, _RIGHT, _NOTE = "text-align:left", "text-align:right", "text-align:left;opacity:.7"


def plain(record: object) -> dict[str, Any]:
    """A record as JSON has it: objects and lists, no tuples."""
    values: dict[str, Any] = _listed(msgspec.to_builtins(record))
    return values


def frame(records: Iterable[Mapping[str, Any]]) -> "DataFrame":
    """Records as a pandas DataFrame, a row each; the keys of inner objects follow a point, lists are left out.

    Raises
    ------
    SpecError
        When pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise SpecError(f"pandas is not installed here: {installs('pandas')}; to_dict needs none") from None
    return pandas.DataFrame([_flat(record) for record in records])


def lines_html(title: str, lines: Sequence[Line]) -> str:
    """Lines of a headline: name, value, note, and the word for where the figure comes from."""
    rows = ""
    for group, of_group in groupby(lines, key=lambda line: line.group):
        rows += _heading(group, 4) if group else ""
        for line in of_group:
            cells = ((line.name, _LEFT), (line.value, _RIGHT), (line.note, _NOTE), (line.kind, _NOTE))
            rows += _row(cells)
    return _table(title, "", rows)


def table_html(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table of text; the columns named in `right` are numbers, a row of one cell is a heading of those below it."""
    sides = [_RIGHT if name in right else _LEFT for name in header]
    head = "".join(f'<th style="{side}">{text(name)}</th>' for name, side in zip(header, sides, strict=True))
    body = "".join(
        _heading(row[0], len(sides)) if len(row) == 1 else _row(zip(row, sides, strict=True)) for row in rows
    )
    return _table(title, f"<thead><tr>{head}</tr></thead>\n", body)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value


def _table(title: str, head: str, rows: str) -> str:
    caption = f'<caption style="{_LEFT};caption-side:top;color:inherit"><b>{text(title)}</b></caption>'
    return f"<table>{caption}\n{head}<tbody>\n{rows}</tbody></table>\n"


def _heading(content: str, n_columns: int) -> str:
    return f'<tr><th colspan="{n_columns}" style="{_LEFT}">{text(content)}</th></tr>\n'


def _row(cells: Iterable[tuple[str, str]]) -> str:
    return f"<tr>{''.join(_cell(*cell) for cell in cells)}</tr>\n"


def _cell(content: str, style: str) -> str:
    return f'<td style="{style}">{text(content)}</td>'


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a record: its own, and those of inner objects that hold nothing else."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, _SCALARS):
            flat[name] = value
        elif isinstance(value, Mapping) and all(isinstance(inner, _SCALARS) for inner in value.values()):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
    return flat
