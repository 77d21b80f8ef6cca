"""Times of what a user waits for: `pytest tests/benchmarks/test_speed.py --benchmark-enable`.

In the ordinary run each is called once, and its result is checked.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from wse_sim.engine.des import des_step_ends_ps, run_des
from wse_sim.engine.max_plus import max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.result import step_ends_ps
from wse_sim.engine.run import ends_of_steps_ps, steady_step_ps
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import StepPlan, plan_step
from wse_sim.simulate import resolve_run, simulate
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run
from wse_sim.units import to_s


@pytest.fixture(scope="module")
def run() -> Run:
    return resolve_run(load_model("13b"), system="cs2", num_csx=16, batch_size=1440)


@pytest.fixture(scope="module")
def plan(run: Run) -> StepPlan:
    return plan_step(run, load_cluster("cs2", 16))


@pytest.fixture(scope="module")
def program(plan: StepPlan) -> Program:
    return plan.program


@pytest.fixture(scope="module")
def ends_ps(program: Program) -> IntArray:
    return ends_of_steps_ps(program, "max-plus")


def test_des(benchmark: BenchmarkFixture, program: Program, ends_ps: IntArray) -> None:
    assert np.array_equal(benchmark(des_step_ends_ps, program), ends_ps)


def test_des_recording(benchmark: BenchmarkFixture, program: Program, ends_ps: IntArray) -> None:
    assert np.array_equal(step_ends_ps(program, benchmark(run_des, program)), ends_ps)


def test_max_plus(benchmark: BenchmarkFixture, program: Program, ends_ps: IntArray) -> None:
    assert np.array_equal(benchmark(max_plus_step_ends_ps, program, is_fast_forward=False), ends_ps)


def test_max_plus_recording(benchmark: BenchmarkFixture, program: Program, ends_ps: IntArray) -> None:
    assert np.array_equal(step_ends_ps(program, benchmark(run_max_plus, program)), ends_ps)


def test_fast_forward(benchmark: BenchmarkFixture, program: Program) -> None:
    assert np.array_equal(benchmark(max_plus_step_ends_ps, program), des_step_ends_ps(program))


def test_plan_step(benchmark: BenchmarkFixture, run: Run, plan: StepPlan) -> None:
    found = benchmark(plan_step, run, load_cluster("cs2", 16))
    assert (found.microbatch, found.program.n_tasks) == (plan.microbatch, plan.program.n_tasks)


def test_simulate(benchmark: BenchmarkFixture, run: Run, ends_ps: IntArray) -> None:
    found = benchmark(simulate, run).result
    assert found.step_time_s == pytest.approx(to_s(steady_step_ps(ends_ps)), rel=1e-12)
