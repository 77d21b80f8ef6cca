"""What makes systems unequal: a straggler, and jitter from pass to pass."""

import numpy as np
import numpy.typing as npt

from wse_sim.randomness import splitmix64, uniform
from wse_sim.schedule.clock import whole_ps
from wse_sim.schedule.program import IntArray

FloatArray = npt.NDArray[np.float64]


def with_straggler(compute_ps: IntArray, slowdown: float) -> IntArray:
    """`compute_ps`, (n_leaves, n_passes), with every service of the first leaf `slowdown` times as long."""
    slowed: IntArray = compute_ps.copy()
    slowed[0] = whole_ps(np.ceil(slowed[0] * slowdown))
    return slowed


def drawn_jitter_ps(pass_ps: IntArray | FloatArray, jitter: float, n_occurrences: int, seed: int) -> IntArray:
    """(n_leaves, n_occurrences * n_passes): what each occurrence of each pass takes longer at each leaf.

    Drawn evenly from 0 to the fraction `jitter` of the pass. A draw is a hash of (seed, leaf, occurrence), so that it
    depends neither on how long the run is nor on who draws it first.

    Parameters
    ----------
    pass_ps : (n_leaves, n_passes)
        Time of a whole pass, all its tiles.
    n_occurrences :
        Micro-batches of the whole program.
    """
    n_leaves, n_passes = pass_ps.shape
    if not jitter:
        return np.zeros((n_leaves, 0), np.int64)
    streams = splitmix64(seed % 2**64, np.arange(n_leaves))
    draws = uniform(splitmix64(streams[:, None], np.arange(n_occurrences * n_passes)))
    return whole_ps(np.floor(np.tile(pass_ps * jitter, n_occurrences) * draws))
