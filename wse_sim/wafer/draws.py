"""Seeded draws of what a mask leaves in each column of cores, without drawing the mask.

Uniform masks have a law for their fullest column, which is inverted; masks of uneven density have their cells drawn.
Only raw 64-bit numbers are drawn in the first case: numpy keeps those fixed across its versions, its distributions not.
"""

from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Densities = npt.NDArray[np.float64]

_REACH = 12.0  # standard deviations beyond which a count is not looked for: about 1e-32 of the law


def seeded(seed: int, name: str) -> np.random.Philox:
    """A counter-based generator that depends on the seed and the name alone."""
    return np.random.Philox(key=int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little"))


@lru_cache(maxsize=1024)
def drawn_fullest(n_out: int, n_in: int, n_nonzeros: int, group: int, window_rows: int, seed: int, name: str) -> Counts:
    """(n_windows,), not to be written: non-zeros of the fullest column of cores in each window of a random mask.

    The mask is any of exactly `n_nonzeros` non-zeros, each equally likely. A cell (window x column) then holds a
    hypergeometric number of them, and the fullest of the columns is drawn by inversion, with the columns taken as
    independent: they are negatively associated through the fixed total, one part in the number of cells, so the true
    maximum is larger by less than a test can see from about a hundred cells on.

    The same seed and name draw the same quantiles at every density: more non-zeros never draw less work.

    Parameters
    ----------
    group :
        Input channels of a column of cores; the last may hold fewer.
    """
    n_windows = -(-n_out // window_rows)
    # 53 bits, all that a float holds.
    quantiles = (seeded(seed, name).random_raw(n_windows) >> np.uint64(11)) * 2.0**-53
    fullest = np.empty(n_windows, np.int64)
    last_rows = n_out - window_rows * (n_windows - 1)
    for windows, rows in ((slice(0, -1), window_rows), (slice(-1, None), last_rows)):
        if not fullest[windows].size:
            continue
        counts, cdf = _fullest_law(n_out * n_in, n_nonzeros, rows, n_in, group)
        found = np.searchsorted(cdf, quantiles[windows])
        fullest[windows] = counts[np.minimum(found, len(counts) - 1)]
    if n_nonzeros and not fullest.any():
        fullest[0] = 1  # independent columns can all miss the few non-zeros there are
    fullest.flags.writeable = False
    return fullest


def _fullest_law(n_weights: int, n_nonzeros: int, rows: int, n_in: int, group: int) -> tuple[Counts, Densities]:
    """Counts and the probability that no column of a window of `rows` rows holds more."""
    counts, cdf = _cell_law(n_weights, n_nonzeros, rows * group)
    cdf = cdf ** (n_in // group)
    if n_in % group:
        narrow_counts, narrow = _cell_law(n_weights, n_nonzeros, rows * (n_in % group))
        at = np.searchsorted(narrow_counts, counts, side="right") - 1
        cdf = cdf * np.where(at < 0, 0.0, narrow[at])
    return counts, cdf


def _cell_law(n_weights: int, n_nonzeros: int, n_slots: int) -> tuple[Counts, Densities]:
    """Counts and their cumulative probability: `n_slots` of `n_weights` places, `n_nonzeros` of which are taken.

    Ratios of neighbouring terms of the hypergeometric law, summed as logarithms.
    """
    density = n_nonzeros / n_weights
    mean = n_slots * density
    reach = _REACH * np.sqrt(mean * (1.0 - density)) + _REACH
    lowest = max(0, n_slots - (n_weights - n_nonzeros), int(mean - reach))
    highest = min(n_slots, n_nonzeros, int(mean + reach))
    counts = np.arange(lowest, highest + 1)
    k = counts[:-1].astype(np.float64)
    ratios = (n_nonzeros - k) * (n_slots - k) / ((k + 1.0) * (n_weights - n_nonzeros - n_slots + k + 1.0))
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    cdf = np.cumsum(np.exp(logs - logs.max()))
    return counts, cdf / cdf[-1]


def drawn_counts(slots: Counts, densities: Densities, n_nonzeros: int, rng: np.random.Generator) -> Counts:
    """Non-zeros of each cell, `n_nonzeros` in all, where each place of cell i is taken with `densities[i]`.

    Independent draws, then the surplus taken away, or the lack filled, at places chosen evenly: for equal densities
    this is exactly the law of a uniformly random mask with that number of non-zeros.

    Parameters
    ----------
    slots : any shape
        Places of each cell; `n_nonzeros` at most in all.
    densities : as `slots`
        Each in [0, 1].
    """
    counts = rng.binomial(slots, densities)
    surplus = int(counts.sum()) - n_nonzeros
    if surplus > 0:
        return counts - _chosen(counts, surplus, rng)
    return counts + _chosen(slots - counts, -surplus, rng)


def _chosen(places: Counts, n_chosen: int, rng: np.random.Generator) -> Counts:
    """How many of `n_chosen` different places, each equally likely, lie in each cell of so many `places`."""
    ends = np.cumsum(places)
    chosen = rng.choice(int(ends[-1]), n_chosen, replace=False, shuffle=False)
    return np.bincount(np.searchsorted(ends, chosen, side="right"), minlength=places.size).reshape(places.shape)
