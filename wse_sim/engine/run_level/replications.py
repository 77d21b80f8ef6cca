"""Drawn runs side by side, each from failure to failure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.engine.run_level.expected import PARTS, expected_parts_s
from wse_sim.engine.run_level.plan import FloatArray, RunPlan
from wse_sim.errors import SpecError
from wse_sim.randomness import splitmix64, uniform

IntArray = npt.NDArray[np.int64]
Streams = npt.NDArray[np.uint64]

MOST_DELAYS = 1e5  # of one run: each is played
_START_UP, _USEFUL, _STRAGGLER, _CHECKPOINT, _LOST, _RESTART = range(len(PARTS))
_OF_DELAYS = 2**63  # the number of their stream among a replication's draws, which no number of failures reaches


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """Replications of one run.

    Parameters
    ----------
    total_s : (n_replications,)
        Time of the whole run.
    parts_s : (n_replications, 6)
        The same by `PARTS`: start until the first step; steps that count, as long as when nobody straggles; their
        delays by stragglers; checkpoints that count; steps and checkpoints that a failure undid; from failures to the
        next step.
    n_failures : (n_replications,) of int64
    """

    total_s: FloatArray
    parts_s: FloatArray
    n_failures: IntArray

    def percentile_s(self, percent: float) -> float:
        return float(np.percentile(self.total_s, percent))


def simulate_runs(plan: RunPlan, *, n_replications: int = 400, seed: int = 0) -> RunTimes:
    """`n_replications` runs with drawn failures and delays.

    Randomness is a hash of (seed, replication, failure or delay): it has no state.

    Raises
    ------
    SpecError
        When the run expects more than `MOST_FAILURES`, or its steps more than `MOST_DELAYS`.
    """
    expected_parts_s(plan)  # refuses a run without end
    n_delays = plan.terms.stragglers.per_work_s * float(plan.work_s.sum())
    if n_delays > MOST_DELAYS:
        raise SpecError(
            f"{n_delays:.3g} slow episodes are expected, and more than {MOST_DELAYS:.0e} cannot be played one by one: "
            "lower stragglers_per_system_day; a system that is always slow is --straggler"
        )
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

    def __init__(self, plan: RunPlan, streams: Streams) -> None:
        n = len(streams)
        self.plan, self.streams = plan, streams
        # Steps, and steps and checkpoints, of the first segments, however many.
        self.work_s = np.append(0.0, np.cumsum(plan.work_s))
        self.reached_s = np.append(0.0, np.cumsum(plan.work_s + plan.checkpoint_s))
        self.total_s, self.parts_s = np.full(n, np.nan), np.zeros((n, len(PARTS)))
        self.parts_s[:, _START_UP] = plan.terms.compile_s
        self.clock_s = np.full(n, plan.terms.compile_s)
        self.saved, self.n_failures, self.n_delays = (np.zeros(n, np.int64) for _ in range(3))

    @property
    def are_done(self) -> bool:
        return not np.isnan(self.total_s).any()

    def go_on_to_the_next_failure(self) -> None:
        """Everything up to the next failure, or the end, of each run that has not come to it."""
        i = np.flatnonzero(np.isnan(self.total_s))
        is_first = self.n_failures[i] == 0
        to_ready_s = np.where(is_first, self.plan.terms.bring_up_s, self.plan.terms.restart_s)
        gap_s = self._gaps_s(i)
        self.parts_s[i, np.where(is_first, _START_UP, _RESTART)] += np.minimum(gap_s, to_ready_s)
        unbroken_s = np.maximum(gap_s - to_ready_s, 0.0)
        before = self.saved[i]
        saved, delay_s = self._reach(i, unbroken_s)
        saved_s, useful_s = self.reached_s[saved] - self.reached_s[before], self.work_s[saved] - self.work_s[before]
        is_done = saved == len(self.plan.work_s)
        self.parts_s[i, _USEFUL] += useful_s
        self.parts_s[i, _STRAGGLER] += delay_s
        self.parts_s[i, _CHECKPOINT] += saved_s - useful_s
        self.parts_s[i, _LOST] += np.where(is_done, 0.0, unbroken_s - saved_s - delay_s)
        self.total_s[i] = np.where(is_done, self.clock_s[i] + to_ready_s + saved_s + delay_s, np.nan)
        self.clock_s[i] += gap_s
        self.saved[i] = saved
        self.n_failures[i] += ~is_done

    def _gaps_s(self, i: IntArray) -> FloatArray:
        if not self.plan.terms.failures_per_s:
            return np.full(len(i), np.inf)
        drawn = uniform(splitmix64(self.streams[i], self.n_failures[i]))
        return np.asarray(-np.log(drawn) / self.plan.terms.failures_per_s)

    def _reach(self, i: IntArray, unbroken_s: FloatArray) -> tuple[IntArray, FloatArray]:
        """Segments that runs `i` have saved after `unbroken_s`, and the delays in those saved in it.

        From delay to delay: `at_s` is how far a run has come, in steps and checkpoints.
        """
        at_s, left_s = self.reached_s[self.saved[i]], unbroken_s.copy()
        delay_s, kept_s = np.zeros(len(i)), np.zeros(len(i))
        going = np.flatnonzero(left_s > 0) if self.plan.terms.stragglers.per_work_s else np.zeros(0, np.int64)
        while going.size:
            next_s, length_s = self._next_delays_s(i[going], at_s[going])
            is_struck = next_s - at_s[going] < left_s[going]
            going, next_s, length_s = going[is_struck], next_s[is_struck], length_s[is_struck]
            has_saved = self._segment(next_s) > self._segment(at_s[going])
            kept_s[going] = np.where(has_saved, delay_s[going], kept_s[going])
            left_s[going] -= next_s - at_s[going]
            at_s[going] = next_s
            length_s = np.minimum(length_s, left_s[going])
            delay_s[going] += length_s
            left_s[going] -= length_s
            going = going[left_s[going] > 0]
        saved = self._segment(at_s + left_s)
        return saved, np.where(saved > self._segment(at_s), delay_s, kept_s)

    def _next_delays_s(self, i: IntArray, at_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Where on their way the next delay strikes the steps of runs `i`, inf for not at all, and how long it is."""
        stragglers, streams = self.plan.terms.stragglers, splitmix64(self.streams[i], _OF_DELAYS)
        gap_s = -np.log(uniform(splitmix64(streams, 2 * self.n_delays[i]))) / stragglers.per_work_s
        length_s = -np.log(uniform(splitmix64(streams, 2 * self.n_delays[i] + 1))) * stragglers.mean_s
        self.n_delays[i] += 1
        here = self._segment(at_s)
        done_s = np.minimum(self.work_s[here] + at_s - self.reached_s[here], self.work_s[here + 1])
        there = np.searchsorted(self.work_s, done_s + gap_s, side="right") - 1
        next_s = self.reached_s[there] + done_s + gap_s - self.work_s[there]
        return np.where(there == len(self.plan.work_s), np.inf, next_s), length_s

    def _segment(self, at_s: FloatArray) -> IntArray:
        """Segments that are saved where a run has come to `at_s`, which is the number of the one that it is in."""
        return np.searchsorted(self.reached_s, at_s, side="right") - 1
