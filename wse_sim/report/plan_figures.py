"""The figures of a plan, from the content of plan.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from wse_sim.report.plan_tables import named
from wse_sim.report.quantities import duration, money
from wse_sim.report.svg import FAINT, INK, SERIES, Plot, plot
from wse_sim.report.tables import plain_number
from wse_sim.units import S_PER_DAY

Content = Mapping[str, Any]

_BAR_HEIGHT, _BARS_HEAD = 22, 60


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
                label="dense" if density == 1 else f"density {density:g}",
            )
        if plan["best"] is not None:
            days, usd = plan["best"]["wall_clock_s"] / S_PER_DAY, plan["best"]["cost_usd"]
            axes.scatter([days], [usd], s=160, facecolors="none", edgecolors=INK, linewidths=1.6, label="to book")
        _log_axes(axes)
        axes.set_xlabel("wall clock, days (simulated)")
        axes.set_ylabel("cost (simulated)")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handletextpad=0.2)

    table = [(named(row), duration(row["wall_clock_s"]), money(row["cost_usd"]), f"{row['loss']:.3f}") for row in front]
    alt = (
        f"{len(front)} configurations from {duration(min(r['wall_clock_s'] for r in front))} to "
        f"{duration(max(r['wall_clock_s'] for r in front))}, {money(min(r['cost_usd'] for r in front))} to "
        f"{money(max(r['cost_usd'] for r in front))}, projected loss {lowest:.3f} to {highest:.3f}."
    )
    return plot(draw, alt, ("configuration", "wall clock", "cost", "loss"), table, salt="pareto", height=380)


def tornado_plot(bars: Sequence[Content], at: float, *, unit: str, scale: float, salt: str) -> Plot:
    """A bar for each constant from the figure at its low end to that at its high end, the widest on top.

    Parameters
    ----------
    bars :
        With `constant`, `low`, `high`, `at_low`, `at_high`, in the order in which they are drawn.
    at :
        The figure with all constants at their values.
    unit, scale :
        Of the axis, in words, and by how much figures are divided for it.
    """

    def draw(axes: Axes) -> None:
        for number, bar in enumerate(bars):
            for end, colour in (("at_low", SERIES[1]), ("at_high", SERIES[0])):
                axes.barh(number, (bar[end] - at) / scale, left=at / scale, height=0.62, color=colour, linewidth=0)
        axes.axvline(at / scale, color=INK, linewidth=1.0)
        axes.set_yticks(range(len(bars)), [bar["constant"] for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(unit)
        for name, colour in (("low end of its range", SERIES[1]), ("high end", SERIES[0])):
            axes.plot([], [], color=colour, linewidth=7, label=name)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handlelength=1.0)

    rows = [
        (
            bar["constant"],
            f"{plain_number(bar['low'])} – {plain_number(bar['high'])}",
            f"{bar['at_low'] / scale:.4g}",
            f"{bar['at_high'] / scale:.4g}",
        )
        for bar in bars
    ]
    first = bars[0]
    alt = f"{first['constant']} matters most: {first['at_low'] / scale:.3g} to {first['at_high'] / scale:.3g} {unit}."
    height = _BARS_HEAD + _BAR_HEIGHT * len(bars)
    return plot(draw, alt, ("constant", "range", "at low", "at high"), rows, salt=salt, height=height)


def days_tornado(plan: Content, n_bars: int) -> Plot:
    """Which assumption moves the days of the configuration most."""
    shown = plan["best"] or plan["nearest_miss"]
    bars = [
        {**bar, "at_low": bar["wall_clock_s_at_low"], "at_high": bar["wall_clock_s_at_high"]}
        for bar in plan["tornado"][:n_bars]
    ]
    unit = "days of wall clock (simulated, closed form)"
    return tornado_plot(bars, shown["wall_clock_s"], unit=unit, scale=S_PER_DAY, salt="days-tornado")


def _log_axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda days, _: f"{days:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"${usd:,.0f}"))
    axes.tick_params(colors=FAINT)
