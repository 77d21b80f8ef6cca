"""A run on a wafer-scale cluster beside the same run on GPUs; `wse-sim explain FIELD` says what each field means.

Where a figure is a ratio, it is the wafers' over the GPUs'.
"""

from typing import Literal

import msgspec

from wse_sim.laws.cerebras_gpt import LossProjection
from wse_sim.report.sensitivity import Sensitivity
from wse_sim.spec.economics import PriceBasis
from wse_sim.spec.sourced import Sourced

WAYS = ("wafer", "wafer_dense", "gpu", "gpu_dense", "gpu_two_four", "here")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a run fits: of one wafer, of the GPU that needs most, or of the machine at hand."""

    fits: bool
    needed_bytes: float
    available_bytes: float
    verdict: str


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to make the run: what fits, how fast it is, and what loss it would reach.

    Parameters
    ----------
    kind :
        Where the time of a step comes from.
    density :
        That the model has this way: the loss is that of it.
    loss :
        None for an encoder, of which no law is known.
    """

    name: str
    kind: Literal["measured", "simulated"]
    density: float
    memory: Memory
    step_time_s: float
    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    mfu: float
    dense_equivalent_mfu: float
    bottleneck: str
    breakdown: dict[str, float]
    run_time_s: float
    loss: LossProjection | None


class ClusterWay(Way, frozen=True, kw_only=True):
    """A way on a cluster, which has to be operated and paid for."""

    wall_clock_s: float
    wall_clock_p5_s: float
    wall_clock_p95_s: float
    wall_clock_parts_s: dict[str, float]
    goodput: float
    n_failures_expected: float
    checkpoint_interval_s: float
    energy_j: float
    energy_j_low: float
    energy_j_high: float
    facility_energy_j: float
    carbon_kg: float
    cost_usd: float
    cost_usd_low: float
    cost_usd_high: float
    cost_parts_usd: dict[str, float]
    price_as_of: str | None
    usd_per_unit_h: float
    sensitivity: tuple[Sensitivity, ...]
    assumed: tuple[str, ...]
    assumed_operations: tuple[str, ...]
    assumed_operations_constants: dict[str, Sourced] = {}  # a file of an older version has none


class WaferWay(ClusterWay, frozen=True, kw_only=True):
    """The run on the wafer-scale cluster."""

    system: str
    num_csx: int
    microbatch: int
    release: str
    masks: str


class GpuWay(ClusterWay, frozen=True, kw_only=True):
    """The run on the GPUs, in the fastest layout that fits."""

    gpu: str
    num_gpus: int
    software: str
    precision: str
    is_two_four: bool
    tokens_per_s_per_gpu: float
    hfu: float
    dp: int
    tp: int
    cp: int
    pp: int
    interleave: int
    microbatch: int
    recompute: str
    sharding: str
    memory_bytes: dict[str, float]


class HereWay(Way, frozen=True, kw_only=True):
    """The run on the machine at hand: parts of a step measured, the run projected from them."""

    device: str
    precision: str
    executor: str
    microbatch: int
    n_threads: int
    notes: tuple[str, ...]


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The wafers' figure over the GPUs', and the range that the constants behind both leave."""

    value: float
    low: float
    high: float


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """Wafers over GPUs at the same work; None where the GPUs' figure is 0."""

    tokens_per_s: Ratio
    run_time: Ratio
    wall_clock: Ratio
    energy: Ratio | None
    carbon: Ratio | None
    cost: Ratio | None


class GpusPerCsx(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the GPUs one system stands for.

    Parameters
    ----------
    value, low, high :
        In throughput, at the rate per GPU of the cluster asked for.
    dense :
        The same of the dense run.
    by_price, by_power :
        GPUs that cost, or draw, what one system does; None where a GPU costs, or draws, nothing.
    num_gpus :
        Of the smallest cluster of whole servers that is as fast as all systems; of a part of one server where the batch
        has too few sequences for more; None where none is.
    reason :
        Why there is no such cluster; "" where there is one.
    fastest_num_gpus, fastest_tokens_per_s :
        Of that cluster; of the fastest one tried where none is as fast.
    """

    value: float
    low: float
    high: float
    dense: float
    by_price: float | None
    by_power: float | None
    num_gpus: int | None
    gpus_per_server: int
    reason: str
    fastest_num_gpus: int
    fastest_tokens_per_s: float


class IsoTime(msgspec.Struct, frozen=True, kw_only=True):
    """What a way comes to in the time of the wafers' run; loss None where the law knows nothing of so few tokens."""

    tokens: float
    tokens_per_parameter: float
    loss: LossProjection | None


class IsoLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What a way takes to the projected loss of the wafers' run; None = it cannot be said, and `reason` why.

    Energy, carbon and cost are None for a machine that nobody pays for.
    """

    tokens: float | None
    tokens_per_parameter: float | None
    run_time_s: float | None
    energy_j: float | None
    carbon_kg: float | None
    cost_usd: float | None
    reason: str
    caveats: tuple[str, ...]


class LossCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Projected loss against the time of the steps; of equal length."""

    time_s: tuple[float, ...]
    loss: tuple[float, ...]


class GpuLayout(msgspec.Struct, frozen=True, kw_only=True):
    """A layout that was tried; `wall` says why it does not fit, "" where it does."""

    dp: int
    tp: int
    cp: int
    pp: int
    interleave: int
    microbatch: int
    recompute: str
    sharding: str
    step_time_s: float
    tokens_per_s_per_gpu: float
    memory_bytes_per_gpu: float
    wall: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The same run on wafers and on GPUs.

    Parameters
    ----------
    headline :
        How many GPUs equal one system, in a sentence.
    wafer, gpu :
        At the density asked for: the same masks bring a GPU nothing.
    wafer_dense, gpu_dense :
        The dense model; the very same as above where that is what was asked for.
    gpu_two_four :
        Half of the weights, in the pattern that the GPU's products skip; None = not asked for.
    here :
        None = not measured.
    iso_time, iso_loss, loss_curves :
        By the name of the way's field; empty for an encoder, of whose loss no law is known.
    layouts :
        The fastest that fit, and behind them the fastest that do not.
    assumed_constants :
        Of both sides, as they were used.
    """

    model: str
    params: int
    nonzero_params: int
    density: float
    batch_size: int
    seq_len: int
    tokens: float
    n_steps: float
    headline: str
    wafer: WaferWay
    wafer_dense: WaferWay
    gpu: GpuWay
    gpu_dense: GpuWay
    gpu_two_four: GpuWay | None
    here: HereWay | None
    ratios: Ratios
    gpus_per_csx: GpusPerCsx
    iso_time: dict[str, IsoTime]
    iso_loss: dict[str, IsoLoss]
    loss_curves: dict[str, LossCurve]
    layouts: tuple[GpuLayout, ...]
    price_basis: PriceBasis
    pue: float
    kg_per_kwh: float
    grid: str
    assumed_constants: dict[str, Sourced]
    notes: tuple[str, ...]

    @property
    def ways(self) -> dict[str, Way]:
        """All ways that there are, by the names of their fields."""
        return ways_of(self.wafer, self.wafer_dense, self.gpu, self.gpu_dense, self.gpu_two_four, self.here)


class WrittenComparison(Comparison, frozen=True, kw_only=True):
    """A comparison as compare.json has it: with the command that made it."""

    command: str


def ways_of(*ways: Way | None) -> dict[str, Way]:
    """Those of the ways of `WAYS` that there are."""
    return {name: way for name, way in zip(WAYS, ways, strict=True) if way is not None}


def distinct(ways: dict[str, Way]) -> dict[str, Way]:
    """Each of `ways` once: dense ones are the same as the others where the run is dense."""
    kept: dict[str, Way] = {}
    for name, way in ways.items():
        if way not in kept.values():
            kept[name] = way
    return kept
