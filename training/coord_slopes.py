"""How activations grow over width, density or depth: slopes on logarithmic axes, and whether they are flat."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from models.parametrization import ParametrizationName
from training.axis import Axis
from training.coord_check import Activation, Site
from training.resampling import Estimate, mean_over_seeds

Quantity = Literal["size", "change"]
_QUANTITIES: tuple[Quantity, ...] = ("size", "change")

FLAT = 0.1  # largest |slope| that counts as flat: SμPar's own curves stay within it where WPN is not tiny
# Sites that must be flat. Logits start at m_d^-1/2 and branches at L^-1/2 by design, and a norm hides the residual
# stream from the logits.
JUDGED: Mapping[Axis, tuple[Site, ...]] = {
    "width": ("attention", "mlp", "residual"),
    "density": ("attention", "mlp", "residual"),
    "depth": ("residual",),
}


class Slope(msgspec.Struct, frozen=True, kw_only=True):
    """Slope of log(size or change) against log(value) by least squares: 0 where it does not depend on the value.

    Parameters
    ----------
    slope :
        Mean over seeds; nothing where a size is 0 or no finite number.
    is_judged :
        The check holds only if this is flat: size at the first and the last step, change at the last.
    """

    parametrization: ParametrizationName
    site: Site
    step: int
    quantity: Quantity
    slope: Estimate
    is_judged: bool

    def is_flat(self, limit: float = FLAT) -> bool:
        """|slope| is at most `limit`."""
        return self.slope.value is not None and abs(self.slope.value) <= limit


def slopes(activations: Sequence[Activation], over: Axis) -> list[Slope]:
    """One slope for each parameterization, site, step and quantity; none for the change at step 1, which is 0."""
    groups: dict[tuple[ParametrizationName, Site, int], list[Activation]] = defaultdict(list)
    for activation in activations:
        groups[activation.parametrization, activation.site, activation.step].append(activation)
    last = max(activation.step for activation in activations)
    return [
        Slope(
            parametrization=name,
            site=site,
            step=step,
            quantity=quantity,
            slope=_mean_slope(group, quantity),
            is_judged=site in JUDGED[over] and (step == last or (step == 1 and quantity == "size")),
        )
        for (name, site, step), group in groups.items()
        for quantity in _QUANTITIES[: 1 if step == 1 else 2]
    ]


def holds(found: Sequence[Slope], limit: float = FLAT) -> bool:
    """Every slope that is judged is flat."""
    return all(slope.is_flat(limit) for slope in found if slope.is_judged)


def _mean_slope(group: Sequence[Activation], quantity: Quantity) -> Estimate:
    sizes: dict[int, dict[float, float]] = defaultdict(dict)
    for activation in group:
        sizes[activation.seed][activation.value] = getattr(activation, quantity)
    return mean_over_seeds(np.array([_log_log_slope(of_seed) for of_seed in sizes.values()]))


def _log_log_slope(sizes: Mapping[float, float]) -> float:
    if not all(0 < size < math.inf for size in sizes.values()):
        return math.nan
    return float(np.polyfit(np.log(list(sizes)), np.log(list(sizes.values())), 1)[0])
