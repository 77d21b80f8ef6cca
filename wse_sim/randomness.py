"""Draws that are a hash of what they are for: the same whoever draws first, and however many others are drawn."""

import numpy as np
import numpy.typing as npt

_GOLDEN = 0x9E3779B97F4A7C15


def splitmix64(stream: npt.ArrayLike, index: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """64 random bits: number `index` of the generator splitmix64 with the seed `stream`, elementwise.

    Source: Steele, Lea, Flood, OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        x = np.asarray(stream, np.uint64) + np.uint64(_GOLDEN) * (np.asarray(index, np.uint64) + np.uint64(1))
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


def uniform(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Those bits as numbers between 0 and 1, neither of them included."""
    return np.asarray(((bits >> np.uint64(12)) + 0.5) * 2.0**-52, np.float64)
