"""Which constant matters: a result with each one at the ends of its range, and what they leave of a throughput."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.sourced import Sourced

_OF_WAFERS = {"power_w", "usd_per_hour", "purchase_usd", "capacity_bytes", "max_systems"}
_OF_GPUS = {"tdp_w", "server_w_per_gpu", "price_usd_per_h", "purchase_usd", "memory_bytes", "reserved_bytes"}
_WITHOUT_EFFECT = _OF_WAFERS | _OF_GPUS  # of a layout that stays, memory has none


class Ends(NamedTuple):
    """A constant with the ends of its range, its value where it has no end on that side, and a result at each."""

    constant: str
    low: float
    high: float
    at_low: float
    at_high: float

    @property
    def span(self) -> float:
        """By how much the results differ."""
        return abs(self.at_high - self.at_low)


def at_ends(
    constants: Mapping[str, Sourced], result: float, result_with: Callable[[str, float], float]
) -> Iterator[Ends]:
    """Every constant that has a range, at both ends of it.

    Parameters
    ----------
    constants :
        By name.
    result :
        With all of them at their values.
    result_with :
        The same with the constant of this name at this value.
    """
    for name, constant in constants.items():
        if constant.low == constant.high:
            continue
        low, high = constant.ends
        at_low, at_high = (result if end == constant.value else result_with(name, end) for end in (low, high))
        yield Ends(name, low, high, at_low, at_high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """One constant at both ends of its range, all others as they are.

    Parameters
    ----------
    low, high :
        As in `Ends`.
    tokens_per_s_at_low, tokens_per_s_at_high :
        Throughput there.
    """

    constant: str
    low: float
    high: float
    tokens_per_s_at_low: float
    tokens_per_s_at_high: float

    @property
    def span(self) -> float:
        """Ratio of the larger throughput to the smaller, as a logarithm."""
        return abs(float(np.log(self.tokens_per_s_at_high / self.tokens_per_s_at_low)))


def sensitivities(
    constants: Mapping[str, Sourced],
    tokens_per_s: float,
    tokens_per_s_with: Callable[[str, float], float],
    watch: Watch = UNWATCHED,
) -> list[Sensitivity]:
    """Every constant that has a range and may change the throughput, the one that matters most first.

    Parameters
    ----------
    constants :
        By part and name: `csx.clock_hz`, `gpu_training.link_fraction`.
    tokens_per_s_with :
        Throughput with the constant of this name at this value.
    watch :
        Hears of each that was worked out.
    """

    def with_constant(name: str, value: float) -> float:
        found = tokens_per_s_with(name, value)
        watch.came()
        return found

    of_time = {name: constant for name, constant in constants.items() if name.split(".")[1] not in _WITHOUT_EFFECT}
    ranges = ((c.value, *c.ends) for c in of_time.values() if c.low != c.high)
    watch.begin(sum((low != value) + (high != value) for value, low, high in ranges), "steps with a constant moved")
    found = [
        Sensitivity(
            constant=ends.constant,
            low=ends.low,
            high=ends.high,
            tokens_per_s_at_low=ends.at_low,
            tokens_per_s_at_high=ends.at_high,
        )
        for ends in at_ends(of_time, tokens_per_s, with_constant)
    ]
    return sorted(found, key=lambda s: -s.span)


def tokens_per_s_range(tokens_per_s: float, found: Iterable[Sensitivity]) -> tuple[float, float]:
    """Lowest and highest throughput that the ranges of the constants leave.

    Losses, and gains, of the constants are added in quadrature as logarithms, as for independent causes.
    """
    changes = np.log([[s.tokens_per_s_at_low, s.tokens_per_s_at_high] for s in found] or np.zeros((0, 2)))
    changes -= np.log(tokens_per_s)
    worst, best = changes.min(axis=1, initial=0.0), changes.max(axis=1, initial=0.0)
    return float(tokens_per_s * np.exp(-np.linalg.norm(worst))), float(tokens_per_s * np.exp(np.linalg.norm(best)))
