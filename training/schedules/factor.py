"""The learning rate of a step as a fraction of the peak: warm-up, then a schedule."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from training.schedules.kinds import Place
from training.schedules.text import Schedule, parse_schedule
from wse_sim.errors import SpecError

Floats = npt.NDArray[np.float64]
FirstStepLr = Literal["first_increment", "zero"]


def lr_factor(
    text: str, step: int, n_steps: int, n_warmup_steps: int, first_step_lr: FirstStepLr = "first_increment"
) -> float:
    """Fraction of the peak learning rate at a step, in [0, 1].

    Parameters
    ----------
    text :
        A schedule as `parse_schedule` reads it.
    step :
        From 0; at `n_steps` and later the value that the schedule ends on.
    n_warmup_steps :
        W, smaller than n_steps.
    first_step_lr :
        Step i of the warm-up gets (i + 1)/W (`first_increment`), or i/W (`zero`, as the papers write it: the first
        step changes nothing).

    Raises
    ------
    SpecError
        For an unknown schedule, a warm-up that leaves no step, or a cooldown that starts outside the run.
    """
    return _factor(_fitting(text, n_steps, n_warmup_steps), step, n_steps, n_warmup_steps, first_step_lr)


def lr_factors(text: str, n_steps: int, n_warmup_steps: int, first_step_lr: FirstStepLr = "first_increment") -> Floats:
    """`lr_factor` of every step: (n_steps,) float64."""
    schedule = _fitting(text, n_steps, n_warmup_steps)
    return np.array([_factor(schedule, step, n_steps, n_warmup_steps, first_step_lr) for step in range(n_steps)])


def _factor(schedule: Schedule, step: int, n_steps: int, n_warmup_steps: int, first_step_lr: FirstStepLr) -> float:
    if step < n_warmup_steps:
        return (step + (first_step_lr == "first_increment")) / n_warmup_steps
    return schedule.factor(Place(min(step, n_steps), n_warmup_steps, n_steps, n_warmup_steps))


def _fitting(text: str, n_steps: int, n_warmup_steps: int) -> Schedule:
    if not 0 <= n_warmup_steps < n_steps:
        raise SpecError(f"warm-up of {n_warmup_steps} steps in a run of {n_steps}: it must leave at least one step")
    return parse_schedule(text)
