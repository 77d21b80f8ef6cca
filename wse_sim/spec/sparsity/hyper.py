"""Numbers that change while a run trains: the sparsity to reach, the fraction to drop.

All are functions of the step and of the number of mask updates before it, so that a resumed run goes on as it would
have. A step count may be written as a fraction of the run: `3584` is a step, `0.75` three quarters of them.

Source: names, arguments and formulas of `cerebras_pytorch.sparse` 2.10; `cubic` is gradual magnitude pruning's own
schedule (Zhu and Gupta, arXiv 1710.01878, Eq. 1).
"""

import math
from typing import TypeAlias

import msgspec

from wse_sim.errors import SpecError


class Constant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="constant"):
    """The same value at every step.

    Parameters
    ----------
    value :
        In [0, 1].
    """

    value: float

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        return self.value


class Linear(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="linear"):
    """init + slope x step.

    Parameters
    ----------
    init, slope :
        Value at step 0, and what each step adds.
    """

    init: float
    slope: float

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        return self.init + self.slope * step


class Exp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="exp"):
    """final + (init - final) e^(gamma x step).

    Parameters
    ----------
    init, final :
        Values at step 0 and, for a negative gamma, after many steps.
    gamma :
        Per step.
    """

    init: float
    gamma: float
    final: float = 1.0

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        return self.final + (self.init - self.final) * math.exp(self.gamma * step)


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="power"):
    """init x beta^step.

    Parameters
    ----------
    init, beta :
        Value at step 0, and the factor of each step.
    """

    init: float
    beta: float

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        return float(self.init * self.beta**step)


class Cosine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cosine"):
    """From init to minimum along half a cosine over `half_period` steps, and back over the next.

    Parameters
    ----------
    init, minimum :
        Values at step 0 and half a period later.
    half_period :
        In steps, or a fraction of the run.
    """

    init: float
    half_period: int | float
    minimum: float = 0.0

    def __post_init__(self) -> None:
        if not self.half_period > 0:
            raise SpecError(f"cosine: half_period is {self.half_period}, it must be positive")

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        angle = math.pi * step / step_of(self.half_period, n_steps)
        return self.minimum + (self.init - self.minimum) * 0.5 * (1.0 + math.cos(angle))


class Cubic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cubic"):
    """init until `start`, then final + (init - final) (1 - x)^3 with x from 0 to 1 at `stop`, then final.

    Parameters
    ----------
    init, final :
        Values before and after.
    start, stop :
        Steps, or fractions of the run.
    """

    final: float
    init: float = 0.0
    start: int | float = 0
    stop: int | float

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        start, stop = step_of(self.start, n_steps), step_of(self.stop, n_steps)
        x = 1.0 if step >= stop else max(0.0, (step - start) / (stop - start))
        return self.final + (self.init - self.final) * (1.0 - x) ** 3


class Cycling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cycling"):
    """The next value at each mask update, over and over.

    Parameters
    ----------
    values :
        In their order.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError("cycling: values is empty, it must hold at least one number")

    def at(self, step: int, n_updates: int, n_steps: int) -> float:
        return self.values[n_updates % len(self.values)]


# A number is a constant, a list cycles.
Hyperparameter: TypeAlias = float | tuple[float, ...] | Constant | Linear | Exp | Power | Cosine | Cubic | Cycling


def value_at(schedule: Hyperparameter, step: int, n_updates: int, n_steps: int) -> float:
    """The value at a step, clamped to [0, 1].

    Parameters
    ----------
    n_updates :
        Mask updates before this one.
    n_steps :
        Of the whole run.
    """
    if isinstance(schedule, tuple):
        schedule = Cycling(values=schedule)
    value = schedule if isinstance(schedule, int | float) else schedule.at(step, n_updates, n_steps)
    return min(1.0, max(0.0, value))


def is_constant(schedule: Hyperparameter) -> bool:
    """It is one number, in whichever form."""
    return isinstance(schedule, int | float | Constant) or (isinstance(schedule, tuple) and len(set(schedule)) == 1)


def step_of(position: int | float, n_steps: int) -> int:
    """The step that a step or a fraction of the run means.

    Raises
    ------
    SpecError
        When a fraction is not in [0, 1].
    """
    if isinstance(position, int):
        return position
    if not 0.0 <= position <= 1.0:
        raise SpecError(f"sparsity: {position} is no step: a whole number is a step, a fraction of the run is 0 to 1")
    return round(position * n_steps)
