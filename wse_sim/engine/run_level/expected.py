"""The expected time of a run, exactly."""

import numpy as np

from wse_sim.engine.run_level.plan import RunPlan
from wse_sim.engine.run_level.terms import MOST_FAILURES, attempts_s, first_attempt_s
from wse_sim.errors import SpecError

PARTS = ("start_up", "useful", "straggler", "checkpoint", "lost", "restart")


def expected_parts_s(plan: RunPlan) -> dict[str, float]:
    """Expected time in each of `PARTS`, exactly; their sum is the expected time of the run.

    A stretch of length t that must go through unbroken takes (exp(l t) - 1) / l in all its attempts, at a rate l of
    failures; failures outside of restarts are l times the time outside of restarts. Steps count by their stretch
    (`StragglerDelays.stretch`).

    Raises
    ------
    SpecError
        When the run expects more than `MOST_FAILURES`.

    Source: the complete cost function of Daly (as `interval.daly_interval_s`), with segments of any length.
    """
    of_run, segment_s = plan.terms, plan.work_s + plan.checkpoint_s
    rate, stragglers, work_s = of_run.failures_per_s, of_run.stragglers, float(plan.work_s.sum())
    stretched_s = plan.work_s * stragglers.stretch(rate) + plan.checkpoint_s
    with np.errstate(over="ignore"):  # a run without end is refused below
        first_s = float(first_attempt_s(rate, of_run.bring_up_s))  # what comes after its failure is a restart
        segments_s = float(attempts_s(rate, stretched_s).sum())
        restart_s = float(rate * (first_s + segments_s) * attempts_s(rate, of_run.restart_s))
    delays_s = float(work_s * stragglers.kept_s(rate))
    parts_s = {
        "start_up": of_run.compile_s + first_s,
        "useful": work_s,
        "straggler": delays_s,
        "checkpoint": float(plan.checkpoint_s.sum()),
        "lost": max(0.0, segments_s - float(segment_s.sum()) - delays_s),
        "restart": restart_s,
    }
    if not rate * (sum(parts_s.values()) - of_run.compile_s) <= MOST_FAILURES:
        raise SpecError(
            f"the run does not come to its end: there is a failure every {1 / rate:.3g} s, and up to "
            f"{max(stretched_s.max(), of_run.restart_s):.3g} s must go without one; checkpoint more often"
        )
    return parts_s


def expected_run_s(plan: RunPlan) -> float:
    """Expected time of the run, exactly."""
    return sum(expected_parts_s(plan).values())


def expected_failures(plan: RunPlan) -> float:
    """Expected number of failures, exactly; the compilation cannot fail."""
    return float(plan.terms.failures_per_s * (expected_run_s(plan) - plan.terms.compile_s))
