"""The figures of a comparison: what loss time buys each way, and what each side's throughput hangs on."""

from matplotlib.axes import Axes

from wse_sim.report.comparison import ClusterWay, Comparison, Way
from wse_sim.report.comparison_lines import shown_ways
from wse_sim.report.figures import time_ticks
from wse_sim.report.quantities import duration, signed_percent
from wse_sim.report.sensitivity import Ends
from wse_sim.report.svg import FAINT, SERIES, Plot, legend_below, plot
from wse_sim.report.tables import LEAST_SPAN
from wse_sim.report.tornado import tornado

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
        legend_below(axes)

    rows = [
        (way.name, duration(time_s), f"{loss:.4f}")
        for name, way in ways.items()
        for time_s, loss in zip(curves[name].time_s[::_EVERY], curves[name].loss[::_EVERY], strict=True)
    ]
    losses = [(way.name, comparison.iso_time[name].loss) for name, way in ways.items()]
    ends = [f"{loss.value:.3f} on {name}" for name, loss in losses if loss is not None]
    alt = f"Projected loss against time; after {duration(wafer.run_time_s)}, the wafers' run: {'; '.join(ends)}."
    return plot(draw, alt, ("way", "time", "projected loss"), rows, salt="loss-by-time", height=300 + 18 * len(ways))


def throughput_tornado(way: ClusterWay, salt: str) -> Plot:
    """Change of tokens/s with each constant at both ends of its range, the widest first."""
    bars = [
        Ends(
            s.constant,
            s.low,
            s.high,
            s.tokens_per_s_at_low / way.tokens_per_s - 1,
            s.tokens_per_s_at_high / way.tokens_per_s - 1,
        )
        for s in way.sensitivity
        if s.span >= LEAST_SPAN
    ]
    return tornado(bars[:_MOST_BARS], at=0.0, result=f"tokens/s of {way.name}", shown=signed_percent, salt=salt)


def _end(way: Way) -> float:
    """Projected loss of the whole run."""
    assert way.loss is not None
    return way.loss.value
