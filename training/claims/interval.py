"""Means over seeds with Student's interval.

Seeds are few and their losses spread about normally, which is what Student's interval is for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and half the width of its 95 % interval: infinite for one seed, which says nothing about the others.

    The mean is no number where one of the values was not finite, as of a run that diverged.
    """

    mean: float
    half: float
    n_seeds: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def text(self, pattern: str = ".4f") -> str:
        """`1.5361 ± 0.0021 (3 seeds)`; without an interval for one seed, and a dash where there is no mean."""
        if math.isnan(self.mean):
            return "–"
        plain = pattern.lstrip("+")
        mean = f"{self.mean:{'+' * (plain != pattern)}z{plain}}"  # z: no minus before a zero
        return f"{mean} (1 seed)" if self.n_seeds == 1 else f"{mean} ± {self.half:{plain}} ({self.n_seeds} seeds)"

    def percent(self, pattern: str = ".2f") -> str:
        """`+0.58 ± 0.34 % (3 seeds)`, of a figure in per cent."""
        return self.text(pattern).replace(" (", " % (")


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean of one figure per seed, with its 95 % interval by Student's t.

    For the difference of two runs hand in the differences seed by seed: runs of a seed share weights and data, so that
    much of the spread cancels.
    """
    n = len(values)
    if not all(map(math.isfinite, values)):
        return Interval(math.nan, math.inf, n)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.inf, 1)
    variance = math.fsum((float(value) - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, t_quantile(n - 1) * math.sqrt(variance / n), n)


@cache
def t_quantile(degrees: int) -> float:
    """The t that Student's distribution of so many degrees of freedom stays below, either way, 95 % of the time."""
    low, high = 0.0, 1e3
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, degrees) < CONFIDENCE else (low, middle)
    return high


def _share_within(t: float, degrees: int) -> float:
    """P(|T| < t), by the finite sums for whole degrees of freedom.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, Eq. 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(degrees))
    is_odd = degrees % 2
    term = math.cos(angle) if is_odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + is_odd, degrees, 2):
        term *= (k - 1) / k * math.cos(angle) ** 2
        total += term
    return 2.0 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total
