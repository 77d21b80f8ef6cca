"""Tables on a terminal that is narrow for them: no word is broken; where that cannot be, a row becomes a few lines."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAPS = (2, 1)  # between columns
_INDENT = 2  # of the lines of a row
_WORD = re.compile(r"[^ \n]+")  # in which a space that is not to be broken may be
_NUMBER = re.compile(r"[\d.,]+")
_QUANTITY = re.compile(r"[\d.,]+ \S+")
_LONGEST_WORD = 24  # a longer one, such as an address, may be broken


def fitted(part: RenderableType, console: Console) -> Iterator[RenderableType]:
    """`part` as it is; a table that is too wide with its words whole, or in lines where these do not fit in a row."""
    if not isinstance(part, Table) or console.measure(part).maximum < console.width or _keeps_words(part, console):
        yield part
        return
    for column in part.columns:
        if part.show_header and isinstance(column.header, str) and " " not in column.header:
            column.header = column.header.replace("_", " ")  # may be broken here
    if _is_fitted(part, console):
        yield part
        return
    if part.title:
        yield part.title
    names = [_text(column.header) for column in part.columns] if part.show_header else []
    for cells in zip(*(list(column.cells) for column in part.columns), strict=True):
        texts = [_text(cell) for cell in cells]
        yield from _row(names, texts) if any(name.plain for name in names) else _line(texts)


def _keeps_words(table: Table, console: Console) -> bool:
    """Whether the table's own widths break no word."""
    written = Counter(word for line in console.render_lines(table) for word in "".join(s.text for s in line).split())
    texts = (text for place in range(len(table.columns)) for text in _texts(table, place))
    return written >= Counter(word for text in texts for word in text.replace("\N{NO-BREAK SPACE}", " ").split())


def _is_fitted(table: Table, console: Console) -> bool:
    """Gives the columns widths at which no word is broken, if there are such; those that want least more get it."""
    texts_of = [_texts(table, place) for place in range(len(table.columns))]
    words = [_longest(_WORD.findall("\n".join(texts))) for texts in texts_of]
    least = [
        word if column.no_wrap else min(word, _LONGEST_WORD) for word, column in zip(words, table.columns, strict=True)
    ]
    gap = next((gap for gap in _GAPS if sum(least) + gap * len(least) <= console.width), None)
    if gap is None:
        return False
    table.padding = (0, gap, 0, 0)
    spare = console.width - sum(least) - gap * len(least)
    wanted = [_longest(line for text in texts for line in text.splitlines()) for texts in texts_of]
    for place in sorted(range(len(least)), key=lambda place: wanted[place] - least[place]):
        more = min(spare, wanted[place] - least[place])
        table.columns[place].width, table.columns[place].overflow = least[place] + more, "fold"
        spare -= more
    return True


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _texts(table: Table, place: int) -> list[str]:
    """Of a column: its header, and its cells, of which those that are not to be wrapped come without spaces.

    A number and its unit are not to be.
    """
    column = table.columns[place]
    cells = [_text(cell).plain for cell in column.cells]
    header = [_text(column.header).plain] if table.show_header else []
    return header + [
        cell.replace(" ", "\N{NO-BREAK SPACE}") if column.no_wrap or _QUANTITY.fullmatch(cell) else cell
        for cell in cells
    ]


def _row(names: list[Text], cells: list[Text]) -> Iterator[RenderableType]:
    """What the first cells say up to one that has a name, and below it the others with the names of their columns.

    A first cell that is a mere number has the name of its column too.
    """
    n_head = 1 + next((place for place, cell in enumerate(cells[:-1]) if names[place].plain and cell.plain), 0)
    *before, head = cells[:n_head]
    yield from _line([*before, _labelled(names[n_head - 1], head) if _NUMBER.fullmatch(head.plain) else head])
    for name, cell in zip(names[n_head:], cells[n_head:], strict=True):
        if cell.plain:
            yield Padding(_labelled(name, cell), (0, 0, 0, _INDENT))


def _labelled(name: Text, cell: Text) -> Text:
    label = " ".join(name.plain.split())
    return Text.assemble((f"{label}  " if label else "", "dim"), cell)


def _line(cells: list[Text]) -> Iterator[RenderableType]:
    """All cells, one behind the other."""
    yield Text("  ").join([cell for cell in cells if cell.plain.strip()])


def _text(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
