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
from wse_sim.gpu.layout import Layout
from wse_sim.gpu.roofline import gpu_job
from wse_sim.gpu.search import search
from wse_sim.runs import resolve_run
from wse_sim.schedule.microbatch import fastest_microbatch
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import StepPlan, plan_step
from wse_sim.simulation import simulate, step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run
from wse_sim.sweeps.columns import FASTEST, Sizes, price
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


def test_closed_form_of_100_000_configurations(benchmark: BenchmarkFixture, run: Run) -> None:
    cluster, economics = load_cluster("cs2", 16), load_economics()
    n = 100_000
    num_csx = np.tile([1, 2, 4, 8, 16], n // 5)
    shares = np.arange(n) // 5 % 1024 + 1
    sizes = Sizes(
        num_csx=num_csx, batch_size=num_csx * shares, microbatch=np.full(n, FASTEST), tokens=np.full(n, 257e9)
    )
    found = benchmark(price, run, cluster, sizes, economics)
    place = 5 * 89 + 4  # 90 sequences on each of 16 systems, as in `run`
    assert found.microbatch[place] == fastest_microbatch(run, cluster)
    assert found.figures.step_time_s[place] == pytest.approx(step_time_s(run, cluster), rel=0.01)


def test_layouts_of_a_job_on_gpus(benchmark: BenchmarkFixture, run: Run) -> None:
    job = gpu_job(run.shape, gpu="h100", num_gpus=256, batch_size=1024)
    found = benchmark(search, job, Layout())
    assert found.fits[0]
    assert found.step_s[0] == found.step_s[found.fits].min()
