"""The figures of a comparison: what loss time buys each way, and what each side's throughput hangs on."""

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wse_sim.report.comparison import ClusterWay, Comparison, Way
from wse_sim.report.comparison_lines import shown_ways
from wse_sim.report.figures import time_ticks
from wse_sim.report.quantities import duration, signed_percent, significant
from wse_sim.report.svg import FAINT, INK, SERIES, Plot, plot
from wse_sim.report.tables import LEAST_SPAN

_EVERY = 5  # points of a curve for one row of its numbers
_STYLES = ("-", "-", "-", "--", ":")  # 2:4 may lie on dense GPUs: both are to be seen
_MOST_BARS = 10


def loss_by_time(comparison: Comparison) -> Plot:
    """Projected loss of each way against time, with its run's end, and the wafers' run as a cross of lines.

    A machine at hand whose run ends far behind all others is left out.

    Parameters
    ----------
    comparison :
        Of a model for which there is a law.
    """
    wafer, curves = comparison.wafer, comparison.loss_curves
    ways = {n: way for n, way in shown_ways(comparison).items() if way.run_time_s <= curves[n].time_s[-1]}

    def draw(axes: Axes) -> None:
        axes.axvline(wafer.run_time_s, color=FAINT, linewidth=0.8)
        axes.axhline(_end(wafer), color=FAINT, linewidth=0.8)
        for (name, way), colour, style in zip(ways.items(), SERIES, _STYLES, strict=False):
            axes.plot(curves[name].time_s, curves[name].loss, style, color=colour, label=way.name)
            axes.plot([way.run_time_s], [_end(way)], "o", color=colour)
        axes.set_xlabel("time of the steps, logarithmic")
        axes.set_title("projected loss (nats/token)", loc="left", fontsize=11, color=FAINT)
        time_ticks(axes)
        _legend_below(axes)

    rows = [
        (way.name, duration(time_s), f"{loss:.4f}")
        for name, way in ways.items()
        for time_s, loss in zip(curves[name].time_s[::_EVERY], curves[name].loss[::_EVERY], strict=True)
    ]
    losses = [(way.name, comparison.iso_time[name].loss) for name, way in ways.items()]
    ends = [f"{loss.value:.3f} on {name}" for name, loss in losses if loss is not None]
    alt = f"Projected loss against time; after {duration(wafer.run_time_s)}, the wafers' run: {'; '.join(ends)}."
    return plot(draw, alt, ("way", "time", "projected loss"), rows, salt="loss-by-time", height=300 + 18 * len(ways))


def tornado(way: ClusterWay, salt: str) -> Plot:
    """Tokens/s with each constant at both ends of its range, over tokens/s, the widest first."""
    shown = [s for s in way.sensitivity if s.span >= LEAST_SPAN][:_MOST_BARS]
    changes = [[rate / way.tokens_per_s - 1 for rate in (s.tokens_per_s_at_low, s.tokens_per_s_at_high)] for s in shown]

    def draw(axes: Axes) -> None:
        for end, (colour, label) in enumerate(((SERIES[1], "at its low end"), (SERIES[0], "at its high end"))):
            axes.barh(range(len(shown)), [100 * change[end] for change in changes], 0.4, color=colour, label=label)
        axes.axvline(0.0, color=INK, linewidth=0.8)
        for place, s in enumerate(shown):  # above its bar: beside it there is no room on a narrow page
            axes.text(0.0, place - 0.25, s.constant, transform=axes.get_yaxis_transform(), va="bottom", color=FAINT)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(shown) - 0.5, -0.8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+.0f} %" if x else "0"))
        axes.set_title(f"tokens/s of {way.name}", loc="left", fontsize=11, color=FAINT)
        _legend_below(axes)

    rows = [
        (s.constant, f"{significant(s.low)} … {significant(s.high)}", *map(signed_percent, change))
        for s, change in zip(shown, changes, strict=True)
    ]
    moved = "; ".join(f"{name} {low} to {high}" for name, _, low, high in rows) or "nothing with a range"
    header = ("constant", "range", "tokens/s at low", "at high")
    alt = f"What tokens/s of {way.name} hang on: {moved}."
    return plot(draw, alt, header, rows, salt=salt, height=110 + 36 * len(shown))


def _end(way: Way) -> float:
    """Projected loss of the whole run."""
    assert way.loss is not None
    return way.loss.value


def _legend_below(axes: Axes) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(loc="outside lower left", ncols=max(1, int(figure.get_figwidth() * 72 / 240)), handlelength=1.4)
