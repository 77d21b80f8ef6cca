"""Pieces of an HTML page; every text goes through `text`, so that nothing a user wrote is read as markup."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import quote

from wse_sim.report.quantities import counted

if TYPE_CHECKING:
    from wse_sim.report.svg import Plot  # imports matplotlib

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # nothing is fetched and nothing runs

_HYPHENED = r"(?<=\s)[^\s&]*-[^\s&]*(?!\S)"  # a word of a line in which nothing is escaped, but its first


def text(content: object) -> str:
    """`content` as text in HTML, also inside an attribute."""
    return escape(str(content), quote=True)


def page(title: str, body: str) -> str:
    """A whole document that needs nothing but itself."""
    style = (files("wse_sim.report") / "report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{text(title)}</h2>\n{''.join(parts)}</section>\n"


def paragraph(content: str, css: str = "") -> str:
    mark = f' class="{css}"' if css else ""
    return f"<p{mark}>{text(content)}</p>\n"


def command_line(line: str) -> str:
    """A command line, broken at its spaces alone, so that what is read off a narrow page can be typed."""
    return f'<p class="code">{unbroken(line, _HYPHENED)}</p>\n'


def unbroken(content: object, words: str) -> str:
    """`content` as text, of which each match of the pattern `words` is broken only where a line is too short for it."""
    return re.sub(words, lambda match: f'<span class="whole">{match[0]}</span>', text(content))


def bullets(items: Iterable[object]) -> str:
    return "<ul>\n" + "".join(f"<li>{text(item)}</li>\n" for item in items) + "</ul>\n"


def link(path: str, content: object) -> str:
    """`content`, which leads to a file below the page, whatever its path looks like."""
    return f'<a href="{text(quote(path))}">{text(content)}</a>'


def tag(kind: str) -> str:
    """The word for where a figure comes from, as a coloured tag."""
    return f'<span class="tag {text(kind)}">{text(kind)}</span>' if kind else ""


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    label: str,
    right: Sequence[str] = (),
    kinds: Sequence[str] = (),
) -> str:
    """A table of text that scrolls sideways on a narrow page.

    Parameters
    ----------
    label :
        What it is, for those who do not see it.
    right :
        Columns of numbers.
    kinds :
        Per column the word for where its figures come from, or "".
    """
    sides = [' class="number"' if name in right else "" for name in header]
    names = "".join(f'<th scope="col"{side}>{text(name)}</th>' for name, side in zip(header, sides, strict=True))
    head = f"{_kind_cells(kinds)}<tr>{names}</tr>"
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{text(cell)}</td>" for cell, side in zip(row, sides, strict=True)) + "</tr>\n"
        for row in rows
    )
    return scrolling(f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table>\n", label)


def _kind_cells(kinds: Sequence[str]) -> str:
    """A row of tags above columns whose figures come from the same place."""
    cells = ""
    for kind, same in groupby(kinds):
        cells += f'<th scope="colgroup" colspan="{len(list(same))}" class="number">{tag(kind)}</th>'
    return f"<tr>{cells}</tr>\n" if cells else ""


def wordy(content: str) -> str:
    """A table whose last column is sentences: it keeps its width on a narrow page."""
    return f'<div class="wordy">\n{content}</div>\n'


def scrolling(content: str, label: str) -> str:
    """`content` in a box that keyboard users can scroll."""
    return f'<div class="scroll" role="region" aria-label="{text(label)}" tabindex="0">\n{content}</div>\n'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values as a list of definitions; pairs without a value are left out."""
    rows = ""
    for name, value in pairs:
        if value:
            mark = ' class="long"' if len(value) > 40 else ""
            rows += f"<div{mark}><dt>{text(name)}</dt><dd>{text(value)}</dd></div>\n"
    return f'<dl class="facts">\n{rows}</dl>\n'


def details(title: str, content: str) -> str:
    """`content` behind a heading that opens, by keyboard too."""
    return f"<details><summary>{text(title)}</summary>\n{content}</details>\n"


def figure(plot: "Plot", caption: str) -> str:
    """A plot with its caption, and its numbers behind a heading that opens."""
    drawings = "".join(
        f'<div class="{size}" role="img" aria-label="{text(plot.alt)}">{svg}</div>\n'
        for size, svg in (("wide", plot.wide), ("narrow", plot.narrow))
    )
    right = [name for name in plot.header if name not in plot.words]
    numbers = table(plot.header, plot.rows, label=f"numbers of: {caption}", right=right)
    shown = details(f"Numbers: {counted(len(plot.rows), 'row')}", numbers)
    return f"<figure>\n{drawings}<figcaption>{text(caption)}</figcaption>\n{shown}</figure>\n"
