"""Where the best learning rate of each model lies, how far that is from where it was tuned, and what it costs.

The best rate is the minimum of the mean loss over seeds, refined by the parabola through it and its two neighbours.
Intervals are those of `training.resampling`: a seed is drawn with all its runs, since runs of one seed share weights,
masks and the order of the data. With one seed there is no spread to see: half a step of the grid either way stands in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from models.parametrization import ParametrizationName
from training.resampling import NOTHING, Estimate, Floats, draws, estimate, mean_over_seeds

Edge = Literal["low", "high"]
Verdict = Literal["transfers", "does not transfer", "inconclusive"]

RULE = (
    "transfers: at every value the interval of the drift lies within one step of the grid, either way; does not "
    "transfer: at some value it lies wholly beyond; inconclusive otherwise"
)


@dataclass(frozen=True, slots=True)
class Bowl:
    """Held-out losses of one parameterization at one value of the axis.

    Parameters
    ----------
    log2_lrs :
        (n_rates,), rising.
    losses :
        (n_seeds, n_rates), infinite where training diverged.
    """

    value: float
    log2_lrs: tuple[float, ...]
    losses: Floats

    def at(self, log2_lr: float) -> Floats:
        """(n_seeds,) losses of one rate."""
        return self.losses[:, self.log2_lrs.index(log2_lr)]

    def mean(self, log2_lr: float) -> float:
        """Mean over seeds; infinite where one diverged."""
        return float(self.at(log2_lr).mean())

    @property
    def best(self) -> float:
        """Rate of the least mean loss."""
        return min(self.log2_lrs, key=self.mean)

    @property
    def edge(self) -> Edge | None:
        """The end of the grid that the best rate is at, if any; rates that diverged are part of the grid."""
        if self.best == self.log2_lrs[0]:
            return "low"
        return "high" if self.best == self.log2_lrs[-1] else None


class RateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One learning rate: loss over seeds, and how many of them diverged."""

    log2_lr: float
    loss: Estimate
    n_diverged: int


class ValueResult(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the axis.

    Parameters
    ----------
    best_log2_lr, best_loss :
        Of the grid.
    optimum_log2_lr :
        Refined by the parabola.
    edge :
        End of the grid that the best rate is at: the optimum lies there or beyond.
    drift :
        Octaves from the first value's optimum to this one's.
    loss_untuned, cost :
        At the rate that is best for the first value; and by which fraction that is above best_loss.
    """

    value: float
    rates: tuple[RateResult, ...]
    best_log2_lr: float
    best_loss: float | None
    optimum_log2_lr: Estimate
    edge: Edge | None
    drift: Estimate
    loss_untuned: float | None
    cost: Estimate


class ParametrizationResult(msgspec.Struct, frozen=True, kw_only=True):
    """One parameterization.

    Parameters
    ----------
    slope :
        Octaves of optimum per octave of the axis, by least squares.
    has_edge :
        A best rate is at the end of its grid: the slope counts it as if it were the optimum.
    grid_step :
        Octaves between two learning rates.
    """

    parametrization: ParametrizationName
    n_seeds: int
    grid_step: float
    values: tuple[ValueResult, ...]
    slope: Estimate
    has_edge: bool
    verdict: Verdict
    reason: str


def judge(name: ParametrizationName, bowls: Sequence[Bowl], grid_step: float) -> ParametrizationResult:
    """Optima, drift and verdict; the first bowl is the one that rates transfer from."""
    n_seeds = len(bowls[0].losses)
    margin = grid_step / 2 if n_seeds == 1 else 0.0
    optima = [_optimum(bowl) for bowl in bowls]
    values = tuple(
        _value_result(bowl, optimum, bowls[0], optima[0], margin) for bowl, optimum in zip(bowls, optima, strict=True)
    )
    verdict, reason = _verdict(values, grid_step)
    return ParametrizationResult(
        parametrization=name,
        n_seeds=n_seeds,
        grid_step=grid_step,
        values=values,
        slope=_slope(bowls, optima),
        has_edge=any(bowl.edge for bowl in bowls),
        verdict=verdict,
        reason=reason,
    )


def open_ends(bowl: Bowl) -> tuple[bool, bool]:
    """Whether the optimum, or that of a draw of the seeds, lies at the low and at the high end of the grid."""
    optimum = _optimum(bowl)
    return optimum.is_open_below, optimum.is_open_above


@dataclass(frozen=True, slots=True, kw_only=True)
class _Optimum:
    """Of all seeds, and of each draw of them: (n_draws,)."""

    log2_lr: float
    drawn: Floats
    is_open_below: bool
    is_open_above: bool


def _optimum(bowl: Bowl) -> _Optimum:
    losses = bowl.losses
    drawn = np.array([_vertex(bowl.log2_lrs, losses[draw].mean(0)) for draw in draws(len(losses))])
    return _Optimum(
        log2_lr=_vertex(bowl.log2_lrs, losses.mean(0)),
        drawn=drawn,
        is_open_below=bowl.edge == "low" or bool(drawn.min() == bowl.log2_lrs[0]),
        is_open_above=bowl.edge == "high" or bool(drawn.max() == bowl.log2_lrs[-1]),
    )


def _value_result(bowl: Bowl, optimum: _Optimum, first: Bowl, of_first: _Optimum, margin: float) -> ValueResult:
    found = estimate(optimum.log2_lr, optimum.drawn, margin)
    return ValueResult(
        value=bowl.value,
        rates=tuple(_rate_result(bowl, rate) for rate in bowl.log2_lrs),
        best_log2_lr=bowl.best,
        best_loss=_finite(bowl.mean(bowl.best)),
        optimum_log2_lr=_opened(found, below=optimum.is_open_below, above=optimum.is_open_above),
        edge=bowl.edge,
        drift=Estimate(value=0.0, low=0.0, high=0.0) if bowl is first else _drift(optimum, of_first, margin),
        loss_untuned=_finite(bowl.mean(first.best)),
        cost=_cost(bowl, first.best),
    )


def _rate_result(bowl: Bowl, log2_lr: float) -> RateResult:
    losses = bowl.at(log2_lr)
    return RateResult(log2_lr=log2_lr, loss=mean_over_seeds(losses), n_diverged=int(np.isinf(losses).sum()))


def _drift(optimum: _Optimum, of_first: _Optimum, margin: float) -> Estimate:
    """Octaves between two optima, both of the same draw of the seeds."""
    return _opened(
        estimate(optimum.log2_lr - of_first.log2_lr, optimum.drawn - of_first.drawn, margin),
        below=optimum.is_open_below or of_first.is_open_above,
        above=optimum.is_open_above or of_first.is_open_below,
    )


def _opened(found: Estimate, *, below: bool, above: bool) -> Estimate:
    """The estimate without the ends that nothing bounds."""
    return Estimate(value=found.value, low=None if below else found.low, high=None if above else found.high)


def _cost(bowl: Bowl, untuned: float) -> Estimate:
    """What it costs to train at a rate instead of at the best one, as a fraction of the loss."""
    at_untuned, at_best = bowl.at(untuned), bowl.at(bowl.best)
    if not (np.isfinite(at_untuned).all() and np.isfinite(at_best).all()):
        return NOTHING
    drawn = draws(len(at_best))
    above = at_untuned[drawn].mean(1) / at_best[drawn].mean(1) - 1.0
    return estimate(bowl.mean(untuned) / bowl.mean(bowl.best) - 1.0, above)


def _slope(bowls: Sequence[Bowl], optima: Sequence[_Optimum]) -> Estimate:
    octaves = np.log2([bowl.value for bowl in bowls])
    of_all = np.polyfit(octaves, [optimum.log2_lr for optimum in optima], 1)[0]
    return estimate(float(of_all), np.polyfit(octaves, np.stack([optimum.drawn for optimum in optima]), 1)[0])


def _verdict(values: Sequence[ValueResult], step: float) -> tuple[Verdict, str]:
    """By `RULE`."""
    beyond: list[tuple[float, float, str]] = []
    unclear = []
    for value in values[1:]:
        low = -math.inf if value.drift.low is None else value.drift.low
        high = math.inf if value.drift.high is None else value.drift.high
        if low > step or high < -step:
            beyond.append((low, value.value, "up") if low > step else (-high, value.value, "down"))
        elif low < -step or high > step:
            unclear.append(f"{value.value:g}" + (" (its grid ends too early)" if math.isinf(high - low) else ""))
    if beyond:
        least, where, way = max(beyond)
        return "does not transfer", f"at {where:g} the optimum lies at least {least:.1f} octaves further {way}"
    if unclear:
        return "inconclusive", f"the drift may or may not exceed one step of the grid at {', '.join(unclear)}"
    return "transfers", f"every optimum is within one step of the grid ({step:g} octave) of the first value's"


def _vertex(log2_lrs: Sequence[float], losses: Floats) -> float:
    """Vertex of the parabola through the least loss and its neighbours; that rate itself where one has no loss."""
    best = int(np.argmin(losses))
    here = log2_lrs[best]
    if best in (0, len(losses) - 1) or not np.isfinite(losses[best - 1 : best + 2]).all():
        return here
    left, right = here - log2_lrs[best - 1], log2_lrs[best + 1] - here
    rise_left, rise_right = (losses[best - 1] - losses[best]) / left, (losses[best + 1] - losses[best]) / right
    if rise_left + rise_right == 0:
        return here
    return float(here + (rise_left * right - rise_right * left) / (2.0 * (rise_left + rise_right)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
