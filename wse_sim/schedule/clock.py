"""Times as the simulated clock counts them: whole picoseconds."""

import numpy as np
import numpy.typing as npt

from wse_sim.units import PS_PER_S, to_s

END_PS = 2.0**63


def to_ps(seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """`seconds` as whole picoseconds, rounded up, and never less than one.

    Rounding up and the floor of one tick make every service take time, so no event can follow itself at the same
    instant.

    Raises
    ------
    OverflowError
        When one is more than 2^63 ps, which is 106 days.
    """
    return whole_ps(np.maximum(1, np.ceil(np.asarray(seconds) * PS_PER_S)))


def whole_ps(exact: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Whole numbers of picoseconds, as the simulated clock counts them.

    Raises
    ------
    OverflowError
        As `to_ps`.
    """
    if not (exact < END_PS).all():
        raise OverflowError(f"{to_s(np.max(exact)):.3g} s is more than 2^63 ps, where the simulated clock ends")
    ticks: npt.NDArray[np.int64] = exact.astype(np.int64)
    return ticks
