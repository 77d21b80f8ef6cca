"""The expected time of many runs at once, for searches."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.engine.run_level.interval import daly_interval_s
from wse_sim.engine.run_level.stragglers import RAREST
from wse_sim.engine.run_level.terms import MOST_FAILURES, Terms, terms
from wse_sim.spec.operations import Operations

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRuns:
    """Runs as they are expected to go, each an array over runs.

    Parameters
    ----------
    wall_clock_s :
        Of the whole run; inf where it does not come to its end, as it expects more than `MOST_FAILURES`.
    goodput :
        Fraction of it that goes into steps that count, taken at the time of a step when nobody straggles.
    """

    wall_clock_s: FloatArray
    goodput: FloatArray


def expected_runs(
    operations: Operations,
    *,
    step_s: npt.ArrayLike,
    n_steps: npt.ArrayLike,
    n_parameters: npt.ArrayLike,
    n_systems: npt.ArrayLike,
) -> ExpectedRuns:
    """The expected time of each run in closed form, with segments of equal length: exact for these.

    There are as many of them as `operations` ask for, else as is best. A run whose steps cannot be cut into equal
    numbers takes at least as long (`best_checkpoint_interval` says how long, for one run). The arguments broadcast
    against each other; a run takes well below a microsecond.
    """
    step_s, n_steps, n_parameters, n_systems = (
        np.asarray(given, np.float64) for given in (step_s, n_steps, n_parameters, n_systems)
    )
    of_runs = terms(operations, n_parameters=n_parameters, n_systems=n_systems)
    work_s = n_steps * step_s
    n_segments = _asked_segments(operations, work_s, n_steps)
    if n_segments is None:
        n_segments = _best_segments(of_runs, work_s, n_steps)
    with np.errstate(over="ignore"):  # a run without end takes an infinite time
        wall_clock_s = of_runs.run_s(n_segments * of_runs.segment_s(work_s / n_segments))
    is_endless = of_runs.failures_per_s * (wall_clock_s - of_runs.compile_s) > MOST_FAILURES
    wall_clock_s = np.where(is_endless, np.inf, wall_clock_s)
    return ExpectedRuns(wall_clock_s=wall_clock_s, goodput=work_s / wall_clock_s)


def _asked_segments(operations: Operations, work_s: FloatArray, n_steps: FloatArray) -> FloatArray | None:
    if operations.checkpoint_steps is not None:
        return np.asarray(np.ceil(n_steps / operations.checkpoint_steps))
    if operations.checkpoint_interval_s is not None:
        return np.clip(np.ceil(work_s / operations.checkpoint_interval_s), 1, n_steps)
    return None


def _best_segments(of_runs: Terms, work_s: FloatArray, n_steps: FloatArray) -> FloatArray:
    """The better of the two whole numbers around the best real one; the cost is convex in the number.

    In mean times between failures, the best interval x between checkpoints of c is where (exp(x + c) - 1) / x is least,
    1 - x = exp(-x - c). Daly's is short of it by 8/135 e^4, e = sqrt(c / 2); one round of the equation multiplies the
    error by 1 - x, which is small where e is not.
    """
    mtbf_s = 1 / np.maximum(of_runs.failures_per_s, RAREST)
    x = -np.expm1(-(daly_interval_s(of_runs.checkpoint_s, mtbf_s) + of_runs.checkpoint_s) / mtbf_s)
    interval_s = x * mtbf_s / of_runs.stragglers.stretch(of_runs.failures_per_s)
    with np.errstate(divide="ignore", over="ignore"):  # checkpoints that cost nothing, runs without end
        fewer = np.clip(np.floor(work_s / interval_s), 1, n_steps)
        more = np.minimum(fewer + 1, n_steps)
        is_more = more * of_runs.segment_s(work_s / more) < fewer * of_runs.segment_s(work_s / fewer)
    return np.asarray(np.where(is_more, more, fewer))
