"""The section about masks: how dense each layer that trained here is, and how unevenly it loads the wafer."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from wse_sim.report.layer_masks import LayerMask
from wse_sim.report.markup import figure, paragraph, section, table, tag
from wse_sim.report.metrics import OF_A_TRAINED_RUN
from wse_sim.report.quantities import factor
from wse_sim.report.svg import FAINT, SERIES, Plot, legend_below, plot
from wse_sim.spec.reading import convert

_MARKERS = "osD^vPX"
_SPREAD = 0.6  # of the marks of one block
_DENSITY = (
    "Measured: the share of its weights that each layer keeps, by the last checkpoint. Block 0 comes first; the marks "
    "of a block stand side by side."
)
_IMBALANCE = (
    "Simulated: what the fullest columns of cores have to multiply over the mean, 1 when even, for the full-size layer "
    "under these masks, or under ones that are as uneven."
)
_DRAWN = (
    "The simulated step has masks of its own ({masks}), drawn at full size, not those that trained here. So this table "
    "gives a layer another imbalance than the figure above, which is of the masks that training left. wse-sim simulate "
    "--mask-from RUN simulates the step with the trained ones."
)


def mask_section(summary: Mapping[str, Any]) -> str:
    """Density and imbalance of every layer; "" where nothing is masked."""
    simulated = summary.get("simulated", {})
    masks = convert(summary.get("layer_masks", []), list[LayerMask], "summary")
    parts = []
    if masks:
        parts = [figure(_by_block(masks, "density"), _DENSITY), figure(_by_block(masks, "imbalance"), _IMBALANCE)]
    if simulated.get("density", 1.0) < 1 and simulated.get("matrices"):
        parts += [f"<h3>The first full-size block on the wafer {tag('simulated')}</h3>\n", _matrices(simulated)]
        if masks and not simulated["masks"].startswith(OF_A_TRAINED_RUN):
            parts.append(paragraph(_DRAWN.format(masks=simulated["masks"])))
    return section("Masks, layer by layer", *parts) if parts else ""


def _by_block(masks: Sequence[LayerMask], field: str) -> Plot:
    """One figure of each layer against its block, a mark for each kind of layer."""
    names = list(dict.fromkeys(mask.matrix for mask in masks))
    values = [getattr(mask, field) for mask in masks]

    def draw(axes: Axes) -> None:
        for number, name in enumerate(names):
            shift = _SPREAD * ((number + 0.5) / len(names) - 0.5)
            of = [mask for mask in masks if mask.matrix == name]
            axes.plot(
                [mask.block + shift for mask in of],
                [getattr(mask, field) for mask in of],
                _MARKERS[number % len(_MARKERS)],
                markersize=4.5,
                color=SERIES[number % len(SERIES)],
                label=name.replace("_", " "),
            )
        axes.set_xlim(-0.5, max(mask.block for mask in masks) + 0.5)
        axes.set_ylim(*_limits(values, least=0.0 if field == "density" else 1.0))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("block")
        axes.set_title(field, loc="left", fontsize=11, color=FAINT)
        legend_below(axes)

    alt = f"{field.capitalize()} of {len(masks)} layers of {1 + max(mask.block for mask in masks)} blocks: "
    alt += f"from {min(values):.3f} to {max(values):.3f}."
    rows = [(str(mask.block), mask.matrix.replace("_", " "), f"{getattr(mask, field):.4f}") for mask in masks]
    return plot(draw, alt, ("block", "layer", field), rows, salt=f"masks-{field}", words=("layer",))


def _limits(values: Sequence[float], *, least: float) -> tuple[float, float]:
    """Of an axis that begins at `least` and ends well above the highest value."""
    return least, least + 1.15 * max(max(values) - least, 0.01)


def _matrices(simulated: Mapping[str, Any]) -> str:
    rows = [
        (
            work["matrix"].replace("_", " "),
            f"{work['density']:.4f}",
            f"{work['imbalance']:.3f}",
            factor(work["speedup"]),
            work["limit"],
        )
        for work in simulated["matrices"]
    ]
    header = ("layer", "density", "imbalance", "speed-up", "limited by")
    label = f"layers of a block under masks: {simulated['masks']}"
    return table(header, rows, label=label, right=header[1:4])
