"""What a simulated step means: rates, utilisation, where the time goes, days, energy and cost."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wse_sim.engine.result import Finish
from wse_sim.report.timeline import Stream
from wse_sim.schedule.program import Program
from wse_sim.schedule.weight_streaming import StepPlan
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.run import Run
from wse_sim.units import S_PER_HOUR, to_s
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

_WITHOUT_EFFECT_ON_TIME = {"power_w", "usd_per_hour", "capacity_bytes", "max_systems"}
_BOTTLENECKS = {
    "linear": "wafer compute (linear layers)",
    "attention": "wafer compute (attention)",
    "logits": "wafer compute (output layer)",
    "recompute": "wafer memory (activations recomputed)",
    "overhead": "fixed cost per layer",
    "weight_wait": "weight stream",
    "gradient_wait": "gradient stream",
    "cross_iteration": "optimizer (cross-iteration time)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """A run on a wafer-scale cluster, simulated. `wse-sim explain FIELD` gives unit, definition and formula of each."""

    model: str
    system: str
    num_csx: int
    batch_size: int
    microbatch: int
    seq_len: int
    density: float
    release: str
    tokens: float
    n_steps: float
    step_time_s: float
    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    samples_per_s: float
    mfu: float
    dense_equivalent_mfu: float
    params: int
    nonzero_params: int
    dense_flops_per_token: float
    sparse_flops_per_token: float
    speedup_vs_dense: float
    ideal_speedup: float
    bottleneck: str
    breakdown: dict[str, float]
    cross_iteration_s: float
    run_time_s: float
    energy_j: float
    cost_usd: float
    working_bytes: float
    resident_layers: int
    offloaded_bytes: float
    assumed: list[str]
    engine: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, in the order of the fields."""
        return {"kind": "simulated", **asdict(self)}


def steady_step_ps(program: Program, finish: Finish) -> int:
    """Time from the end of one step to the end of the next at leaf 0, once the pipe is full."""
    ends = finish.compute[0, program.tiles_per_step - 1 :: program.tiles_per_step]
    return int(ends[-1] - ends[-2])


def breakdown(plan: StepPlan, finish: Finish) -> dict[str, float]:
    """Where system 0 spends the last step: fractions that sum to 1.

    Work is split by what it is; idle time by what the next tile had to wait for: its weights, room for its gradient,
    or, at the first layer, the optimizer of the step before.
    """
    program = plan.program
    tiles, per_step = Stream.of_tiles(program), program.tiles_per_step
    work_ps = program.compute_ps[0, tiles.of_pass]
    overhead_ps = tiles.overhead_ps(program)
    end = finish.compute[0, -per_step:]
    start = end - work_ps - overhead_ps
    before = finish.compute[0, -per_step - 1 : -1]
    edge = program.n_nodes
    arrival = finish.down[edge, -per_step:] + program.latency_ps[program.edge_class[edge]]
    weight_wait = np.clip(np.minimum(arrival, start) - before, 0, None)
    gradient_wait = start - before - weight_wait
    is_opening = np.arange(per_step) < program.n_tiles  # tiles of the first layer wait for the optimizer
    parts = {
        name: np.array([getattr(p, f"{name}_s") for p in plan.passes])
        for name in ("linear", "attention", "logits", "recompute")
    }
    work_s = np.maximum(sum(parts.values()), np.finfo(float).tiny)
    times_ps = {name: float((work_ps * (part / work_s)[tiles.of_pass]).sum()) for name, part in parts.items()}
    times_ps["overhead"] = float(overhead_ps.sum()) + float(work_ps.sum()) - sum(times_ps.values())
    times_ps["weight_wait"] = float(weight_wait[~is_opening].sum())
    times_ps["gradient_wait"] = float(gradient_wait.sum())
    times_ps["cross_iteration"] = float(weight_wait[is_opening].sum())
    total_ps = float(end[-1] - before[0])
    return {name: time_ps / total_ps for name, time_ps in times_ps.items()}


def cross_iteration_s(program: Program, finish: Finish) -> float:
    """From the last gradient at MemoryX to the first weight that leaves it for the next step; 0 where they overlap.

    Source: Cerebras documentation, cluster monitoring: "cross-iteration time".
    """
    last_gradient_ps = finish.up[0, -program.gradients_per_step - 1] + program.latency_ps[program.edge_class[0]]
    first_weight_ps = finish.down[0, -program.tiles_per_step] - program.down_ps[program.edge_class[0], 0]
    return max(0.0, to_s(float(first_weight_ps - last_gradient_ps)))


def tokens_per_s_range(
    run: Run, cluster: Cluster, step_time_s: float, step_time_with: Callable[[Cluster], float]
) -> tuple[float, float]:
    """Lowest and highest tokens/s that the ranges of the constants leave.

    Each constant is moved to the ends of its range alone; the losses, and the gains, are added in quadrature, as for
    independent causes.
    """
    losses, gains = [0.0], [0.0]
    for name, constant in cluster.constants.items():
        for end in (constant.low, constant.high):
            if end is None or end == constant.value or name.split(".")[1] in _WITHOUT_EFFECT_ON_TIME:
                continue
            change = float(np.log(step_time_s / step_time_with(cluster.with_constant(name, end))))
            (gains if change > 0 else losses).append(change)
    tokens_per_s = run.tokens_per_step / step_time_s
    return (
        float(tokens_per_s * np.exp(-np.linalg.norm(losses))),
        float(tokens_per_s * np.exp(np.linalg.norm(gains))),
    )


def result(
    run: Run,
    cluster: Cluster,
    plan: StepPlan,
    finish: Finish,
    *,
    dense_step_time_s: float,
    token_range: tuple[float, float],
    wall_s: float,
) -> SimulationResult:
    """The meaning of a simulated step of `run`.

    Parameters
    ----------
    dense_step_time_s :
        Of the same run at density 1.
    token_range :
        Lowest and highest tokens/s.
    wall_s :
        What the engine took here, measured.
    """
    step_time_s = to_s(steady_step_ps(plan.program, finish))
    fractions = breakdown(plan, finish)
    dense_flops = training_flops_per_token(run.shape, run.seq_len, 1.0)
    sparse_flops = training_flops_per_token(run.shape, run.seq_len, run.density)
    flops_per_s = run.tokens_per_step / step_time_s / (run.num_csx * cluster.csx.peak_flops_per_s)
    run_time_s = run.n_steps * step_time_s
    return SimulationResult(
        model=run.shape.name,
        system=run.system,
        num_csx=run.num_csx,
        batch_size=run.batch_size,
        microbatch=plan.microbatch,
        seq_len=run.seq_len,
        density=run.density,
        release=run.release,
        tokens=run.tokens,
        n_steps=run.n_steps,
        step_time_s=step_time_s,
        tokens_per_s=run.tokens_per_step / step_time_s,
        tokens_per_s_low=token_range[0],
        tokens_per_s_high=token_range[1],
        samples_per_s=run.batch_size / step_time_s,
        mfu=sparse_flops * flops_per_s,
        dense_equivalent_mfu=dense_flops * flops_per_s,
        params=n_parameters(run.shape),
        nonzero_params=nonzero_parameters(run.shape, run.density),
        dense_flops_per_token=dense_flops,
        sparse_flops_per_token=sparse_flops,
        speedup_vs_dense=dense_step_time_s / step_time_s,
        ideal_speedup=dense_flops / sparse_flops,
        bottleneck=_BOTTLENECKS[max(fractions, key=lambda name: fractions[name])],
        breakdown=fractions,
        cross_iteration_s=cross_iteration_s(plan.program, finish),
        run_time_s=run_time_s,
        energy_j=run_time_s * run.num_csx * cluster.csx.power_w,
        cost_usd=run_time_s / S_PER_HOUR * run.num_csx * cluster.csx.usd_per_hour,
        working_bytes=plan.placement.working_bytes,
        resident_layers=plan.placement.resident_layers,
        offloaded_bytes=plan.placement.offloaded_bytes,
        assumed=cluster.named("assumed"),
        engine={
            "name": "des",
            "events": finish.n_events,
            "wall_s": wall_s,
            "events_per_s": finish.n_events / wall_s if wall_s > 0 else 0.0,
        },
    )
