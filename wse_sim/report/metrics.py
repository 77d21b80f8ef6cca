"""What a simulated step means: rates, utilisation, where the time goes, days, energy and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict

from wse_sim.engine.run import Engine
from wse_sim.report.sensitivity import Sensitivity, tokens_per_s_range
from wse_sim.report.step_figures import bill_of, figures
from wse_sim.report.wall_clock import WallClock
from wse_sim.schedule.block import MatrixWork
from wse_sim.schedule.weight_streaming import StepPlan
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.economics import Economics, PriceBasis
from wse_sim.spec.run import Run
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

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
    cost_parts_usd: dict[str, float]
    price_basis: PriceBasis
    price_as_of: str | None
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
    working_bytes: float
    resident_layers: int
    offloaded_bytes: float
    assumed: list[str]
    sensitivity: list[Sensitivity]
    engine: EngineRun

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, in the order of the fields."""
        return asdict(self)


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
    dense_flops = training_flops_per_token(run.shape, run.seq_len, 1.0)
    sparse_flops = training_flops_per_token(run.shape, run.seq_len, run.density)
    of_step = figures(run, cluster, step_time_s, economics)
    low, high = tokens_per_s_range(of_step.tokens_per_s, sensitivity)
    wall_clock_s = sum(wall_clock.parts_s.values())
    return SimulationResult(
        model=run.shape.name,
        system=cluster.csx.name,
        num_csx=run.num_csx,
        batch_size=run.batch_size,
        microbatch=plan.microbatch,
        seq_len=run.seq_len,
        density=run.density,
        release=run.release,
        masks=masks,
        tokens=run.tokens,
        n_steps=of_step.n_steps,
        step_time_s=of_step.step_time_s,
        tokens_per_s=of_step.tokens_per_s,
        tokens_per_s_low=low,
        tokens_per_s_high=high,
        samples_per_s=of_step.samples_per_s,
        mfu=of_step.mfu,
        dense_equivalent_mfu=of_step.dense_equivalent_mfu,
        params=n_parameters(run.shape),
        nonzero_params=nonzero_parameters(run.shape, run.density),
        dense_flops_per_token=dense_flops,
        sparse_flops_per_token=sparse_flops,
        speedup_vs_dense=dense_step_time_s / step_time_s,
        ideal_speedup=dense_flops / sparse_flops,
        bottleneck=bottleneck(fractions),
        breakdown=fractions,
        cross_iteration_s=cross_iteration_s,
        matrices=plan.matrices,
        run_time_s=of_step.run_time_s,
        **_costs(cluster, economics, of_step.run_time_s),
        wall_clock_s=wall_clock_s,
        wall_clock_p5_s=wall_clock.p5_s,
        wall_clock_p95_s=wall_clock.p95_s,
        wall_clock_parts_s=wall_clock.parts_s,
        goodput=wall_clock.parts_s["useful"] / wall_clock_s,
        n_failures_expected=wall_clock.n_failures,
        checkpoint_steps=wall_clock.checkpoint_steps,
        checkpoint_interval_s=wall_clock.checkpoint_interval_s,
        checkpoint_loss=wall_clock.checkpoint_loss,
        assumed_operations=wall_clock.assumed,
        working_bytes=plan.placement.working_bytes,
        resident_layers=plan.placement.resident_layers,
        offloaded_bytes=plan.placement.offloaded_bytes,
        assumed=cluster.named("assumed") + economics.assumed,
        sensitivity=list(sensitivity),
        engine=engine,
    )


def _costs(cluster: Cluster, economics: Economics, run_time_s: float) -> dict[str, Any]:
    """The fields of the result that are energy, carbon and money."""
    paid = bill_of(cluster.csx, cluster.num_csx, economics, run_time_s)
    low_w, high_w = cluster.constants["csx.power_w"].ends
    price = "csx.usd_per_hour" if economics.price_basis == "rental" else "csx.purchase_usd"
    return {
        "energy_j": paid.it_energy_j,
        "energy_j_low": run_time_s * cluster.num_csx * low_w,
        "energy_j_high": run_time_s * cluster.num_csx * high_w,
        "facility_energy_j": paid.facility_energy_j,
        "pue": economics.pue,
        "carbon_kg": paid.carbon_kg,
        "kg_per_kwh": economics.kg_per_kwh,
        "grid": economics.grid_in_words,
        "cost_usd": paid.total_usd,
        "cost_parts_usd": paid.parts_usd,
        "price_basis": paid.price_basis,
        "price_as_of": cluster.constants[price].as_of,
    }
