"""Drawings as inline SVG that follows the page's colours and letters; the same drawing gives the same bytes."""

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

POINTS_PER_INCH = 72
_HANDLE, _LETTER = 45, 6.5  # points of a legend
WIDE, NARROW = 720, 360  # drawn at the size at which it is read, so that letters stay letters on a phone

# Drawn in these colours, which the page replaces by its own.
INK, FAINT, GRID, PAGE = "#010101", "#010102", "#010103", "#010104"
SERIES = ("#010111", "#010112", "#010113", "#010114", "#010115", "#010116")
_PAGE_COLOURS = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GRID: "var(--grid)",
    PAGE: "var(--page)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)},
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may have dollars in it
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.minor.width": 0.0,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A figure, with what stands beside it.

    Parameters
    ----------
    wide, narrow :
        The same drawing as SVG for a wide page and for a narrow one.
    alt :
        What it shows, in words.
    header, rows :
        Its numbers.
    words :
        Columns of text among them.
    """

    wide: str
    narrow: str
    alt: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: tuple[str, ...] = ()


def plot(
    draw: Callable[[Axes], None],
    alt: str,
    header: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    salt: str,
    height: int = 300,
    words: tuple[str, ...] = (),
) -> Plot:
    wide, narrow = (_svg(draw, width, height, f"{salt}-{width}") for width in (WIDE, NARROW))
    return Plot(wide=wide, narrow=narrow, alt=alt, header=header, rows=rows, words=words)


def legend_below(axes: Axes) -> None:
    """A legend under the plot, in one row where its names leave room for it, else in rows of about one length."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    names = axes.get_legend_handles_labels()[1]
    if names:
        widths = [_HANDLE + _LETTER * len(name) for name in names]
        room = figure.get_figwidth() * POINTS_PER_INCH
        n_rows = 1 if sum(widths) <= room else math.ceil(len(names) / max(1, int(room / max(widths))))
        figure.legend(loc="outside lower left", ncols=math.ceil(len(names) / n_rows), handlelength=1.4)


def _svg(draw: Callable[[Axes], None], width: int, height: int, salt: str) -> str:
    """What `draw` draws as SVG of the same bytes each time: no date, ids that depend on `salt` only."""
    with rc_context({**_STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the page draws letters that are not in this font
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)  # a name may be very long
        figure = Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        _lay_out(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(out.getvalue(), salt)


def _lay_out(figure: Figure) -> None:
    """Find the places of all that is drawn, for good: `savefig` would draw the figure an extra time to find them."""
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    figure.set_layout_engine("none")


def _for_page(svg: str, salt: str) -> str:
    """The element alone, its ids made unique on the page, its colours and letters the page's; what it says stays."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    return re.sub(r"<[^>]*>", lambda tag: _tag_for_page(tag[0], salt), svg).strip()


def _tag_for_page(tag: str, salt: str) -> str:
    # A hundredth of a pixel is enough in attributes; letters stay as they are.
    tag = re.sub(r'="[^"]*"', lambda attribute: re.sub(r"(\d\.\d\d)\d+", r"\1", attribute[0]), tag)
    tag = re.sub(r' id="([^"]*)"', rf' id="{salt}-\1"', tag)
    tag = re.sub(r'(href="#|url\(#)', rf"\1{salt}-", tag)
    tag = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", "var(--font)", tag)
    for drawn, shown in _PAGE_COLOURS.items():
        tag = tag.replace(drawn, shown)
    return tag
