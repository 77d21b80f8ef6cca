"""Published throughput against the simulator's, as an SVG that stands alone."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from wse_sim.report.quantities import percent, significant
from wse_sim.report.svg import FAINT, GRID, INK, SERIES, WIDE, plot
from wse_sim.report.validation_page import LARGE_ERROR

_MARKERS = {"cs2": "o", "cs3": "D"}
_HEIGHT = 960

Row = Mapping[str, Any]


def figure(content: Mapping[str, Any]) -> str:
    """Predicted against published rates of wafers, their signed errors, and those of GPUs by source.

    Wafers: a colour per model, a marker per system. GPUs: filled where the row was predicted, hollow where a constant
    was fitted on it.

    Parameters
    ----------
    content :
        What `wse-sim validate --json` prints.
    """
    wafer, gpu = ([row for row in content["rows"] if row["side"] == side] for side in ("wafer", "gpu"))

    def draw(axes: Axes) -> None:
        whole = axes.get_figure(root=True)
        assert whole is not None
        axes.remove()
        rates, errors, gpus = whole.subplots(3, 1, height_ratios=(3, 2, 4))
        errors.sharex(rates)
        _draw_rates(rates, wafer)
        _draw_errors(errors, wafer)
        _draw_sources(gpus, gpu)

    alt = (
        f"Predicted against published throughput of {len(wafer)} runs on wafer-scale systems: {_in_words(wafer)}; "
        f"and of {len(gpu)} runs on GPUs: {_in_words(gpu)}."
    )
    return _alone(plot(draw, alt, (), (), salt="validation", height=_HEIGHT).wide, alt)


def _in_words(rows: Sequence[Row]) -> str:
    sizes = [abs(row["error"]) for row in rows]
    return f"mean error {percent(sum(sizes) / len(sizes))}, largest {percent(max(sizes))}"


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


def _draw_sources(axes: Axes, rows: Sequence[Row]) -> None:
    groups = list(dict.fromkeys(row["group"] for row in rows))[::-1]
    axes.axvspan(-100 * LARGE_ERROR, 100 * LARGE_ERROR, color=GRID)
    axes.axvline(0.0, color=FAINT, linewidth=0.8)
    for is_fitted, colour, size, label in ((False, SERIES[0], 4, "predicted"), (True, "none", 5.5, "fit")):
        chosen = [row for row in rows if row["used_to_fit"] is is_fitted]
        axes.plot(
            [100 * row["error"] for row in chosen],
            [groups.index(row["group"]) for row in chosen],
            linewidth=0,
            marker="o",
            markersize=size,
            color=colour,
            markeredgecolor=INK if is_fitted else SERIES[0],
            markeredgewidth=0.7,
            label=label,
        )
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.set_title("GPUs: error (%) of each run, by source", loc="left", fontsize=11, color=FAINT)
    axes.legend(loc="lower right", handlelength=0.8, labelspacing=0.3)


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
