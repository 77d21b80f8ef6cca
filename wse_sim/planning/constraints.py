"""What a plan must keep to, and how far a candidate is from it."""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.planning.outcomes import Outcomes
from wse_sim.planning.space import Candidates, FloatArray

_OPTIONS = {  # of the command, by field
    "deadline_s": "--deadline",
    "max_cost_usd": "--max-cost",
    "max_power_w": "--max-power",
    "max_energy_j": "--max-energy",
    "max_carbon_kg": "--max-carbon",
    "target_loss": "--target-loss",
    "max_csx": "--max-csx",
}


class Constraints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Upper limits; None = no limit.

    Parameters
    ----------
    deadline_s :
        On the expected wall clock, with start, checkpoints and failures.
    max_power_w :
        Of the systems while they run.
    target_loss :
        Projected.
    """

    deadline_s: float | None = None
    max_cost_usd: float | None = None
    max_power_w: float | None = None
    max_energy_j: float | None = None
    max_carbon_kg: float | None = None
    target_loss: float | None = None
    max_csx: int | None = None

    def __post_init__(self) -> None:
        for name, limit in msgspec.structs.asdict(self).items():
            if limit is not None and not 0 < limit < math.inf:
                raise SpecError(f"{_OPTIONS[name]} ({name}) is {limit:g}: it must be a positive number")

    @property
    def said(self) -> dict[str, float]:
        """The limits there are, by name."""
        return {name: limit for name, limit in msgspec.structs.asdict(self).items() if limit is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """By how much candidates miss each limit; nan where they hit a wall.

    Parameters
    ----------
    excess : each (n,)
        Value over limit, less 1, by name of the constraint; above 0 it is missed.
    worst : (n,)
        The largest excess; -inf without limits.
    """

    excess: dict[str, FloatArray]
    worst: FloatArray

    @property
    def is_kept(self) -> npt.NDArray[np.bool_]:
        """(n,): candidates that fit and keep to all limits."""
        return np.asarray(self.worst <= 0)


def violations(constraints: Constraints, tried: Candidates, found: Outcomes) -> Violations:
    """How far each candidate is from each limit."""
    values = {
        "deadline_s": found.wall_clock_s,
        "max_cost_usd": found.cost_usd,
        "max_power_w": found.power_w,
        "max_energy_j": found.energy_j,
        "max_carbon_kg": found.carbon_kg,
        "target_loss": found.loss,
        "max_csx": tried.num_csx.astype(np.float64),
    }
    fits = found.wall == 0
    excess = {name: np.where(fits, values[name] / limit - 1.0, np.nan) for name, limit in constraints.said.items()}
    return Violations(excess=excess, worst=np.max([np.where(fits, -np.inf, np.nan), *excess.values()], axis=0))
