"""Curves in panels side by side, as an SVG or PNG that stands alone; the same curves give the same bytes.

Colours follow the label: a label keeps its colour in every panel and in every role (marked points and the line fitted
to them). They grow lighter from the first label to the last, and marked curves differ in their marks, so that a figure
printed in grey can still be read. The colours are from the sets of Okabe & Ito and of P. Tol for colour-blind readers.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from wse_sim.files import write_atomically
from wse_sim.report.figure_kind import figure_kind

Scale = Literal["linear", "log2", "log10"]
Numbers: TypeAlias = Sequence[float] | npt.NDArray[np.float64]

COLOURS = ("#332288", "#882255", "#117733", "#d55e00", "#cc79a7", "#e69f00")  # from dark to light
_MARKS = "osD^vP"
_LINES = ("-", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))  # a second and a third round through the colours
_DASHED = (0, (4, 2))
_MOST_COLUMNS = 3
_ONE_IN, _PANEL_IN = (6.4, 4.2), (4.2, 3.4)  # size of a panel alone, and of one among others
_LEGEND_ROW_IN, _LABEL_IN, _LETTER_IN = 0.22, 0.6, 0.085
_PNG_DPI = 144
_INK, _FAINT, _GRID = "#1b1c1e", "#5d6166", "#e3e4e1"
_STYLE: Any = {
    "svg.fonttype": "none",  # letters stay letters: they can be searched, and read aloud
    "svg.hashsalt": "wse-sim",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": _INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}
_BASES = {"log2": 2, "log10": 10}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a panel.

    Parameters
    ----------
    label :
        In the legend, once for all curves of this label; "" stays out of it and is drawn in grey.
    x, y :
        The points in the order in which they are joined; a gap where y is not finite.
    low, high :
        Interval around y: error bars on marked points, a band otherwise. Both or neither.
    is_marked :
        Each point has a mark: it was measured, and the line only guides the eye.
    is_joined :
        There is a line; without one the curve is its marks.
    is_dashed :
        For what a law or a fit says.
    """

    label: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    is_marked: bool = False
    is_joined: bool = True
    is_dashed: bool = False

    def __post_init__(self) -> None:
        assert (self.low is None) == (self.high is None), "an interval has two ends"
        assert self.is_joined or self.is_marked, "a curve is seen"
        assert {len(points) for points in (self.y, self.low, self.high) if points is not None} == {len(self.x)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes; a logarithmic one has its ticks at powers of its base."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"


def write_curves(panels: Sequence[Panel], path: Path, *, title: str = "") -> None:
    """Write a figure of panels, at most three in a row, with one legend below them.

    Parameters
    ----------
    path :
        Ends in .svg or .png.

    Raises
    ------
    SpecError
        When the name ends otherwise, or the file cannot be written.
    """
    kind = figure_kind(path)
    with rc_context({"path.simplify": True, **_STYLE}):
        figure = _figure(panels, title)
        out = io.BytesIO()
        # No date and no version: the bytes depend on the curves alone.
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(out, format=kind, dpi=72 if kind == "svg" else _PNG_DPI, metadata=metadata)
    write_atomically(path, out.getvalue())


def _figure(panels: Sequence[Panel], title: str) -> Figure:
    assert panels, "a figure has panels"
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves if curve.label))
    n_rows = math.ceil(len(panels) / _MOST_COLUMNS)
    n_columns = math.ceil(len(panels) / n_rows)
    width_in, height_in = _ONE_IN if len(panels) == 1 else (_PANEL_IN[0] * n_columns, _PANEL_IN[1] * n_rows)
    legend_columns = _legend_columns(labels, width_in)
    height_in += _LEGEND_ROW_IN * math.ceil(len(labels) / legend_columns)
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    styles = _styles(labels)
    for number, panel in enumerate(panels, start=1):
        _draw_panel(figure.add_subplot(n_rows, n_columns, number), panel, styles)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    _legend(figure, labels, legend_columns)
    return figure


def _styles(labels: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Colour, mark and line of each label; few labels are spread over all colours, which keeps their greys apart."""
    n_colours, n = len(COLOURS), len(labels)
    step = (n_colours - 1) / max(n - 1, 1) if n <= n_colours else 1.0
    styles: dict[str, Mapping[str, Any]] = {"": {"color": _FAINT, "marker": ".", "linestyle": "-"}}
    for number, label in enumerate(labels):
        place = round(number * step)
        styles[label] = {
            "color": COLOURS[place % n_colours],
            "marker": _MARKS[place % n_colours],
            "linestyle": _LINES[place // n_colours % len(_LINES)],
        }
    return styles


def _draw_panel(axes: Axes, panel: Panel, styles: Mapping[str, Mapping[str, Any]]) -> None:
    if panel.x_scale != "linear":
        axes.set_xscale("log", base=_BASES[panel.x_scale])
    if panel.y_scale != "linear":
        axes.set_yscale("log", base=_BASES[panel.y_scale])
    for curve in panel.curves:
        _draw_curve(axes, curve, styles[curve.label])
    for axis, scale in ((axes.xaxis, panel.x_scale), (axes.yaxis, panel.y_scale)):
        if scale != "linear":
            _set_ticks(axis, _BASES[scale])
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def _draw_curve(axes: Axes, curve: Curve, style: Mapping[str, Any]) -> None:
    line: dict[str, Any] = {**style, "label": curve.label or "_"}
    if curve.is_dashed:
        line["linestyle"] = _DASHED
    if not curve.is_joined:
        line["linestyle"] = ""
    if not curve.is_marked:
        line["marker"] = ""
    if curve.low is None or curve.high is None:
        axes.plot(curve.x, curve.y, **line)
    elif curve.is_marked:
        ends = zip(curve.y, curve.low, curve.high, strict=True)
        lengths = [(max(0.0, y - low), max(0.0, high - y)) for y, low, high in ends]
        axes.errorbar(curve.x, curve.y, yerr=list(zip(*lengths, strict=True)), elinewidth=1.0, capsize=2.0, **line)
    else:
        axes.fill_between(curve.x, curve.low, curve.high, color=style["color"], alpha=0.18, linewidth=0)
        axes.plot(curve.x, curve.y, **line)


def _set_ticks(axis: Axis, base: int) -> None:
    """Ticks of a logarithmic axis: powers of the base where three or more are in sight, round numbers otherwise."""
    low, high = sorted(axis.get_view_interval())
    span = math.log(high / low, base)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, base)))
    if span >= 2:
        axis.set_major_locator(LogLocator(base=base, numticks=9))
    elif base == 10 and span >= 1:
        axis.set_major_locator(LogLocator(base=base, subs=(1, 2, 5)))
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _tick(value: float, base: int) -> str:
    """A tick of a logarithmic axis: 0.01, 2.5, 64, 2⁻⁷, 10⁹."""
    exponent = math.log(value, base)
    is_power = abs(exponent - round(exponent)) < 1e-6
    is_plain = 0 <= exponent <= 16 if base == 2 else -3 <= exponent <= 4
    if is_power and not is_plain:
        return f"{base}{str(round(exponent)).translate(_SUPERSCRIPT)}"
    return f"{value:,.0f}" if is_power and value >= 1 else f"{value:.4g}"


def _legend(figure: Figure, labels: Sequence[str], n_columns: int) -> None:
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        handles = [entries[label] for label in labels]
        figure.legend(handles, labels, loc="outside lower left", ncols=n_columns, handlelength=2.2, columnspacing=1.6)


def _legend_columns(labels: Sequence[str], width_in: float) -> int:
    column_in = _LABEL_IN + _LETTER_IN * max(map(len, labels), default=0)
    return max(1, min(len(labels), int(width_in / column_in)))
