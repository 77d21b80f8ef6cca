"""Ways to spend a machine's time or energy, and what two of them come to against each other.

A way is a density and a schedule on a machine; its measured lengths make a curve of loss against cost. Between two
measured lengths the loss is taken as linear in the logarithm of the cost; beyond them nothing is said.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.claims.interval import Interval, over_seeds
from wse_sim.units import S_PER_DAY

Floats = npt.NDArray[np.float64]
Run = tuple[float, str, float]  # density, schedule, tokens per parameter
Losses = Mapping[Run, Mapping[int, float]]  # by seed; infinite where training diverged
Cost = Literal["days", "joules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the full-size run takes on it, simulated.

    Parameters
    ----------
    s_per_tpp :
        Density -> seconds for one token per parameter.
    power_w :
        Of all of it.
    assumed :
        Constants behind the time for which nothing better than an assumption is known.
    """

    name: str
    s_per_tpp: Mapping[float, float]
    power_w: float
    assumed: tuple[str, ...] = ()

    def costs(self, density: float, tpps: Sequence[float]) -> Mapping[Cost, Floats]:
        """Of the full-size run at these tokens per parameter."""
        seconds = self.s_per_tpp[density] * np.asarray(tpps, float)
        return {"days": seconds / S_PER_DAY, "joules": seconds * self.power_w}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A curve of loss against cost.

    Parameters
    ----------
    tpps, costs :
        (n_lengths,) tokens per parameter, rising, and what they cost.
    losses :
        (n_seeds, n_lengths), measured of the proxy.
    """

    machine: str
    density: float
    schedule: str
    tpps: tuple[float, ...]
    costs: Mapping[Cost, Floats]
    losses: Floats

    def loss_at(self, cost: Cost, amount: float) -> Floats:
        """(n_seeds,) losses that so much time or energy buys, within the measured lengths."""
        at = np.log(self.costs[cost])
        return np.array([np.interp(math.log(amount), at, of_seed) for of_seed in self.losses])

    def cost_of(self, cost: Cost, loss: float) -> Floats:
        """(n_seeds,) time or energy at which the loss falls to `loss`, within the measured lengths."""
        at = np.log(self.costs[cost])
        return np.array([math.exp(np.interp(-loss, -of_seed, at)) for of_seed in self.losses])

    @property
    def falls(self) -> bool:
        """The loss of every seed falls from length to length."""
        return bool(np.isfinite(self.losses).all() and (np.diff(self.losses, axis=1) < 0).all())


def ways_on(machine: Machine, losses: Losses) -> list[Way]:
    """All that was trained, on one machine, in the order of the losses."""
    kinds = list(dict.fromkeys((density, schedule) for density, schedule, _ in losses))
    return [_way(machine, density, schedule, losses) for density, schedule in kinds]


def find_way(ways: Iterable[Way], density: float, schedule: str) -> Way:
    """The way of this density and schedule."""
    return next(way for way in ways if (way.density, way.schedule) == (density, schedule))


def common_costs(one: Way, other: Way, cost: Cost) -> tuple[float, float] | None:
    """The least and the most of a cost that both were measured at; None where they have none in common."""
    low = max(float(one.costs[cost][0]), float(other.costs[cost][0]))
    high = min(float(one.costs[cost][-1]), float(other.costs[cost][-1]))
    return (low, high) if low <= high * (1 + 1e-9) else None


def loss_excess(one: Way, other: Way, cost: Cost, amount: float) -> Interval:
    """By how many per cent the loss of `one` lies above that of `other` at the same cost, seed by seed."""
    ratios = one.loss_at(cost, amount) / other.loss_at(cost, amount)
    return over_seeds([100.0 * (ratio - 1.0) for ratio in ratios])


def common_loss(one: Way, other: Way) -> float | None:
    """The least loss that every seed of both reached; None where one has a higher loss than that from the start."""
    if not (one.falls and other.falls):
        return None
    loss = float(max(one.losses[:, -1].max(), other.losses[:, -1].max()))
    return loss if loss <= min(one.losses[:, 0].min(), other.losses[:, 0].min()) else None


def cost_ratio(one: Way, other: Way, cost: Cost, loss: float) -> tuple[float, float, float]:
    """How many times the cost of `other` `one` takes to the same loss: the mean over seeds and its interval's ends.

    Mean and interval are of the logarithm, in which twice as much and half as much are as far from equal.
    """
    found = over_seeds(list(np.log(one.cost_of(cost, loss) / other.cost_of(cost, loss))))
    return math.exp(found.mean), math.exp(found.low), math.exp(min(found.high, 700.0))


def _way(machine: Machine, density: float, schedule: str, losses: Losses) -> Way:
    tpps = tuple(sorted(tpp for rho, name, tpp in losses if (rho, name) == (density, schedule)))
    runs = [losses[density, schedule, tpp] for tpp in tpps]
    seeds = sorted(runs[0])
    return Way(
        machine=machine.name,
        density=density,
        schedule=schedule,
        tpps=tpps,
        costs=machine.costs(density, tpps),
        losses=np.array([[of_run[seed] for of_run in runs] for seed in seeds]),
    )
