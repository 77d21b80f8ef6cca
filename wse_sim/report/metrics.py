"""What a simulated step means: rates, utilisation, where the time goes, days, energy and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypedDict

import msgspec

from wse_sim.engine.run import Engine
from wse_sim.report.sensitivity import Sensitivity, tokens_per_s_range
from wse_sim.report.step_figures import figures
from wse_sim.report.wall_clock import WallClock
from wse_sim.schedule.block import MatrixWork
from wse_sim.schedule.weight_streaming import StepPlan
from wse_sim.spec.bill import bill_with_ends
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.economics import Economics, PriceBasis
from wse_sim.spec.run import Run
from wse_sim.spec.sourced import Sourced
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

OF_A_TRAINED_RUN = "of a trained run"  # where `masks` says so, they were not drawn
_BOTTLENECKS = {
    "linear": "wafer compute (linear layers)",
    "imbalance": "wafer compute (uneven columns of a sparse layer)",
    "reduction": "wafer fabric (partial sums)",
    "broadcast": "wafer fabric (weights)",
    "rounding": "wafer compute (too few tokens per core)",
    "attention": "wafer compute (attention)",
    "logits": "wafer compute (output layer)",
    "jitter": "jitter",
    "latency": "latency between layers",
    "input_wait": "input workers",
    "cross_iteration": "optimizer (cross-iteration time)",
    "weight_wait": "weight stream",
    "activation_wait": "activation servers",
    "gradient_wait": "gradient stream",
}
_OF_STEP = ("n_steps", "step_time_s", "tokens_per_s", "samples_per_s", "mfu", "dense_equivalent_mfu", "run_time_s")


class EngineRun(TypedDict):
    """What simulating one step took on this machine, measured."""

    name: Engine
    events: int
    wall_s: float
    events_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """A run on a wafer-scale cluster, simulated. `wse-sim explain FIELD` gives unit, definition and formula of each."""

    kind: Literal["simulated"] = "simulated"
    model: str
    system: str
    num_csx: int
    batch_size: int
    microbatch: int
    seq_len: int
    density: float
    release: str
    masks: str
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
    matrices: list[MatrixWork]
    run_time_s: float
    energy_j: float
    energy_j_low: float
    energy_j_high: float
    facility_energy_j: float
    pue: float
    carbon_kg: float
    kg_per_kwh: float
    grid: str
    cost_usd: float
    cost_usd_low: float
    cost_usd_high: float
    cost_parts_usd: dict[str, float]
    price_basis: PriceBasis
    price_as_of: str | None
    usd_per_unit_h: float
    wall_clock_s: float
    wall_clock_p5_s: float
    wall_clock_p95_s: float
    wall_clock_parts_s: dict[str, float]
    goodput: float
    n_failures_expected: float
    checkpoint_steps: int
    checkpoint_interval_s: float
    checkpoint_loss: dict[str, float]
    assumed_operations: list[str]
    assumed_operations_constants: dict[str, Sourced]
    working_bytes: float
    resident_layers: int
    offloaded_bytes: float
    assumed: list[str]
    assumed_constants: dict[str, Sourced]
    sensitivity: list[Sensitivity]
    engine: EngineRun

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, in the order of the fields."""
        named = {field.name: getattr(self, field.name) for field in fields(SimulationResult)}
        values: dict[str, Any] = msgspec.to_builtins(named)
        return values


def bottleneck(fractions: Mapping[str, float]) -> str:
    """What a step with this breakdown is mostly spent on."""
    return _BOTTLENECKS[max(fractions, key=lambda name: fractions[name])]


def result(
    run: Run,
    cluster: Cluster,
    plan: StepPlan,
    *,
    masks: str,
    step_time_s: float,
    dense_step_time_s: float,
    fractions: dict[str, float],
    cross_iteration_s: float,
    wall_clock: WallClock,
    economics: Economics,
    sensitivity: Sequence[Sensitivity],
    engine: EngineRun,
) -> SimulationResult:
    """The meaning of a simulated step of `run`.

    Parameters
    ----------
    masks :
        Where they come from.
    dense_step_time_s :
        Of the same run at density 1.
    fractions :
        The step's breakdown.
    engine :
        Which engine ran, and what it took here, measured.
    """
    of_step = figures(run, cluster, step_time_s, economics)
    low, high = tokens_per_s_range(of_step.tokens_per_s, sensitivity)
    assumed = cluster.assumed_constants | economics.assumed_constants
    return SimulationResult(
        **_of_run(run, cluster, plan),
        masks=masks,
        **{name: getattr(of_step, name) for name in _OF_STEP},
        tokens_per_s_low=low,
        tokens_per_s_high=high,
        speedup_vs_dense=dense_step_time_s / step_time_s,
        bottleneck=bottleneck(fractions),
        breakdown=fractions,
        cross_iteration_s=cross_iteration_s,
        **asdict(bill_with_ends(economics, cluster.unit_constants, time_s=of_step.run_time_s, n_units=cluster.num_csx)),
        **economics.terms,
        **wall_clock.as_fields(),
        checkpoint_steps=wall_clock.checkpoint_steps,
        checkpoint_loss=wall_clock.checkpoint_loss,
        assumed_operations=wall_clock.assumed,
        assumed=list(assumed),
        assumed_constants=assumed,
        sensitivity=list(sensitivity),
        engine=engine,
    )


def _of_run(run: Run, cluster: Cluster, plan: StepPlan) -> dict[str, Any]:
    """The fields of the result that no clock is needed for: what was asked for, its work and its memory."""
    dense_flops, sparse_flops = (training_flops_per_token(run.shape, run.seq_len, rho) for rho in (1.0, run.density))
    return {
        "model": run.shape.name,
        "system": cluster.csx.name,
        "microbatch": plan.microbatch,
        **{name: getattr(run, name) for name in ("num_csx", "batch_size", "seq_len", "density", "release", "tokens")},
        "params": n_parameters(run.shape),
        "nonzero_params": nonzero_parameters(run.shape, run.density),
        "dense_flops_per_token": dense_flops,
        "sparse_flops_per_token": sparse_flops,
        "ideal_speedup": dense_flops / sparse_flops,
        "matrices": plan.matrices,
        **{name: getattr(plan.placement, name) for name in ("working_bytes", "resident_layers", "offloaded_bytes")},
    }
