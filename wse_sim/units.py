"""Factors between units: the only place where they stand."""

import numpy as np
import numpy.typing as npt

PS_PER_S = 1e12
S_PER_DAY = 86_400.0
S_PER_HOUR = 3_600.0
H_PER_YEAR = 8_760.0
J_PER_KWH = 3.6e6


def to_ps(seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """`seconds` as whole picoseconds, rounded up, and never less than one.

    Rounding up and the floor of one tick make every service take time, so no event can follow itself at the same
    instant.
    """
    ticks: npt.NDArray[np.int64] = np.maximum(1, np.ceil(np.asarray(seconds) * PS_PER_S)).astype(np.int64)
    return ticks


def to_s(ticks_ps: float) -> float:
    """Picoseconds as seconds."""
    return ticks_ps / PS_PER_S
