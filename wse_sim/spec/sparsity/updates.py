"""At which steps masks change.

Step t means after t optimizer steps: an update at step 100 comes after the hundredth, and step 0 is the start.
"""

from collections.abc import Sequence

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.hyper import step_of


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every `freq` steps from `start` until before `stop`, or at the `steps` that are named.

    Parameters
    ----------
    freq :
        In steps.
    start, stop :
        Steps, or fractions of the run (0.75); no stop means to the end of the run.
    steps :
        Rising; in place of the other three.

    Source: `cerebras_pytorch.sparse`, UpdateSchedule.
    """

    freq: int | None = None
    start: int | float = 0
    stop: int | float | None = None
    steps: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if (self.freq is None) == (self.steps is None):
            raise SpecError("update: give either freq (with start and stop) or steps")
        if self.freq is not None and self.freq < 1:
            raise SpecError(f"update: freq is {self.freq}, it must be at least 1")
        if self.steps is not None and (self.start != 0 or self.stop is not None):
            raise SpecError("update: start and stop go with freq, not with steps")
        if self.steps is not None and (not self.steps or list(self.steps) != sorted(set(self.steps))):
            raise SpecError(f"update: steps is {list(self.steps)}, it must be rising and not empty")
        if self.start < 0 or (self.steps is not None and self.steps[0] < 0):
            raise SpecError("update: steps count from 0")


def update_steps(update: Update | None, n_steps: int) -> Sequence[int]:
    """The steps, rising, of a run of `n_steps` at which masks change; without an `update`, all of them.

    None comes after the last optimizer step: it would leave weights that nothing trains.

    Raises
    ------
    SpecError
        When there are none.
    """
    update = update or Update(freq=1)
    if update.steps is not None:
        steps: Sequence[int] = tuple(step for step in update.steps if step < n_steps)
    else:
        stop = n_steps if update.stop is None else min(n_steps, step_of(update.stop, n_steps))
        steps = range(step_of(update.start, n_steps), stop, update.freq or 1)
    if not steps:
        raise SpecError(f"update: no step of a run of {n_steps} is one of {update}")
    return steps
