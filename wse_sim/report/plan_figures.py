"""The figures of a plan, from the content of plan.json."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from wse_sim.report.plan_tables import leaves_no_end, named
from wse_sim.report.quantities import counted, duration, money, named_density
from wse_sim.report.sensitivity import Ends
from wse_sim.report.svg import FAINT, INK, SERIES, Plot, legend_below, plot
from wse_sim.report.tornado import tornado
from wse_sim.units import S_PER_DAY

Content = Mapping[str, Any]

_TICKS, _FEWER_TICKS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0)  # in a decade
_FEW_DECADES = 30.0  # over which an axis has room for many of them
_STYLES = tuple(product("osD^v", SERIES))  # marker and colour of each density


def pareto_plot(plan: Content) -> Plot:
    """Cost against wall clock, a mark for each density, a larger one for a lower loss, the best one ringed."""
    front: Sequence[Content] = plan["front"]

    def draw(axes: Axes) -> None:
        _draw_front(axes, front)
        if plan["best"] is not None:
            days, usd = plan["best"]["wall_clock_s"] / S_PER_DAY, plan["best"]["cost_usd"]
            axes.scatter([days], [usd], s=160, facecolors="none", edgecolors=INK, linewidths=1.6, label="to book")
        if plan["constraints"]["deadline_s"]:
            axes.axvline(plan["constraints"]["deadline_s"] / S_PER_DAY, color=FAINT, linestyle="--", label="deadline")
        if plan["constraints"]["max_cost_usd"]:
            axes.axhline(plan["constraints"]["max_cost_usd"], color=FAINT, linestyle=":", label="most to pay")
        _log_axes(axes)
        axes.set_xlabel("wall clock, days (simulated); both axes logarithmic")
        axes.set_ylabel("cost (simulated)")
        legend_below(axes)

    table = [(named(row), duration(row["wall_clock_s"]), money(row["cost_usd"]), f"{row['loss']:.3f}") for row in front]
    header = ("configuration", "wall clock", "cost", "loss")
    return plot(draw, _in_words(front), header, table, salt="pareto", height=380, words=("configuration",))


def days_tornado(plan: Content, n_bars: int) -> Plot:
    """Which assumption moves the days of the configuration most; without those that leave it no end."""
    shown = plan["best"] or plan["nearest_miss"]
    bars = [
        Ends(
            bar["constant"],
            bar["low"],
            bar["high"],
            bar["wall_clock_s_at_low"] / S_PER_DAY,
            bar["wall_clock_s_at_high"] / S_PER_DAY,
        )
        for bar in [bar for bar in plan["tornado"] if not leaves_no_end(bar)][:n_bars]
    ]
    return tornado(
        bars,
        at=shown["wall_clock_s"] / S_PER_DAY,
        result="days of wall clock (closed form)",
        shown="{:.3g}".format,
        salt="days-tornado",
    )


def _draw_front(axes: Axes, front: Sequence[Content]) -> None:
    sizes = _sizes([row["loss"] for row in front])
    densities = sorted({row["density"] for row in front}, reverse=True)
    for number, density in enumerate(densities):
        marker, colour = _STYLES[number % len(_STYLES)]
        marked = [(row, size) for row, size in zip(front, sizes, strict=True) if row["density"] == density]
        axes.scatter(
            [row["wall_clock_s"] / S_PER_DAY for row, _ in marked],
            [row["cost_usd"] for row, _ in marked],
            s=[size for _, size in marked],
            color=colour,
            marker=marker,
            alpha=0.7,
            linewidths=0,
        )
        axes.scatter([], [], s=40, color=colour, marker=marker, label=named_density(density))


def _sizes(losses: Sequence[float]) -> list[float]:
    """Of the marks, the largest for the lowest loss."""
    lowest, highest = min(losses), max(losses)
    shares = [(highest - loss) / (highest - lowest) if highest > lowest else 1.0 for loss in losses]
    return [8 + 70 * share**2 for share in shares]


def _in_words(front: Sequence[Content]) -> str:
    times_s, costs_usd, losses = ([row[name] for row in front] for name in ("wall_clock_s", "cost_usd", "loss"))
    return (
        f"{counted(len(front), 'configuration')} from {duration(min(times_s))} to {duration(max(times_s))}, "
        f"{money(min(costs_usd))} to {money(max(costs_usd))}, projected loss {min(losses):.3f} to {max(losses):.3f}."
    )


def _log_axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        axis.set_major_locator(LogLocator(subs=_TICKS if high < _FEW_DECADES * low else _FEWER_TICKS, numticks=20))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda days, _: f"{days:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"${usd:,.0f}"))
    axes.tick_params(colors=FAINT)
