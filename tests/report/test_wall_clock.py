"""The time of a whole run, against its plan and by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.runs import cluster
from wse_sim.engine.run_level import best_checkpoint_interval, expected_run_s, plan_run, simulate_runs
from wse_sim.report.wall_clock import wall_clock
from wse_sim.spec.operations import load_operations

RUN: dict[str, Any] = {"step_s": 2.0, "n_parameters": 10**9, "n_systems": 16}


def test_a_run_without_failures_is_its_parts_by_hand() -> None:
    """1800 s of compilation, 283.2 s of bring-up, 1000 steps of 2 s; checkpoints of 30 s, then 82 s after 300 steps."""
    never = replace(load_operations(), system_mtbf_s=math.inf, cluster_mtbf_s=math.inf, checkpoint_steps=300)
    found = wall_clock(never, n_steps=1000.4, seed=0, **RUN)
    assert found.total_s == found.p5_s == found.p95_s == pytest.approx(1800 + 283.2 + 2000 + 30 + 4 * 82, rel=1e-12)
    assert found.goodput == pytest.approx(2000 / (1800 + 283.2 + 2000 + 30 + 4 * 82), rel=1e-12)
    assert (found.n_failures, found.checkpoint_steps, found.checkpoint_interval_s) == (0, 300, 600.0)
    # One checkpoint at the end, the best without failures, would leave three out.
    assert found.checkpoint_loss["chosen"] == pytest.approx(3 * 82 / (1800 + 283.2 + 2000 + 30 + 82), rel=1e-9)


def test_the_interval_is_the_best_and_costs_nothing_over_it_where_none_is_asked_for() -> None:
    operations, run = cluster(checkpoint_s=2.0, mtbf_s=1e4), {**RUN, "n_parameters": 1, "n_systems": 1}
    best = best_checkpoint_interval(operations, n_steps=50_000, **run)
    found, plan = wall_clock(operations, n_steps=50_000, seed=3, **run), plan_run(operations, n_steps=50_000, **run)
    assert (found.checkpoint_steps, found.checkpoint_interval_s) == (best.steps, best.interval_s)
    assert found.checkpoint_loss == {"half": best.loss_at_half, "double": best.loss_at_double, "chosen": 0.0}
    assert found.total_s == pytest.approx(expected_run_s(plan), rel=1e-12)
    assert found.n_failures == pytest.approx(expected_run_s(plan) / 1e4, rel=1e-12)
    drawn = simulate_runs(plan, seed=3)
    assert (found.p5_s, found.p95_s) == (drawn.percentile_s(5), drawn.percentile_s(95))
    assert found.p5_s < found.total_s < found.p95_s
    asked = wall_clock(replace(operations, checkpoint_steps=2 * best.steps), n_steps=50_000, seed=3, **run)
    assert asked.checkpoint_loss["chosen"] == pytest.approx(best.loss_at_double)


def test_a_run_of_less_than_a_step_is_a_step() -> None:
    assert wall_clock(load_operations(), n_steps=0.2, seed=0, **RUN).parts_s["useful"] == 2.0
