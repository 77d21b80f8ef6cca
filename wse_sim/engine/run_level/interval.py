"""How often to save a checkpoint."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.engine.run_level.stragglers import Numbers
from wse_sim.engine.run_level.terms import MOST_FAILURES, Terms, terms
from wse_sim.errors import SpecError
from wse_sim.spec.operations import Operations

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-12  # expected times that differ by less are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInterval:
    """The interval with which a run is expected to end soonest, and how much that matters.

    Parameters
    ----------
    steps :
        From one checkpoint to the next; all the run's where one at its end is best.
    interval_s :
        Time of those steps when nobody straggles.
    run_s :
        Expected time of the run.
    loss_at_half, loss_at_double :
        Fraction by which the run is expected to take longer with half, or twice, as many steps.
    """

    steps: int
    interval_s: float
    run_s: float
    loss_at_half: float
    loss_at_double: float


def daly_interval_s(checkpoint_s: Numbers, mtbf_s: Numbers) -> Numbers:
    """Work between two checkpoints that costs least, nearly, where the run restarts from its last checkpoint.

    Source: Daly, Future Generation Computer Systems 22(3), 2006, Eq. (37).
    """
    e = np.sqrt(checkpoint_s / (2 * mtbf_s))
    series_s = 2 * e * mtbf_s * (1 + e / 3 + e * e / 9) - checkpoint_s
    return np.where(checkpoint_s < 2 * mtbf_s, series_s, mtbf_s)


def best_checkpoint_interval(
    operations: Operations,
    *,
    step_s: float,
    n_steps: int,
    n_parameters: int,
    n_systems: int,
) -> CheckpointInterval:
    """The interval in whole steps with the least expected time of the run, exactly; the longest of equal ones.

    Of all intervals that cut the run into m segments, the least, ceil(n_steps / m), is the best: it makes them most
    equal, and the cost of a segment is convex in its length. There are about 2 sqrt(n_steps) of these, and all are
    tried.

    Raises
    ------
    SpecError
        When there are no steps, they take no time, or the run expects more than `MOST_FAILURES` with any interval.
    """
    if n_steps < 1 or not step_s > 0:
        raise SpecError(f"{n_steps} steps of {step_s} s: there must be at least one, and it must take time")
    of_run = terms(operations, n_parameters=n_parameters, n_systems=n_systems)
    few = np.arange(1, min(math.isqrt(n_steps) + 1, n_steps) + 1)
    candidates = np.unique(np.append(few, -(-n_steps // few)))[::-1]
    run_s = _expected_s(of_run, step_s, n_steps, candidates)
    least_s = float(run_s.min())
    steps = int(candidates[run_s <= least_s * (1 + _ROUNDING)][0])
    if not of_run.failures_per_s * (least_s - of_run.compile_s) <= MOST_FAILURES:
        raise SpecError(
            f"the run does not come to its end, however often it is saved: there is a failure every "
            f"{1 / of_run.failures_per_s:.3g} s, a checkpoint takes {of_run.checkpoint_s:.3g} s and a restart "
            f"{of_run.restart_s:.3g} s"
        )
    around = np.array([max(1, round(steps / 2)), min(2 * steps, n_steps)])
    losses = _expected_s(of_run, step_s, n_steps, around) / least_s - 1
    return CheckpointInterval(
        steps=steps,
        interval_s=steps * step_s,
        run_s=least_s,
        loss_at_half=float(losses[0]),
        loss_at_double=float(losses[1]),
    )


def chosen_checkpoint_steps(
    operations: Operations, *, step_s: float, n_steps: int, n_parameters: int, n_systems: int
) -> int:
    """Steps between two checkpoints that `operations` ask for, else the best; at most those of the run."""
    asked = asked_checkpoint_steps(operations, step_s=step_s, n_steps=n_steps)
    if asked is not None:
        return asked
    best = best_checkpoint_interval(
        operations, step_s=step_s, n_steps=n_steps, n_parameters=n_parameters, n_systems=n_systems
    )
    return best.steps


def asked_checkpoint_steps(operations: Operations, *, step_s: float, n_steps: int) -> int | None:
    """Steps between two checkpoints that `operations` ask for, at most those of the run; None = the best are wanted."""
    if operations.checkpoint_steps is not None:
        return min(operations.checkpoint_steps, n_steps)
    if operations.checkpoint_interval_s is not None:
        return max(1, round(min(operations.checkpoint_interval_s / step_s, n_steps)))
    return None


def _expected_s(of_run: Terms, step_s: float, n_steps: int, steps: npt.NDArray[np.int64]) -> FloatArray:
    """Expected time of the run for each number of `steps` between two checkpoints."""
    n_full, rest = np.divmod(n_steps, steps)
    with np.errstate(over="ignore"):  # what never ends is never the best
        last_s = np.where(rest > 0, of_run.segment_s(rest * step_s), 0.0)
        return np.asarray(of_run.run_s(n_full * of_run.segment_s(steps * step_s) + last_s))
