"""The figures of a plan, from the content of plan.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from wse_sim.report.plan_tables import named
from wse_sim.report.quantities import duration, money
from wse_sim.report.svg import FAINT, INK, SERIES, Plot, legend_below, plot
from wse_sim.report.tornado import Bar, tornado
from wse_sim.units import S_PER_DAY

Content = Mapping[str, Any]


def pareto_plot(plan: Content) -> Plot:
    """Cost against wall clock, a colour for each density, a larger mark for a lower loss, the best one ringed."""
    front: Sequence[Content] = plan["front"]
    densities = sorted({row["density"] for row in front}, reverse=True)
    losses = [row["loss"] for row in front]
    lowest, highest = min(losses), max(losses)

    def size(row: Content) -> float:
        share = (highest - row["loss"]) / (highest - lowest) if highest > lowest else 1.0
        return 8 + 70 * float(share) ** 2

    def draw(axes: Axes) -> None:
        for density, colour in zip(densities, SERIES, strict=False):
            rows = [row for row in front if row["density"] == density]
            axes.scatter(
                [row["wall_clock_s"] / S_PER_DAY for row in rows],
                [row["cost_usd"] for row in rows],
                s=[size(row) for row in rows],
                color=colour,
                alpha=0.7,
                linewidths=0,
            )
            axes.scatter([], [], s=40, color=colour, label="dense" if density == 1 else f"density {density:g}")
        if plan["best"] is not None:
            days, usd = plan["best"]["wall_clock_s"] / S_PER_DAY, plan["best"]["cost_usd"]
            axes.scatter([days], [usd], s=160, facecolors="none", edgecolors=INK, linewidths=1.6, label="to book")
        _log_axes(axes)
        axes.set_xlabel("wall clock, days (simulated)")
        axes.set_ylabel("cost (simulated)")
        legend_below(axes)

    table = [(named(row), duration(row["wall_clock_s"]), money(row["cost_usd"]), f"{row['loss']:.3f}") for row in front]
    alt = (
        f"{len(front)} configurations from {duration(min(r['wall_clock_s'] for r in front))} to "
        f"{duration(max(r['wall_clock_s'] for r in front))}, {money(min(r['cost_usd'] for r in front))} to "
        f"{money(max(r['cost_usd'] for r in front))}, projected loss {lowest:.3f} to {highest:.3f}."
    )
    return plot(draw, alt, ("configuration", "wall clock", "cost", "loss"), table, salt="pareto", height=380)


def days_tornado(plan: Content, n_bars: int) -> Plot:
    """Which assumption moves the days of the configuration most."""
    shown = plan["best"] or plan["nearest_miss"]
    bars = [
        Bar(
            bar["constant"],
            bar["low"],
            bar["high"],
            bar["wall_clock_s_at_low"] / S_PER_DAY,
            bar["wall_clock_s_at_high"] / S_PER_DAY,
        )
        for bar in plan["tornado"][:n_bars]
    ]
    return tornado(
        bars,
        at=shown["wall_clock_s"] / S_PER_DAY,
        result="days of wall clock (closed form)",
        shown="{:.3g}".format,
        salt="days-tornado",
    )


def _log_axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda days, _: f"{days:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"${usd:,.0f}"))
    axes.tick_params(colors=FAINT)
