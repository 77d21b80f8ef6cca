"""A whole run over its step time: start, steps, checkpoints, failures and restarts.

The run is a sequence of *segments*, each some steps and the checkpoint that saves them. A failure throws the run back
to the last checkpoint that was completed, and the run restarts; failures strike restarts and checkpoints as well. They
are a Poisson process, so that nothing between two of them needs to be played: all replications go from failure to
failure, exactly, however many steps lie between. Randomness is a hash of (seed, replication, failure): it has no state.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.randomness import splitmix64, uniform
from wse_sim.spec.operations import Operations

FloatArray = npt.NDArray[np.float64]

PARTS = ("start_up", "useful", "checkpoint", "lost", "restart")
(_START_UP, _USEFUL, _CHECKPOINT, _LOST, _RESTART) = range(len(PARTS))
MOST_FAILURES = 1e5  # a run that expects more does not come to its end in any useful time


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run as it goes when nothing fails, and what a failure costs.

    Parameters
    ----------
    compile_s :
        On hosts, before anything that a failure could stop.
    bring_up_s :
        From there to the first step.
    restart_s :
        From a failure to the next step.
    work_s, checkpoint_s : (n_segments,)
        Steps of each segment, and the checkpoint that ends it.
    failures_per_s :
        Of the whole cluster, at all times after the compilation.
    """

    compile_s: float
    bring_up_s: float
    restart_s: float
    work_s: FloatArray
    checkpoint_s: FloatArray
    failures_per_s: float

    @property
    def uninterrupted_s(self) -> float:
        """The whole run when nothing fails."""
        return self.compile_s + self.bring_up_s + float(self.work_s.sum() + self.checkpoint_s.sum())


def plan_run(
    operations: Operations,
    *,
    step_s: float | FloatArray,
    n_steps: int,
    n_parameters: int,
    num_csx: int,
    checkpoint_steps: int | None = None,
    is_compiled: bool = False,
) -> RunPlan:
    """The run of `n_steps` steps on `num_csx` systems, with a checkpoint at step 0, at intervals and at its end.

    Parameters
    ----------
    step_s : or (n_drawn,)
        Time of every step, or of steps that were drawn with jitter and repeat from the first when they run out.
    checkpoint_steps :
        Steps between two checkpoints; None takes Daly's interval, which without failures is the whole run.
    is_compiled :
        Whether the program is compiled already.

    Raises
    ------
    SpecError
        When there are no steps, none between two checkpoints, or a step takes no time.
    """
    drawn_s = np.atleast_1d(np.asarray(step_s, np.float64))
    if n_steps < 1 or (checkpoint_steps is not None and checkpoint_steps < 1):
        raise SpecError(f"{n_steps} steps, a checkpoint every {checkpoint_steps}: both must be at least 1")
    if drawn_s.size == 0 or not (drawn_s > 0).all():
        raise SpecError("every step must take time")
    rate, checkpoint_s = operations.failures_per_s(num_csx), operations.checkpoint_s(n_parameters)
    if checkpoint_steps is None:
        steps = daly_interval_s(checkpoint_s, 1 / rate) / float(drawn_s.mean()) if rate else n_steps
        checkpoint_steps = max(1, round(min(steps, n_steps)))
    saved_at = np.append(np.arange(0, n_steps, checkpoint_steps), n_steps)
    work_s = np.diff(_first_steps_s(drawn_s, saved_at), prepend=0.0)
    return RunPlan(
        compile_s=0.0 if is_compiled else operations.compile_s,
        bring_up_s=operations.bring_up_s(n_parameters),
        restart_s=operations.detection_s + operations.bring_up_s(n_parameters),
        work_s=work_s,
        checkpoint_s=np.where(saved_at == 0, operations.first_checkpoint_s, checkpoint_s),
        failures_per_s=rate,
    )


def young_interval_s(checkpoint_s: float, mtbf_s: float) -> float:
    """Work between two checkpoints that costs least, to first order.

    Source: Young, CACM 17(9), 1974.
    """
    return math.sqrt(2 * checkpoint_s * mtbf_s)


def daly_interval_s(checkpoint_s: float, mtbf_s: float) -> float:
    """Work between two checkpoints that costs least, where the run restarts from its last checkpoint.

    Source: Daly, Future Generation Computer Systems 22(3), 2006, Eq. (37).
    """
    if checkpoint_s >= 2 * mtbf_s:
        return mtbf_s
    ratio = checkpoint_s / (2 * mtbf_s)
    return young_interval_s(checkpoint_s, mtbf_s) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - checkpoint_s


def expected_parts_s(plan: RunPlan) -> dict[str, float]:
    """Expected time in each of `PARTS`, exactly; their sum is the expected time of the run.

    A stretch of length t that must go through unbroken takes (exp(l t) - 1) / l in all its attempts, at a rate l of
    failures; failures outside of restarts are l times the time outside of restarts.

    Raises
    ------
    SpecError
        When the run expects more than `MOST_FAILURES`.

    Source: the complete cost function of Daly 2006 (see `daly_interval_s`), with segments of any length.
    """
    rate, segment_s = plan.failures_per_s, plan.work_s + plan.checkpoint_s
    with np.errstate(over="ignore"):  # a run without end is refused below
        first_s = _attempts_s(-rate, plan.bring_up_s)  # one attempt: what comes after its failure is a restart
        segments_s = _attempts_s(rate, segment_s)
        restart_s = rate * (first_s + segments_s) * _attempts_s(rate, plan.restart_s)
    parts_s = {
        "start_up": plan.compile_s + first_s,
        "useful": float(plan.work_s.sum()),
        "checkpoint": float(plan.checkpoint_s.sum()),
        "lost": max(0.0, segments_s - float(segment_s.sum())),
        "restart": restart_s,
    }
    n_failures = rate * (sum(parts_s.values()) - plan.compile_s)
    if not n_failures <= MOST_FAILURES:
        raise SpecError(
            f"the run does not come to its end: there is a failure every {1 / rate:.3g} s, and up to "
            f"{max(segment_s.max(), plan.restart_s):.3g} s must go without one; checkpoint more often"
        )
    return parts_s


def expected_run_s(plan: RunPlan) -> float:
    """Expected time of the run, exactly."""
    return sum(expected_parts_s(plan).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """Replications of one run.

    Parameters
    ----------
    total_s : (n_replications,)
        Time of the whole run.
    parts_s : (n_replications, 5)
        The same by `PARTS`: start until the first step; steps that count; checkpoints that count; steps and checkpoints
        that a failure undid; from failures to the next step.
    n_failures : (n_replications,) of int64
    """

    total_s: FloatArray
    parts_s: FloatArray
    n_failures: npt.NDArray[np.int64]

    @property
    def mean_s(self) -> float:
        return float(self.total_s.mean())

    def percentile_s(self, percent: float) -> float:
        return float(np.percentile(self.total_s, percent))

    @property
    def split(self) -> dict[str, float]:
        """Fraction of the time of all replications in each of `PARTS`; they sum to 1."""
        return dict(zip(PARTS, (self.parts_s.sum(axis=0) / self.parts_s.sum()).tolist(), strict=True))

    @property
    def goodput(self) -> float:
        """Fraction of the time that went into steps that count."""
        return self.split["useful"]


def simulate_runs(plan: RunPlan, *, n_replications: int = 400, seed: int = 0) -> RunTimes:
    """`n_replications` runs with drawn failures.

    Raises
    ------
    SpecError
        When the run expects more than `MOST_FAILURES`.
    """
    expected_parts_s(plan)  # refuses a run without end
    played = _Replications(plan, splitmix64(seed % 2**64, np.arange(n_replications)))
    while not played.are_done:
        played.go_on_to_the_next_failure()
    return RunTimes(total_s=played.total_s, parts_s=played.parts_s, n_failures=played.n_failures)


class _Replications:
    """Runs side by side, each from failure to failure.

    Parameters
    ----------
    streams : (n_replications,)
        Seed of each one's failures.
    """

    def __init__(self, plan: RunPlan, streams: npt.NDArray[np.uint64]) -> None:
        n = len(streams)
        self.plan, self.streams = plan, streams
        # Steps, and steps and checkpoints, of the first segments, however many.
        self.work_s = np.append(0.0, np.cumsum(plan.work_s))
        self.reached_s = np.append(0.0, np.cumsum(plan.work_s + plan.checkpoint_s))
        self.total_s, self.parts_s = np.full(n, np.nan), np.zeros((n, len(PARTS)))
        self.parts_s[:, _START_UP] = plan.compile_s
        self.clock_s = np.full(n, plan.compile_s)
        self.saved, self.n_failures = np.zeros(n, np.int64), np.zeros(n, np.int64)

    @property
    def are_done(self) -> bool:
        return not np.isnan(self.total_s).any()

    def go_on_to_the_next_failure(self) -> None:
        """Everything up to the next failure, or the end, of each run that has not come to it."""
        i = np.flatnonzero(np.isnan(self.total_s))
        is_first = self.n_failures[i] == 0
        to_ready_s = np.where(is_first, self.plan.bring_up_s, self.plan.restart_s)
        gap_s = self._gaps_s(i)
        self.parts_s[i, np.where(is_first, _START_UP, _RESTART)] += np.minimum(gap_s, to_ready_s)
        unbroken_s = np.maximum(gap_s - to_ready_s, 0.0)
        before = self.saved[i]
        saved = np.searchsorted(self.reached_s, self.reached_s[before] + unbroken_s, side="right") - 1
        saved_s, useful_s = self.reached_s[saved] - self.reached_s[before], self.work_s[saved] - self.work_s[before]
        is_done = saved == len(self.plan.work_s)
        self.parts_s[i, _USEFUL] += useful_s
        self.parts_s[i, _CHECKPOINT] += saved_s - useful_s
        self.parts_s[i, _LOST] += np.where(is_done, 0.0, unbroken_s - saved_s)
        self.total_s[i] = np.where(is_done, self.clock_s[i] + to_ready_s + saved_s, np.nan)
        self.clock_s[i] += gap_s
        self.saved[i] = saved
        self.n_failures[i] += ~is_done

    def _gaps_s(self, i: npt.NDArray[np.int64]) -> FloatArray:
        if not self.plan.failures_per_s:
            return np.full(len(i), np.inf)
        drawn = uniform(splitmix64(self.streams[i], self.n_failures[i]))
        return np.asarray(-np.log(drawn) / self.plan.failures_per_s)


def _first_steps_s(drawn_s: FloatArray, n: npt.NDArray[np.int64]) -> FloatArray:
    """Time of the first `n` steps, for each entry of `n`."""
    sums = np.append(0.0, np.cumsum(drawn_s))
    rounds, rest = np.divmod(n, len(drawn_s))
    return np.asarray(rounds * sums[-1] + sums[rest])


def _attempts_s(rate: float, length_s: float | FloatArray) -> float:
    """Sum of (exp(rate * length) - 1) / rate over all lengths, which is their own sum at rate 0."""
    return float(np.sum(np.expm1(rate * np.asarray(length_s))) / rate if rate else np.sum(length_s))
