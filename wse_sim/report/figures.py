"""The plots of a report."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from wse_sim.report.headline import loss_unit
from wse_sim.report.quantities import count, duration, percent
from wse_sim.report.svg import FAINT, GRID, POINTS_PER_INCH, SERIES, Plot, legend_below, plot
from wse_sim.report.trace_reading import Lane
from wse_sim.units import S_PER_DAY, S_PER_HOUR

MAX_POINTS, LEAST_POINTS, _FEW = 800, 64, 4  # of a curve; curves that have all of theirs
MAX_ROWS = 100  # of a table of numbers
TIMELINE_BINS = 300
_S_PER_MINUTE = 60.0
_SPARSE_TICKS = {
    **{10.0**power: name for power, name in ((-3, "1 ms"), (-2, "10 ms"), (-1, "0.1 s"), (0, "1 s"), (1, "10 s"))},
    **{_S_PER_MINUTE * n: f"{n} min" for n in (1, 10)},
    **{S_PER_HOUR * n: f"{n} h" for n in (1, 6)},
    **{S_PER_DAY * n: f"{n} day{'s' * (n > 1)}" for n in (1, 10, 100, 1000)},
}
_DENSE_TICKS = {
    **_SPARSE_TICKS,
    **{float(n): f"{n} s" for n in (2, 5, 20, 30)},
    **{_S_PER_MINUTE * n: f"{n} min" for n in (2, 5, 20, 30)},
    **{S_PER_HOUR * n: f"{n} h" for n in (2, 12)},
    **{S_PER_DAY * n: f"{n} days" for n in (2, 3, 5, 20, 30, 50, 200, 500)},
}
_LEAST_TICKS = 3
_TICK_WIDTH = 60  # points that one takes at most, with the space beside it

Row = Mapping[str, Any]


def loss_by_step(rows: Sequence[Row]) -> Plot:
    """Training and validation loss against steps."""
    points = _thinned(rows, MAX_POINTS)
    checked = [row for row in rows if row.get("val_loss") is not None]

    def draw(axes: Axes) -> None:
        axes.plot([r["step"] for r in points], [r["loss"] for r in points], color=SERIES[0], alpha=0.35, linewidth=0.8)
        smooth = _running_mean(rows, MAX_POINTS)
        axes.plot([r["step"] for r in smooth], [r["loss"] for r in smooth], color=SERIES[0], label="training, mean")
        _draw_validation(axes, _thinned(checked, MAX_POINTS), "step", SERIES[0])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count(x)))
        _label(axes, "optimizer step", rows)
        _legend(axes)

    alt = f"Training loss falls from {rows[0]['loss']:.3f} to {rows[-1]['loss']:.3f} over {rows[-1]['step']:,} steps"
    if checked:
        alt += f"; validation loss ends at {checked[-1]['val_loss']:.3f}"
    table = [
        (f"{r['step']:,}", count(r["tokens"]), f"{r['loss']:.4f}", _shown(r.get("val_loss"))) for r in _table_rows(rows)
    ]
    return plot(draw, alt + ".", ("step", "tokens", "training loss", "validation loss"), table, salt="loss-by-step")


def loss_by_tokens(rows: Sequence[Row]) -> Plot:
    """Training and validation loss against the tokens of this run, both logarithmic, as laws of the loss see them."""

    def draw(axes: Axes) -> None:
        _draw_loss(axes, rows, "tokens", SERIES[0], "training, mean", circles="validation")
        _token_axes(axes, rows)
        _legend(axes)

    alt = f"Training loss reaches {rows[-1]['loss']:.3f} after {count(rows[-1]['tokens'])} tokens, both logarithmic."
    table = [(count(r["tokens"]), f"{r['loss']:.4f}", _shown(r.get("val_loss"))) for r in _table_rows(rows)]
    return plot(draw, alt, ("tokens", "training loss", "validation loss"), table, salt="loss-by-tokens")


def loss_by_time(rows: Sequence[Row]) -> Plot:
    """Loss against the simulated time of the full-size run, on the wafer cluster and on GPUs where there are any."""
    sides = [(name, key) for name, key in (("wafer cluster", "wafer_s"), ("GPU cluster", "gpu_s")) if _has(rows, key)]

    def draw(axes: Axes) -> None:
        for (name, key), colour in zip(sides, SERIES, strict=False):
            _draw_loss(axes, rows, key, colour, name, circles="" if key != sides[0][1] else "validation")
        _time_axis(axes, rows)
        legend_below(axes)  # three names: above there is no room on a narrow page

    ends = [f"{duration(rows[-1][key])} on the {name}" for name, key in sides]
    alt = f"Loss reaches {rows[-1]['loss']:.3f} after a simulated {' and '.join(ends)}."
    table = [
        (f"{r['loss']:.4f}", *(_time(r.get(key)) for _, key in sides), _shown(r.get("val_loss")))
        for r in _table_rows(rows)
    ]
    header = ("training loss", *(f"{name}, simulated time" for name, _ in sides), "validation loss")
    return plot(draw, alt, header, table, salt="loss-by-time")


def losses_by_tokens(runs: Mapping[str, Sequence[Row]]) -> Plot:
    """Loss of several runs against the tokens that each saw here, both logarithmic."""
    return _losses(runs, "tokens", "tokens", count, _token_axes)


def losses_by_time(runs: Mapping[str, Sequence[Row]], key: str, cluster: str) -> Plot:
    """Loss of several runs against the simulated time of each.

    Parameters
    ----------
    key :
        Of a row: `wafer_s` or `gpu_s`.
    cluster :
        The same in words.
    """
    return _losses(runs, key, f"simulated time on the {cluster}", duration, _time_axis)


def _losses(
    runs: Mapping[str, Sequence[Row]],
    key: str,
    x: str,
    in_words: Callable[[float], str],
    label_axes: Callable[[Axes, Sequence[Row]], None],
) -> Plot:
    def draw(axes: Axes) -> None:
        for number, (name, rows) in enumerate(runs.items()):
            style = "-" if number < len(SERIES) else "--"
            _draw_loss(axes, rows, key, SERIES[number % len(SERIES)], name, style, len(runs))
        label_axes(axes, next(iter(runs.values())))
        legend_below(axes)

    ends = [f"{name} {rows[-1]['loss']:.3f} after {in_words(rows[-1][key])}" for name, rows in runs.items()]
    table = [
        (name, f"{r['step']:,}", in_words(r[key]), f"{r['loss']:.4f}", _shown(r.get("val_loss")))
        for name, rows in runs.items()
        for r in _thinned(rows, MAX_ROWS // len(runs) + 1)
    ]
    header = ("run", "step", x, "training loss", "validation loss")
    alt = f"Loss against {x}; at the end: {'; '.join(ends)}."
    return plot(draw, alt, header, table, salt=f"losses-by-{key}", height=300 + 18 * len(runs), words=("run",))


def timeline(lanes: Sequence[Lane]) -> Plot:
    """How busy each resource is over one step, forward and backward passes told apart."""
    end_us = max(lane.end_us for lane in lanes)
    unit_us, unit = (1e6, "s") if end_us >= 2e6 else (1e3, "ms")

    def draw(axes: Axes) -> None:
        for number, lane in enumerate(lanes):
            _draw_lane(axes, lane, end_us, unit_us, floor=number + 0.4)
            share = percent(lane.busy_us / end_us)
            axes.annotate(share, (1.01, number), xycoords=("axes fraction", "data"), va="center", color=FAINT)
        axes.set_ylim(len(lanes) - 0.5, -0.5)
        axes.set_yticks(range(len(lanes)), [lane.name for lane in lanes])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, end_us / unit_us)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"simulated time in the step ({unit})")
        for name, colour in zip(("forward", "backward"), SERIES, strict=False):
            axes.plot([], [], color=colour, linewidth=7, label=name)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handlelength=1.0)

    table = [
        (lane.name, duration(lane.busy_us / 1e6), percent(lane.busy_us / end_us), f"{lane.n_slices:,}")
        for lane in lanes
    ]
    alt = "Share of the time shown in which each resource works: "
    alt += "; ".join(f"{name} {share}" for name, _, share, _ in table) + "."
    header = ("resource", "works", "share of the time shown", "pieces of work")
    return plot(draw, alt, header, table, salt="timeline", height=90 + 30 * len(lanes), words=("resource",))


def time_ticks(axes: Axes) -> None:
    """Make the horizontal axis, of seconds, logarithmic, with ticks where clocks have them."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = _within(_SPARSE_TICKS, low, high)
    if len(ticks) < _LEAST_TICKS:
        ticks = _few(axes, _within(_DENSE_TICKS, low, high))
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)) if len(ticks) > 1 else LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: ticks.get(x) or duration(x)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low, high)


def _within(ticks: Mapping[float, str], low: float, high: float) -> dict[float, str]:
    return {seconds: name for seconds, name in ticks.items() if low <= seconds <= high}


def log_ticks(axes: Axes, in_words: Callable[[float], str]) -> None:
    """Ticks of a logarithmic horizontal axis at 1, 2 and 5 times powers of ten, as many as there is room for."""
    low, high = axes.get_xlim()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = _few(axes, _within({m * 10.0**power: "" for power in powers for m in (1, 2, 5)}, low, high))
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: in_words(x)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low, high)


def _few(axes: Axes, ticks: Mapping[float, str]) -> dict[float, str]:
    """As many of them as a horizontal logarithmic axis has room for, from the left."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    low, high = axes.get_xlim()
    room = _TICK_WIDTH / (figure.get_figwidth() * POINTS_PER_INCH) * math.log(high / low)
    kept: dict[float, str] = {}
    for value, name in sorted(ticks.items()):
        if not kept or math.log(value / next(reversed(kept))) >= room:
            kept[value] = name
    return kept


def _draw_lane(axes: Axes, lane: Lane, end_us: float, unit_us: float, floor: float) -> None:
    """The share of each short interval in which the lane works, as a height above `floor`; backward upon forward."""
    edges = [end_us / unit_us * index / TIMELINE_BINS for index in range(TIMELINE_BINS + 1)]
    below = [floor] * TIMELINE_BINS
    axes.plot([0, edges[-1]], [floor, floor], color=GRID, linewidth=0.8, zorder=1)
    for shares, colour in zip(lane.shares(end_us, TIMELINE_BINS), SERIES, strict=False):
        above = [low - 0.8 * share for low, share in zip(below, shares, strict=True)]
        if any(shares):
            tops, bottoms = [*above, above[-1]], [*below, below[-1]]
            axes.fill_between(edges, bottoms, tops, step="post", facecolor=colour, linewidth=0)
        below = above


def _draw_loss(
    axes: Axes, rows: Sequence[Row], key: str, colour: str, name: str, style: str = "-", n: int = 1, circles: str = ""
) -> None:
    """The running mean against a column, and circles for validation text, which the legend calls `circles`; of each
    fewer points where there are `n` curves.
    """
    known = [row for row in rows if (row.get(key) or 0) > 0]
    points = _running_mean(known, max(LEAST_POINTS, MAX_POINTS * _FEW // max(_FEW, n)))
    axes.plot([r[key] for r in points], [r["loss"] for r in points], style, color=colour, label=name)
    checked = [row for row in known if row.get("val_loss") is not None]
    _draw_validation(axes, _thinned(checked, MAX_POINTS // n + 1), key, colour, name=circles)


def _draw_validation(axes: Axes, rows: Sequence[Row], key: str, colour: str, name: str = "validation") -> None:
    if rows:
        style = {"marker": "o", "markersize": 4.5, "markerfacecolor": "none", "linewidth": 0, "color": colour}
        axes.plot([r[key] for r in rows], [r["val_loss"] for r in rows], label=name or "_", **style)  # type: ignore[arg-type]


def _time_axis(axes: Axes, rows: Sequence[Row]) -> None:
    _label(axes, "simulated time, logarithmic", rows)
    time_ticks(axes)


def _token_axes(axes: Axes, rows: Sequence[Row]) -> None:
    _label(axes, "tokens of the run here; both axes logarithmic", rows)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    log_ticks(axes, count)
    axes.yaxis.set_minor_locator(NullLocator())


def _label(axes: Axes, x: str, rows: Sequence[Row]) -> None:
    unit = loss_unit(rows[-1]["loss"], rows[-1].get("bits_per_byte"))
    axes.set_xlabel(x)
    axes.set_title(f"loss ({unit})", loc="left", fontsize=11, color=FAINT)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1, handlelength=1.4, columnspacing=1.2
        )


def _has(rows: Sequence[Row], key: str) -> bool:
    return any((row.get(key) or 0) > 0 for row in rows)


def _thinned(rows: Sequence[Any], most: int) -> list[Any]:
    """At most about `most` rows, evenly taken, the last one always among them."""
    every = -(-len(rows) // most)
    return [row for index, row in enumerate(rows) if index % every == 0 or index == len(rows) - 1]


def _table_rows(rows: Sequence[Row]) -> list[Row]:
    """Evenly taken rows, and those with a validation loss, evenly taken too where there are many."""
    checked = [row for row in rows if row.get("val_loss") is not None]
    kept = {id(row) for row in (*_thinned(rows, MAX_ROWS), *_thinned(checked, MAX_ROWS))}
    return [row for row in rows if id(row) in kept]


def _running_mean(rows: Sequence[Row], most: int) -> list[Row]:
    """`_thinned` rows with the mean loss of the last twentieth of all rows, of fewer where the curve begins."""
    widest = max(1, len(rows) // 20)
    means: list[Row] = []
    for index in _thinned(range(len(rows)), most):
        window = rows[index - min(widest, 1 + index // 4) + 1 : index + 1]
        means.append({**rows[index], "loss": sum(r["loss"] for r in window) / len(window)})
    return means


def _shown(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.4f}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)
