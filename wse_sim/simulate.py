"""The front door: a run in, what a wafer-scale cluster does with it out. It reads as the pipeline."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from wse_sim.engine.des import run_des
from wse_sim.engine.result import Finish
from wse_sim.errors import SpecError
from wse_sim.report.metrics import SimulationResult, result, steady_step_ps, tokens_per_s_range
from wse_sim.schedule.weight_streaming import StepPlan, plan_step
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.model import ModelPreset
from wse_sim.spec.run import TOKENS_PER_PARAMETER, Run
from wse_sim.units import to_s
from wse_sim.workload.transformer import n_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A simulated run: what it means, and the step behind it for traces and timelines."""

    run: Run
    cluster: Cluster
    plan: StepPlan
    finish: Finish
    result: SimulationResult


def resolve_run(
    preset: ModelPreset,
    *,
    num_csx: int | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    tokens: float | None = None,
    **given: Any,
) -> Run:
    """A run of the preset, with its published recipe's numbers where none are given.

    Parameters
    ----------
    num_csx :
        None = the recipe's, where the batch size is the recipe's too; else 1.
    tokens :
        None = 20 per parameter.
    given :
        The other fields of `Run`, by name.

    Raises
    ------
    SpecError
        When there is neither a recipe nor a batch size, or the run is wrong.
    """
    shape, recipe = preset.shape, preset.recipe
    if recipe is None and batch_size is None:
        raise SpecError(f"{shape.name} comes with no recipe: say the sequences per step with --batch-size")
    of_recipe = recipe if batch_size is None else None
    return Run(
        shape=shape,
        num_csx=num_csx if num_csx is not None else of_recipe.num_csx if of_recipe else 1,
        batch_size=of_recipe.batch_size if of_recipe else batch_size or 0,
        seq_len=shape.seq_len if seq_len is None else seq_len,
        tokens=float(TOKENS_PER_PARAMETER * n_parameters(shape) if tokens is None else tokens),
        **given,
    )


def simulate(run: Run) -> Simulation:
    """Simulate the steady step of `run` on its cluster and scale it to the whole run.

    Raises
    ------
    SpecError
        When the run does not fit onto the cluster; the message says which wall it hit.
    """
    cluster = load_cluster(run.system, run.num_csx)
    plan = plan_step(run, cluster)
    dense = msgspec.structs.replace(run, density=1.0, microbatch=None)
    dense_s = step_time_s(dense, cluster)  # also loads the compiled engine, so that the next line times it alone
    started = time.perf_counter()
    finish = run_des(plan.program)
    wall_s = time.perf_counter() - started
    step_s = to_s(steady_step_ps(plan.program, finish))
    fixed = msgspec.structs.replace(run, microbatch=plan.microbatch)
    token_range = tokens_per_s_range(run, cluster, step_s, lambda other: _step_time_near(fixed, run, other))
    return Simulation(
        run=run,
        cluster=cluster,
        plan=plan,
        finish=finish,
        result=result(run, cluster, plan, finish, dense_step_time_s=dense_s, token_range=token_range, wall_s=wall_s),
    )


def step_time_s(run: Run, cluster: Cluster) -> float:
    """Steady step time of `run` on `cluster`, on one branch of its tree: the others do the same."""
    program = plan_step(run, cluster, is_one_branch=True).program
    return to_s(steady_step_ps(program, run_des(program)))


def _step_time_near(fixed: Run, free: Run, cluster: Cluster) -> float:
    """Step time at the micro-batch chosen already; chosen anew where it does not fit any more."""
    try:
        return step_time_s(fixed, cluster)
    except SpecError:
        return step_time_s(free, cluster)
