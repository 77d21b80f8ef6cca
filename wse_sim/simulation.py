"""The front door: a run in, what a wafer-scale cluster does with it out. It reads as the pipeline."""

import dataclasses
import logging
import time
from dataclasses import dataclass

from msgspec.structs import replace

from wse_sim.engine.quotient import quotient
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.engine.run import Engine, choose_engine, ends_of_steps_ps, finish_times, steady_step_ps
from wse_sim.errors import SpecError
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.breakdown import breakdown, cross_iteration_s
from wse_sim.report.metrics import OF_A_TRAINED_RUN, SimulationResult, bottleneck, result
from wse_sim.report.sensitivity import sensitivities
from wse_sim.report.step_figures import Figures, figures
from wse_sim.report.wall_clock import wall_clock
from wse_sim.schedule.phases import phases
from wse_sim.schedule.weight_streaming import StepPlan, plan_step
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.economics import Economics, load_economics, priced
from wse_sim.spec.operations import Operations, load_operations
from wse_sim.spec.run import Run
from wse_sim.units import to_s
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.transformer import nonzero_parameters

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A simulated run: what it means, and the step behind it for traces and timelines."""

    run: Run
    cluster: Cluster
    plan: StepPlan
    finish: Finish
    result: SimulationResult


def simulate(
    run: Run,
    *,
    masks: RunMasks | None = None,
    engine: str | None = None,
    economics: Economics | None = None,
    operations: Operations | None = None,
    watch: Watch = UNWATCHED,
) -> Simulation:
    """Simulate the steady step of `run` on its cluster and scale it to the whole run.

    Parameters
    ----------
    masks :
        Of a trained run, in place of random ones of the run's density.
    engine :
        The engine that must run; None = the fastest that can.
    economics :
        How energy, carbon and money are counted; None = by the data.
    operations :
        How the cluster is run: checkpoints, failures, stragglers; None = by the constants of the data.
    watch :
        Hears how far it is.

    Raises
    ------
    SpecError
        When the run does not fit onto the cluster, or failures do not let it end; the message says which wall it hit.
    """
    economics = economics or load_economics()
    cluster = priced(load_cluster(run.system, run.num_csx), economics)
    plan = plan_step(run, cluster, masks=masks, is_recorded=True)
    chosen = choose_engine(plan.program, engine)
    step_s = to_s(steady_step_ps(ends_of_steps_ps(plan.program, chosen)))  # also loads the compiled engine,
    started = time.perf_counter()  # so that this times the engine alone
    finish = finish_times(plan.program, chosen)
    wall_s = time.perf_counter() - started
    _log_choices(run, plan, chosen, finish, wall_s)
    fixed = replace(run, microbatch=plan.microbatch)
    mean_s = _mean_step_s(run, cluster, masks, step_s)
    tokens_per_s = run.tokens_per_step / mean_s
    found = sensitivities(
        cluster.constants,
        tokens_per_s,
        lambda name, value: (
            run.tokens_per_step
            / (_step_time_near(fixed, run, cluster.with_constant(name, value), masks) * mean_s / step_s)
        ),
        watch,
    )
    return Simulation(
        run=run,
        cluster=cluster,
        plan=plan,
        finish=finish,
        result=result(
            run,
            cluster,
            plan,
            masks=_source_of_masks(run, masks),
            step_time_s=mean_s,
            dense_step_time_s=step_time_s(as_dense(run), cluster),
            fractions=breakdown(plan, finish),
            cross_iteration_s=cross_iteration_s(plan.program, finish),
            wall_clock=wall_clock(
                operations or load_operations(),
                step_s=mean_s,
                n_steps=run.n_steps,
                n_parameters=nonzero_parameters(run.shape, run.density),
                n_systems=run.num_csx,
                seed=run.seed,
            ),
            economics=economics,
            sensitivity=found,
            engine={
                "name": chosen,
                "events": finish.n_events,
                "wall_s": wall_s,
                "events_per_s": finish.n_events / wall_s if wall_s > 0 else 0.0,
            },
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickSimulation:
    """What a simulated run comes to, without what takes further simulations: the dense run, ranges, the wall clock."""

    microbatch: int
    bottleneck: str
    figures: Figures[float]


def simulate_quickly(run: Run, cluster: Cluster, economics: Economics) -> QuickSimulation:
    """Simulate the steady step of `run` on `cluster` alone: the same figures as `simulate`, in a fraction of its time.

    Systems that are alike are simulated once.

    Raises
    ------
    SpecError
        When the run does not fit onto the cluster; the message says which wall it hit.
    """
    plan = plan_step(run, cluster)
    merged = dataclasses.replace(plan, program=quotient(plan.program))
    finish = finish_times(merged.program, choose_engine(merged.program))
    step_s = to_s(steady_step_ps(step_ends_ps(merged.program, finish)))
    return QuickSimulation(
        microbatch=plan.microbatch,
        bottleneck=bottleneck(breakdown(merged, finish)),
        figures=figures(run, cluster, _mean_step_s(run, cluster, None, step_s), economics),
    )


def as_dense(run: Run) -> Run:
    """The same run with all weights, in the micro-batches that are fastest for it."""
    return replace(run, density=1.0, microbatch=None, mask_updates=None)


def _log_choices(run: Run, plan: StepPlan, engine: Engine, finish: Finish, wall_s: float) -> None:
    why = "as asked" if run.microbatch else f"the fastest of those that fit and divide {run.batch_per_csx}"
    _log.info("micro-batch %d sequences, %s", plan.microbatch, why)
    _log.info("on-wafer memory: activations of %d blocks stay", plan.placement.resident_layers)
    _log.info("engine %s: %s events in %.3g s", engine, f"{finish.n_events:,}", wall_s)


def step_time_s(run: Run, cluster: Cluster, *, masks: RunMasks | None = None, is_mask_update: bool = False) -> float:
    """Steady step time of `run` on `cluster`."""
    program = plan_step(run, cluster, masks=masks, is_mask_update=is_mask_update).program
    return to_s(steady_step_ps(ends_of_steps_ps(program, choose_engine(program))))


def _source_of_masks(run: Run, masks: RunMasks | None) -> str:
    if masks is not None:
        return f"{OF_A_TRAINED_RUN}, at step {masks.step:,}"
    updates = run.mask_updates
    if updates is not None and updates.algorithm == "spdf":
        return f"random, lifted after {updates.until:.4g} of the run"
    return "random" if updates is None else f"{updates.algorithm}, every {updates.every_steps} steps"


def _mean_step_s(run: Run, cluster: Cluster, masks: RunMasks | None, step_s: float) -> float:
    """Step time over the whole run: with masks that change, steps of other densities and those that change them."""
    total_s = 0.0
    for phase in phases(run):
        is_plain = phase.density == run.density and not phase.is_mask_update
        phase_run = replace(run, density=phase.density)
        total_s += phase.n_steps * (
            step_s if is_plain else step_time_s(phase_run, cluster, masks=masks, is_mask_update=phase.is_mask_update)
        )
    return total_s / run.n_steps


def _step_time_near(fixed: Run, free: Run, cluster: Cluster, masks: RunMasks | None) -> float:
    """Step time at the micro-batch chosen already; chosen anew where it does not fit any more."""
    try:
        return step_time_s(fixed, cluster, masks=masks)
    except SpecError:
        return step_time_s(free, cluster, masks=masks)
