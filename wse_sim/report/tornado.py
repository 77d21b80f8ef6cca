"""The figure of what a result hangs on: a bar for each constant, from its low end to its high end."""

from collections.abc import Callable, Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wse_sim.report.quantities import change
from wse_sim.report.sensitivity import Ends, Sensitivity
from wse_sim.report.svg import FAINT, INK, SERIES, Plot, legend_below, plot
from wse_sim.report.tables import LEAST_SPAN, plain_number

_BAR_HEIGHT, _AROUND_BARS = 38, 110  # points
_MOST_BARS = 10
_LEAST_SHARE = 0.02  # of the widest bar: a narrower one is not seen on a narrow page


def throughput_tornado(found: Iterable[Sensitivity], tokens_per_s: float, of: str, *, salt: str) -> Plot:
    """Change of tokens/s with each constant at both ends of its range, the widest first.

    Parameters
    ----------
    found :
        The widest first; those that hardly move the throughput are left out.
    of :
        The cluster, in words.
    """
    bars = [
        Ends(
            s.constant,
            s.low,
            s.high,
            s.tokens_per_s_at_low / tokens_per_s - 1,
            s.tokens_per_s_at_high / tokens_per_s - 1,
        )
        for s in found
        if s.span >= LEAST_SPAN
    ]
    return tornado(bars[:_MOST_BARS], at=0.0, result=f"tokens/s of {of}", shown=change, salt=salt)


def tornado(bars: Sequence[Ends], *, at: float, result: str, shown: Callable[[float], str], salt: str) -> Plot:
    """Bars from the result with all constants at their values to that with one of them at an end of its range.

    Parameters
    ----------
    bars :
        The widest first; those of less than a fiftieth of it are left out.
    at :
        The result with all constants at their values.
    result :
        What it is, and of what: "tokens/s of 4 × CS-3".
    shown :
        How a result is written.
    """
    bars = [bar for bar in bars if bar.span > _LEAST_SHARE * bars[0].span]

    def draw(axes: Axes) -> None:
        places = range(len(bars))
        for name, ends, colour in (
            ("at its low end", [bar.at_low for bar in bars], SERIES[1]),
            ("at its high end", [bar.at_high for bar in bars], SERIES[0]),
        ):
            axes.barh(places, [end - at for end in ends], 0.4, left=at, color=colour, label=name)
        axes.vlines([at] * len(bars), [place - 0.2 for place in places], [place + 0.2 for place in places], INK, lw=0.8)
        for place, bar in enumerate(bars):  # above its bar: beside it there is no room on a narrow page
            axes.text(0.0, place - 0.27, bar.constant, transform=axes.get_yaxis_transform(), va="bottom", color=FAINT)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(bars) - 0.5, -0.8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: shown(x)))
        axes.set_title(result, loc="left", fontsize=11, color=FAINT)
        legend_below(axes)

    rows = [
        (bar.constant, f"{plain_number(bar.low)} … {plain_number(bar.high)}", shown(bar.at_low), shown(bar.at_high))
        for bar in bars
    ]
    moved = "; ".join(f"{name} {low} to {high}" for name, _, low, high in rows) or "nothing with a range"
    header = ("constant", "range", "at its low end", "at its high end")
    height = _AROUND_BARS + _BAR_HEIGHT * len(bars)
    return plot(draw, f"What {result} hang on: {moved}.", header, rows, salt=salt, height=height, words=("constant",))
