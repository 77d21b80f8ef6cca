"""The Pareto front of three figures of which less is better."""

from bisect import bisect_left, bisect_right

import numpy as np
import numpy.typing as npt

from wse_sim.planning.space import FloatArray, IntArray

_N_LEVELS = 16  # of the third figure, at least, at which rows are passed over


def pareto_front(figures: FloatArray) -> IntArray:
    """Places of the rows of `figures`, (n, 3), that no other row dominates, in ascending order of the first figure.

    A row dominates another when it is no worse in any figure and better in one. Of equal rows the first one stays.

    Rows are taken in lexicographic order, so that a row can only be dominated by earlier ones; those are kept as a
    staircase of the second figure against the third, in which a row is looked up in logarithmic time.

    Most rows are dominated by far, and are passed over by columns before.

    Source: Kung, Luccio, Preparata, Journal of the ACM 22(4), 1975, for three figures.
    """
    order = np.lexsort((figures[:, 2], figures[:, 1], figures[:, 0]))
    order = order[~_is_dominated_by_far(figures[order])]
    seconds: list[float] = []  # ascending
    thirds: list[float] = []  # descending: what a row of at most that second figure has reached
    kept = []
    for place, (_, second, third) in zip(order.tolist(), figures[order].tolist(), strict=True):
        at = bisect_right(seconds, second)
        if at and thirds[at - 1] <= third:
            continue
        kept.append(place)
        start = bisect_left(seconds, second)
        end = start
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[start:end], thirds[start:end] = [second], [third]
    return np.array(kept, np.int64)


def _is_dominated_by_far(figures: FloatArray) -> npt.NDArray[np.bool_]:
    """(n,): rows, in lexicographic order, that an earlier one dominates or equals with a level between their thirds."""
    seconds, thirds = figures[:, 1], figures[:, 2]
    found = np.zeros(len(figures), bool)
    levels = np.unique(thirds)
    for level in levels[:: max(1, len(levels) // _N_LEVELS)]:
        least = np.minimum.accumulate(np.where(thirds <= level, seconds, np.inf))
        found[1:] |= (thirds[1:] >= level) & (least[:-1] <= seconds[1:])
    return found
