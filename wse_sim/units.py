"""Factors between units: the only place where they stand."""

PS_PER_S = 1e12
S_PER_DAY = 86_400.0
S_PER_HOUR = 3_600.0
H_PER_YEAR = 8_760.0
J_PER_KWH = 3.6e6


def to_s(ticks_ps: float) -> float:
    """Picoseconds as seconds."""
    return ticks_ps / PS_PER_S
