"""Figures with intervals from few seeds: what comes of drawing the seeds again, with replacement.

From few seeds such intervals are too narrow rather than too wide: three seeds have ten different draws.
"""

import itertools

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Draws = npt.NDArray[np.intp]

_TAILS = (2.5, 97.5)  # per cent
_MOST_EXACT_SEEDS = 5  # 5^5 = 3125 draws are all there are; of more seeds as many are drawn
_N_DRAWS = 3125


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its 95 % interval; None where there is no finite figure, or nothing bounds an end."""

    value: float | None
    low: float | None
    high: float | None


NOTHING = Estimate(value=None, low=None, high=None)


def draws(n_seeds: int) -> Draws:
    """Seeds drawn with replacement: (n_draws, n_seeds) indices, the same every time."""
    if n_seeds <= _MOST_EXACT_SEEDS:
        return np.array(list(itertools.product(range(n_seeds), repeat=n_seeds)))
    return np.random.default_rng(0).integers(n_seeds, size=(_N_DRAWS, n_seeds))


def estimate(value: float, drawn: Floats, margin: float = 0.0) -> Estimate:
    """`value`, and the interval of the values that came of the draws, `margin` wider on both sides."""
    low, high = np.percentile(drawn, _TAILS, method="inverted_cdf")  # no value that came of no draw
    return Estimate(value=value, low=float(low) - margin, high=float(high) + margin)


def mean_over_seeds(by_seed: Floats) -> Estimate:
    """Mean of (n_seeds,) numbers; nothing where one is not finite, no interval where there is one seed."""
    if not np.isfinite(by_seed).all():
        return NOTHING
    mean = float(by_seed.mean())
    if len(by_seed) == 1:
        return Estimate(value=mean, low=None, high=None)
    return estimate(mean, by_seed[draws(len(by_seed))].mean(1))
