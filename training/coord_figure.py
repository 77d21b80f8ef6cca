"""The plot of a coordinate check: a panel of sizes, and one of changes, for each parameterization."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from models.parametrization import ParametrizationName
from training.axis import Axis
from training.coord_check import Activation, Site
from training.coord_slopes import Quantity
from training.resampling import Estimate, mean_over_seeds
from wse_sim.report.curves import Curve, Panel

_DRAWN: tuple[Site, ...] = ("attention", "mlp", "residual")
_DECADE = 10.0


def panels(activations: Sequence[Activation], over: Axis) -> list[Panel]:
    """Mean size at the first (dashed) and the last step, and mean change at the last, inside the model."""
    names = list(dict.fromkeys(activation.parametrization for activation in activations))
    last = max(activation.step for activation in activations)
    sizes = [_panel(activations, over, name, "size", (1, last)) for name in names]
    return sizes + [_panel(activations, over, name, "change", (last,)) for name in names]


def _panel(
    activations: Sequence[Activation], over: Axis, name: ParametrizationName, quantity: Quantity, steps: Sequence[int]
) -> Panel:
    curves = [
        _curve([a for a in activations if (a.parametrization, a.site, a.step) == (name, site, step)], quantity)
        for site in _DRAWN
        for step in steps
    ]
    sizes = [size for curve in curves for size in curve.y if size > 0]
    return Panel(
        title=f"{name}: {quantity} at step {' (dashed) and '.join(map(str, steps))}",
        x_label=over,
        y_label="mean |activation|" if quantity == "size" else "mean |activation − at step 1|",
        curves=curves,
        x_scale="log2",
        # Within a decade a logarithmic axis has no ticks to speak of.
        y_scale="log10" if sizes and max(sizes) >= _DECADE * min(sizes) else "linear",
    )


def _curve(activations: Sequence[Activation], quantity: Quantity) -> Curve:
    """Mean over seeds against the value, and its interval."""
    by_value: dict[float, list[float]] = defaultdict(list)
    for activation in activations:
        by_value[activation.value].append(getattr(activation, quantity))
    means = [mean_over_seeds(np.array(sizes)) for sizes in by_value.values()]
    y, low, high = ([_or_gap(figure) for figure in ends] for ends in zip(*map(_ends, means), strict=True))
    has_interval = all(mean.low is not None for mean in means)
    return Curve(
        label=activations[0].site,
        x=list(by_value),
        y=y,
        low=low if has_interval else None,
        high=high if has_interval else None,
        is_marked=True,
        is_dashed=activations[0].step == 1,
    )


def _ends(mean: Estimate) -> tuple[float | None, float | None, float | None]:
    return mean.value, mean.low, mean.high


def _or_gap(figure: float | None) -> float:
    return math.nan if figure is None else figure
