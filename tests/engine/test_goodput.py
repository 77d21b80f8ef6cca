"""What share of a run's time counts: limits, laws, many runs at once, and what clusters of GPUs have published."""

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.runs import cluster
from wse_sim.engine.run_level import (
    best_checkpoint_interval,
    expected_failures,
    expected_parts_s,
    expected_run_s,
    expected_runs,
    plan_run,
    terms,
)
from wse_sim.errors import SpecError
from wse_sim.spec.operations import Operations, load_gpu_operations, load_operations
from wse_sim.units import S_PER_DAY

RUN: dict[str, Any] = {"step_s": 2.0, "n_steps": 100_000, "n_parameters": 10**9, "n_systems": 16}


def goodput(operations: Operations, **changes: Any) -> float:
    """Of a run that is saved at the best interval."""
    return float(expected_runs(operations, **{**RUN, **changes}).goodput)


def test_goodput_is_useful_time_over_all_time() -> None:
    plan = plan_run(load_operations(), **RUN)
    parts_s = expected_parts_s(plan)
    assert parts_s["useful"] == RUN["step_s"] * RUN["n_steps"]
    found = expected_runs(load_operations(), **RUN)
    assert float(found.goodput) == pytest.approx(parts_s["useful"] / expected_run_s(plan), rel=1e-6)
    of_run, rate = plan.terms, load_operations().failures_per_s(RUN["n_systems"])
    assert rate * (found.wall_clock_s - of_run.compile_s) == pytest.approx(expected_failures(plan), rel=1e-6)


def test_without_failures_only_start_and_two_checkpoints_cost_and_a_long_run_tends_to_one() -> None:
    """1800 s of compilation, 283.2 s of bring-up, 30 s and 82 s of checkpoints."""
    never = replace(load_operations(), system_mtbf_s=math.inf, cluster_mtbf_s=math.inf)
    assert goodput(never) == pytest.approx(200_000 / (200_000 + 1800 + 283.2 + 30 + 82), rel=1e-12)
    assert 1 - 1e-6 < goodput(never, n_steps=10**10) < 1


def test_goodput_tends_to_that_as_failures_become_rare() -> None:
    never = goodput(replace(load_operations(), system_mtbf_s=math.inf, cluster_mtbf_s=math.inf))
    rare = [
        goodput(replace(load_operations(), system_mtbf_s=mtbf_s, cluster_mtbf_s=math.inf))
        for mtbf_s in (1e7, 1e9, 1e11, 1e13)
    ]
    assert rare == sorted(rare)
    assert never - rare[-1] < 1e-6 < never - rare[0]


@given(st.floats(1e4, 1e9), st.floats(1.0, 10.0), st.floats(1e-10, 1e-6), st.floats(1.0, 10.0), st.integers(1, 10**6))
def test_goodput_grows_with_the_time_between_failures_and_falls_with_the_cost_of_checkpoints(
    mtbf_s: float, more: float, per_parameter_s: float, dearer: float, n_steps: int
) -> None:
    base = replace(
        load_operations(), system_mtbf_s=16 * mtbf_s, cluster_mtbf_s=1e12, checkpoint_s_per_parameter=per_parameter_s
    )
    here = goodput(base, n_steps=n_steps)
    assert goodput(replace(base, system_mtbf_s=16 * mtbf_s * more), n_steps=n_steps) >= here * (1 - 1e-12)
    dear = replace(base, checkpoint_s_per_parameter=per_parameter_s * dearer)
    assert goodput(dear, n_steps=n_steps) <= here * (1 + 1e-12)


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(0.1, 30.0),
    st.integers(1, 64),
    st.sampled_from([math.inf, 3e7, 1e6]),
    st.sampled_from([0.0, 0.5]),
)
def test_many_runs_at_once_are_each_run_of_equal_segments(
    n_segments: int, steps: int, step_s: float, n_systems: int, mtbf_s: float, stragglers: float
) -> None:
    operations = replace(
        load_operations(), system_mtbf_s=mtbf_s, cluster_mtbf_s=mtbf_s, stragglers_per_system_day=stragglers
    )
    run: dict[str, Any] = {"step_s": step_s, "n_steps": n_segments * steps, "n_parameters": 10**9}
    plan = plan_run(operations, **run, n_systems=n_systems, checkpoint_steps=steps)
    found = expected_runs(replace(operations, checkpoint_steps=steps), **run, n_systems=n_systems)
    assert float(found.wall_clock_s) == pytest.approx(expected_run_s(plan), rel=1e-12)
    assert float(found.goodput) == pytest.approx(plan.work_s.sum() / expected_run_s(plan), rel=1e-12)


@given(st.integers(1, 10**6), st.floats(0.1, 30.0), st.integers(10**7, 10**11), st.integers(1, 192))
def test_best_equal_segments_bound_the_best_interval_in_whole_steps(
    n_steps: int, step_s: float, n_parameters: int, n_systems: int
) -> None:
    """Equal segments that whole steps cannot give; what the remainder costs is small beside a checkpoint."""
    run: dict[str, Any] = {"step_s": step_s, "n_steps": n_steps, "n_parameters": n_parameters, "n_systems": n_systems}
    found = float(expected_runs(load_operations(), **run).wall_clock_s)
    best = best_checkpoint_interval(load_operations(), **run)
    assert found * (1 - 1e-12) <= best.run_s <= found * (1 + 1e-4)


def test_number_of_segments_is_the_best_of_all() -> None:
    """Against each number from 1 to 20,000, over checkpoints of 1e-5 to 1 mean times between failures.

    The wrong one of thousands may be taken: it costs less than 1e-5 of the run.
    """
    n = np.arange(1, 20_001)
    for mtbf_s in (3e2, 1e4, 1e6):
        for checkpoint_s in mtbf_s * 10.0 ** np.arange(-5, 1):
            operations = cluster(checkpoint_s=checkpoint_s, mtbf_s=mtbf_s)
            of_run = terms(operations, n_parameters=1, n_systems=1)
            for work_s in checkpoint_s * np.array([0.5, 30.0, 1e3]):
                run: dict[str, Any] = {"step_s": work_s / 1e9, "n_steps": 10**9, "n_parameters": 1, "n_systems": 1}
                with np.errstate(over="ignore"):  # too few segments: without end
                    least_s = of_run.run_s(n * of_run.segment_s(work_s / n)).min()
                found = expected_runs(operations, **run)
                assert float(found.wall_clock_s) <= least_s * (1 + 1e-5)


def test_runs_without_end_take_for_ever() -> None:
    found = expected_runs(
        cluster(checkpoint_s=1e4, mtbf_s=10.0), step_s=1.0, n_steps=[1, 1000], n_parameters=1, n_systems=1
    )
    assert (found.wall_clock_s == math.inf).all()
    assert (found.goodput == 0).all()


def test_runs_that_expect_too_many_failures_are_those_that_one_run_refuses() -> None:
    run: dict[str, Any] = {"step_s": 1.0, "n_parameters": 1, "n_systems": 1}
    operations = cluster(checkpoint_s=10.0, mtbf_s=100.0)
    n_steps = np.array([10**6, 10**7])
    found = expected_runs(operations, **run, n_steps=n_steps)
    assert found.wall_clock_s[0] < math.inf
    assert best_checkpoint_interval(operations, **run, n_steps=10**6).run_s < math.inf
    assert found.wall_clock_s[1] == math.inf
    with pytest.raises(SpecError, match="does not come to its end"):
        best_checkpoint_interval(operations, **run, n_steps=10**7)


def test_arguments_broadcast() -> None:
    found = expected_runs(
        load_operations(), step_s=1.0, n_steps=10_000, n_parameters=[10**9, 10**10], n_systems=[[1], [4], [16]]
    )
    assert found.goodput.shape == found.wall_clock_s.shape == (3, 2)
    one = expected_runs(load_operations(), step_s=1.0, n_steps=10_000, n_parameters=10**10, n_systems=4)
    assert found.wall_clock_s[1, 1] == float(one.wall_clock_s)


@pytest.mark.parametrize("stragglers", [0.0, 0.1])
def test_a_candidate_takes_less_than_a_microsecond(stragglers: float) -> None:
    operations = replace(load_operations(), stragglers_per_system_day=stragglers)
    draws, n = np.random.default_rng(0), 50_000
    step_s, n_steps, n_systems = draws.uniform(0.1, 30, n), draws.integers(100, 500_000, n), draws.integers(1, 192, n)

    def took_s() -> float:
        started = time.perf_counter()
        expected_runs(operations, step_s=step_s, n_steps=n_steps, n_parameters=10**9, n_systems=n_systems)
        return time.perf_counter() - started

    assert min(took_s() for _ in range(10)) < 1e-6 * n


@pytest.mark.parametrize(
    ("days", "step_s", "n_parameters", "n_systems", "least", "n_failures"),
    [
        pytest.param(54, 6.0, 405e9, 2048, 0.9, (400, 440), id="Llama 3"),
        pytest.param(21, 6.0, 175e9, 1536, 0.9, (100, 150), id="MegaScale"),
        pytest.param(117, 105.0, 176e9, 48, 0.9, (13, 26), id="BLOOM"),
    ],
)
def test_gpu_clusters_are_as_their_papers_say(
    days: float, step_s: float, n_parameters: float, n_systems: int, least: float, n_failures: tuple[float, float]
) -> None:
    """What the constants of the data give for whole runs, beside what was published of them.

    Llama 3 (arXiv 2407.21783, Section 3.3.4): 419 unexpected interruptions in 54 days on 16,384 GPUs, of which the rate
    is taken; more than 90 % effective training time, which is a prediction. MegaScale (arXiv 2402.15627, Section 6): a
    model with hundreds of billions of parameters on more than 10,000 GPUs was restarted more than 100 times in several
    weeks, with more than 90 % effective training time; both are predictions, for three weeks of 175e9 on 12,288. BLOOM
    (bigscience-workshop/bigscience, tr11-176B-ml chronicles): a GPU died every week or so, here every 4.5 to 9 days.
    """
    run: dict[str, Any] = {"step_s": step_s, "n_parameters": n_parameters, "n_systems": n_systems}
    n_steps = round(0.9 * days * S_PER_DAY / step_s)
    operations = load_gpu_operations()
    found = expected_runs(operations, **run, n_steps=n_steps)
    assert least < float(found.goodput) < 1
    running = 1 - operations.compile_s / float(found.wall_clock_s)
    per_day = operations.failures_per_s(n_systems) * running * S_PER_DAY
    assert n_failures[0] <= per_day * days <= n_failures[1]
