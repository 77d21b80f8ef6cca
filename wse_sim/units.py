"""Factors between units: the only place where they stand."""

import math

PS_PER_S = 10**12
S_PER_DAY = 86_400.0
S_PER_HOUR = 3_600.0
J_PER_KWH = 3.6e6


def to_ps(seconds: float) -> int:
    """`seconds` as whole picoseconds, rounded up, and never less than one.

    Rounding up and the floor of one tick make every service take time, so no event can follow itself at the same
    instant.
    """
    return max(1, math.ceil(seconds * PS_PER_S))


def to_s(ticks_ps: float) -> float:
    """Picoseconds as seconds."""
    return ticks_ps / PS_PER_S
