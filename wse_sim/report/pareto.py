"""What nothing beats in two figures: the points, and the front of each group of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from wse_sim.report.figures import log_ticks, time_ticks
from wse_sim.report.quantities import counted
from wse_sim.report.svg import FAINT, INK, SERIES, Plot, legend_below, plot

MAX_POINTS = 1500  # drawn, beside those on fronts
MAX_ROWS = 100
MOST_GROUPS = 12
_MARKERS = "osD^vP"
_LOGARITHMIC = 2.0  # from this ratio of the largest to the smallest on
_LONG = 8.0  # from this ratio on ticks are at 1, 2 and 5 times powers of ten


class Point(NamedTuple):
    """A configuration: what its caller knows it by, and its two figures."""

    id: int
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One of the two: less of it is better, unless `more_is_better`.

    Parameters
    ----------
    in_words :
        How a value is written.
    is_time :
        In seconds: ticks are minutes, hours, days.
    least_span :
        Of an axis, as a fraction of the largest value: smaller differences do not fill it.
    """

    name: str
    in_words: Callable[[float], str]
    more_is_better: bool = False
    is_time: bool = False
    least_span: float = 0.0


def front(points: Sequence[Point], x: Figure, y: Figure) -> list[Point]:
    """The points that none of the others beats in both figures, in order of x; of equals the first."""
    signs = [-1.0 if figure.more_is_better else 1.0 for figure in (x, y)]
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (signs[0] * point.x, signs[1] * point.y)):
        if not kept or signs[1] * point.y < signs[1] * kept[-1].y:
            kept.append(point)
    return kept


def pareto(
    groups: Mapping[str, Sequence[Point]],
    x: Figure,
    y: Figure,
    *,
    named_point: Callable[[int], str],
    salt: str,
    is_joint: bool = False,
) -> Plot:
    """Points by group, each group with its front; those of groups beyond the twelfth are grey and have none.

    Parameters
    ----------
    groups :
        By name. Of many points, evenly taken ones are drawn.
    named_point :
        The name of a point by its id.
    is_joint :
        The groups compete with each other: there is one front of all.
    """
    named = dict(list(groups.items())[:MOST_GROUPS])
    others = [point for name, of in groups.items() if name not in named for point in of]
    everything = [point for of in groups.values() for point in of]
    fronts = {"": front(everything, x, y)} if is_joint else {name: front(of, x, y) for name, of in named.items()}
    every = -(-len(everything) // MAX_POINTS)

    def draw(axes: Axes) -> None:
        if others:
            _scatter(axes, others[::every], {"color": FAINT, "marker": "."}, f"{len(groups) - len(named)} more")
        for (name, of), style in zip(named.items(), _styles(), strict=False):
            edged = {**style, "markeredgecolor": INK, "markeredgewidth": 0.8}
            if is_joint:
                axes.plot([p.x for p in of], [p.y for p in of], ls="", ms=6, label=name, **edged)
                continue
            _scatter(axes, of[::every], style, "")
            axes.plot([p.x for p in fronts[name]], [p.y for p in fronts[name]], lw=1.2, ms=5.5, label=name, **edged)
        if not is_joint and any(len(fronts[name]) < len(of) for name, of in named.items()):
            _scatter(axes, [], {"color": FAINT, "marker": "o"}, "beaten by another")  # as they are drawn, in the legend
        if is_joint:
            axes.plot([p.x for p in fronts[""]], [p.y for p in fronts[""]], color=FAINT, lw=1.2, zorder=1)
        of_x, of_y = [point.x for point in everything], [point.y for point in everything]
        _scale(axes, "x", x, of_x)
        _scale(axes, "y", y, of_y)
        axes.set_xlabel(_axis_name(x, of_x))
        axes.set_title(_axis_name(y, of_y), loc="left", fontsize=11, color=FAINT)
        legend_below(axes)

    is_whole = len(everything) <= MAX_ROWS  # else the fronts alone are in the table
    on_front = {point for of in fronts.values() for point in of}
    points = [(name, point) for name, of in groups.items() for point in of if is_whole or point in on_front][:MAX_ROWS]
    header: tuple[str, ...] = ("group", "point", x.name, y.name, "on the front")
    table: Sequence[tuple[str, ...]] = [
        (name, named_point(p.id), x.in_words(p.x), y.in_words(p.y), "yes" if p in on_front else "")
        for name, p in points
    ]
    alt = f"{y.name} against {x.name} of {counted(len(everything), 'point')}. "
    alt += "; ".join(_ends(name, of, x, y) for name, of in fronts.items() if of) + "."
    if is_joint:
        header, table = header[1:], [cells[1:] for cells in table]
    words, height = ("group", "point", "on the front"), 300 + 13 * (len(named) + bool(others))
    return plot(draw, alt, header, table, salt=salt, height=height, words=words)


def _styles() -> Iterator[dict[str, Any]]:
    """Colours and marks of groups: no two groups have the same of both."""
    for number in range(MOST_GROUPS):
        mark = _MARKERS[(number + number // len(SERIES)) % len(_MARKERS)]
        yield {"color": SERIES[number % len(SERIES)], "marker": mark}


def _scatter(axes: Axes, points: Sequence[Point], style: Mapping[str, Any], label: str) -> None:
    pale: dict[str, Any] = {**style, "alpha": 0.45, "markeredgewidth": 0}
    axes.plot([p.x for p in points], [p.y for p in points], ls="", ms=4, label=label or "_", **pale)


def _axis_name(figure: Figure, values: Sequence[float]) -> str:
    return f"{figure.name}, logarithmic" if _spans_much(values) else figure.name


def _spans_much(values: Sequence[float]) -> bool:
    return 0 < _LOGARITHMIC * min(values) <= max(values)


def _scale(axes: Axes, side: Literal["x", "y"], figure: Figure, values: Sequence[float]) -> None:
    """Logarithmic where the figure spans much, with ticks where people have them."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    is_log = _spans_much(values)
    if is_log and side == "x" and figure.is_time:
        time_ticks(axes)
        return
    if is_log:
        axes.set(**{f"{side}scale": "log"})
    is_long = is_log and max(values) > _LONG * min(values)
    if is_long and side == "x":
        log_ticks(axes, figure.in_words)
        return
    missing = figure.least_span * max(values) - (max(values) - min(values))
    if missing > 0:
        axes.set(**{f"{side}lim": (min(values) - missing / 2, max(values) + missing / 2)})
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if is_long else MaxNLocator(5))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: figure.in_words(value)))


def _ends(name: str, points: Sequence[Point], x: Figure, y: Figure) -> str:
    first, last = points[0], points[-1]
    ends = [f"{x.in_words(point.x)} at {y.in_words(point.y)}" for point in dict.fromkeys((first, last))]
    return f"{name or 'front'}: {' to '.join(ends)}"
