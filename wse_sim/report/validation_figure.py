"""Published throughput of wafer-scale systems against the simulator's, as an SVG that stands alone."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from wse_sim.report.quantities import percent, significant
from wse_sim.report.svg import FAINT, GRID, INK, SERIES, WIDE, plot
from wse_sim.report.validation_page import LARGE_ERROR

_MARKERS = {"cs2": "o", "cs3": "D"}
_HEIGHT = 560

Row = Mapping[str, Any]


def figure(content: Mapping[str, Any]) -> str:
    """Predicted against published rates above, the signed errors below: a colour per model, a marker per system.

    Parameters
    ----------
    content :
        What `wse-sim validate --json` prints.
    """
    rows = [row for row in content["rows"] if row["side"] == "wafer"]

    def draw(axes: Axes) -> None:
        whole = axes.get_figure(root=True)
        assert whole is not None
        axes.remove()
        rates, errors = whole.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _draw_rates(rates, rows)
        _draw_errors(errors, rows)

    sizes = [abs(row["error"]) for row in rows]
    alt = (
        f"Predicted against published throughput of {len(rows)} runs on wafer-scale systems: "
        f"mean error {percent(sum(sizes) / len(sizes))}, largest {percent(max(sizes))}."
    )
    return _alone(plot(draw, alt, (), (), salt="validation", height=_HEIGHT).wide, alt)


def _draw_rates(axes: Axes, rows: Sequence[Row]) -> None:
    published = [row["published"] for row in rows]
    ends = (min(published) / 1.5, max(published) * 1.5)
    axes.fill_between(
        ends, [end * (1 - LARGE_ERROR) for end in ends], [end * (1 + LARGE_ERROR) for end in ends], color=GRID
    )
    axes.plot(ends, ends, color=FAINT, linewidth=0.8)
    _scatter(axes, rows, "predicted")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
        axis.set_minor_locator(NullLocator())
    axes.set_title("predicted sequences/s", loc="left", fontsize=11, color=FAINT)
    axes.legend(loc="lower right", handlelength=0.8, labelspacing=0.3)


def _draw_errors(axes: Axes, rows: Sequence[Row]) -> None:
    axes.axhspan(-100 * LARGE_ERROR, 100 * LARGE_ERROR, color=GRID)
    axes.axhline(0.0, color=FAINT, linewidth=0.8)
    _scatter(axes, [{**row, "error": 100 * row["error"]} for row in rows], "error")
    largest = max(abs(row["error"]) for row in rows)
    axes.set_ylim(-100 * max(0.2, largest * 1.1), 100 * max(0.2, largest * 1.1))
    axes.set_title(f"error (%), the band is ±{100 * LARGE_ERROR:.0f} %", loc="left", fontsize=11, color=FAINT)
    axes.set_xlabel("published sequences/s, logarithmic")


def _scatter(axes: Axes, rows: Sequence[Row], y: str) -> None:
    models = list(dict.fromkeys(row["model"] for row in rows))
    for model, system in dict.fromkeys((row["model"], row["system"]) for row in rows):
        chosen = [row for row in rows if (row["model"], row["system"]) == (model, system)]
        axes.plot(
            [row["published"] for row in chosen],
            [row[y] for row in chosen],
            linewidth=0,
            marker=_MARKERS[system],
            markersize=7,
            color=SERIES[models.index(model) % len(SERIES)],
            markeredgecolor=INK,
            markeredgewidth=0.5,
            label=f"{model} on {system}",
        )


def _alone(svg: str, alt: str) -> str:
    """An inline drawing as a file of its own: with the page's colours and ground, a size, and its meaning in words."""
    css = (files("wse_sim.report") / "report.css").read_text(encoding="utf-8")
    colours = css[
        : css.index(':root[data-theme="dark"]')
    ]  # light ones, and dark ones where the reader's screen is dark
    start, rest = svg.split(">", 1)
    ground = '<rect width="100%" height="100%" fill="var(--page)"/>'
    size = f'width="{WIDE}" height="{_HEIGHT}" role="img"'
    return f"{start} {size}>\n<title>{alt}</title>\n<style>{colours}</style>\n{ground}{rest}\n"
