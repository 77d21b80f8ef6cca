"""The figure of a comparison: what loss time buys each way."""

from matplotlib.axes import Axes

from wse_sim.report.comparison import Comparison, Way
from wse_sim.report.comparison_lines import shown_ways
from wse_sim.report.figures import time_ticks
from wse_sim.report.quantities import duration
from wse_sim.report.svg import FAINT, SERIES, Plot, legend_below, plot

_EVERY = 5  # points of a curve for one row of its numbers
_STYLES = ("-", "-", "-", "--", ":")  # 2:4 may lie on dense GPUs: both are to be seen


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
    return plot(
        draw,
        alt,
        ("way", "time", "projected loss"),
        rows,
        salt="loss-by-time",
        height=300 + 18 * len(ways),
        words=("way",),
    )


def _end(way: Way) -> float:
    """Projected loss of the whole run."""
    assert way.loss is not None
    return way.loss.value
