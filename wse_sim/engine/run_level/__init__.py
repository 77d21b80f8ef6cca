"""A whole run over its step time: start, steps, checkpoints, stragglers, failures and restarts.

The run is a sequence of *segments*, each some steps and the checkpoint that saves them. A failure throws the run back
to the last checkpoint that was completed, and the run restarts; failures strike restarts and checkpoints as well. They
are a Poisson process, so that the expected time is a formula (`expected`), and nothing between two of them needs to be
played: all replications go from failure to failure, exactly, however many steps lie between (`replications`).
`candidates` is the formula for arrays of runs. Tests hold all of them against a run that is played event by event.
"""

from wse_sim.engine.run_level.candidates import ExpectedRuns, expected_runs
from wse_sim.engine.run_level.expected import PARTS, expected_failures, expected_parts_s, expected_run_s
from wse_sim.engine.run_level.interval import (
    CheckpointInterval,
    asked_checkpoint_steps,
    best_checkpoint_interval,
    chosen_checkpoint_steps,
    daly_interval_s,
)
from wse_sim.engine.run_level.plan import RunPlan, plan_run
from wse_sim.engine.run_level.replications import RunTimes, simulate_runs
from wse_sim.engine.run_level.stragglers import StragglerDelays, straggler_delays
from wse_sim.engine.run_level.terms import MOST_FAILURES, Terms, terms

__all__ = [
    "MOST_FAILURES",
    "PARTS",
    "CheckpointInterval",
    "ExpectedRuns",
    "RunPlan",
    "RunTimes",
    "StragglerDelays",
    "Terms",
    "asked_checkpoint_steps",
    "best_checkpoint_interval",
    "chosen_checkpoint_steps",
    "daly_interval_s",
    "expected_failures",
    "expected_parts_s",
    "expected_run_s",
    "expected_runs",
    "plan_run",
    "simulate_runs",
    "straggler_delays",
    "terms",
]
