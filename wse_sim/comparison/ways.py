"""Simulations and measurements as ways that lie side by side."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wse_sim.comparison.gpu_side import GPUS_PER_SERVER, GpuSide
from wse_sim.gpu.layout import Job, Layouts
from wse_sim.gpu.roofline import GpuResult, gpu_result
from wse_sim.gpu.search import Found, best
from wse_sim.gpu.step import step_parts_s, total
from wse_sim.laws.cerebras_gpt import LossProjection, knows_loss_of, project_loss
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.comparison import ClusterWay, GpuWay, HereWay, Memory, WaferWay
from wse_sim.report.headline import cluster, gpu_in_words
from wse_sim.report.metrics import SimulationResult
from wse_sim.report.quantities import data_size, named_density
from wse_sim.report.sensitivity import Sensitivity, sensitivities, tokens_per_s_range
from wse_sim.report.wall_clock import wall_clock
from wse_sim.simulation import Simulation, as_dense, simulate
from wse_sim.spec.economics import Economics
from wse_sim.spec.operations import Operations
from wse_sim.spec.run import Run
from wse_sim.workload.transformer import n_parameters

TWO_FOUR_DENSITY = 0.5
_OF_HERE_RESULT = (
    *("density", "step_time_s", "tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "mfu", "dense_equivalent_mfu"),
    *("run_time_s", "device", "precision", "executor", "microbatch", "n_threads"),
)


def loss_of(run: Run, density: float, tokens: float) -> LossProjection | None:
    """The loss that the run's model would reach at this density after so many tokens.

    None for an encoder: the law is of models that predict every next token.
    """
    if not knows_loss_of(run.shape):
        return None
    return project_loss(run.shape, density=density, tokens=tokens, seq_len=run.seq_len)


def wafer_ways(
    run: Run, economics: Economics, operations: Operations, watch: Watch = UNWATCHED
) -> tuple[WaferWay, WaferWay]:
    """The run on its wafers, and the dense one: the same where it is dense.

    Raises
    ------
    SpecError
        As `simulate`.
    """

    def way(run: Run) -> WaferWay:
        return wafer_way(simulate(run, economics=economics, operations=operations, watch=watch))

    asked = way(run)
    return asked, asked if run.density == 1 else way(as_dense(run))


def gpu_ways(
    run: Run, side: GpuSide, job: Job, economics: Economics, operations: Operations
) -> tuple[GpuWay, GpuWay, GpuWay | None]:
    """The run on the GPUs of `job`: masked, dense, and with 2:4 sparsity where it is asked for, else None.

    Raises
    ------
    SpecError
        When no layout fits, or failures do not let the run end.
    """

    def way(job: Job, found: Found, density: float) -> GpuWay:
        return gpu_way(run, job, found, density=density, economics=economics, operations=operations)

    found, halved = best(job, side.fixed), replace(job, is_two_four=True)
    dense = way(job, found, 1.0)
    masked = dense if run.density == 1 else way(job, found, run.density)
    return masked, dense, way(halved, best(halved, side.fixed), TWO_FOUR_DENSITY) if side.with_two_four else None


def wafer_way(simulation: Simulation) -> WaferWay:
    """The simulated run on the wafers."""
    run, result = simulation.run, simulation.result
    return WaferWay(
        **_copied(WaferWay, result),
        name=f"{cluster(result.as_dict())} {named_density(run.density)}",
        memory=_wafer_memory(simulation),
        loss=loss_of(run, run.density, run.tokens),
    )


def gpu_way(
    run: Run, job: Job, found: Found, *, density: float, economics: Economics, operations: Operations
) -> GpuWay:
    """The run on GPUs in the first layout of `found`, at a density that the job is as fast as dense with."""
    result = gpu_result(job, found, density=density, tokens=run.tokens, economics=economics)
    found_sensitivities = gpu_sensitivities(job, found.layouts[:1])
    low, high = tokens_per_s_range(result.tokens_per_s, found_sensitivities)
    clock = wall_clock(
        operations,
        step_s=result.step_time_s,
        n_steps=run.n_steps,
        n_parameters=n_parameters(run.shape),
        n_systems=math.ceil(result.num_gpus / GPUS_PER_SERVER),
        seed=run.seed,
    )
    return GpuWay(
        **_copied(GpuWay, result),
        name=_gpu_name(job, density),
        kind="simulated",
        memory=_gpu_memory(job, result),
        loss=loss_of(run, density, run.tokens),
        tokens_per_s_low=low,
        tokens_per_s_high=high,
        is_two_four=job.is_two_four,
        **clock.as_fields(),
        sensitivity=tuple(found_sensitivities),
        assumed_operations=tuple(operations.assumed),
    )


def here_way(run: Run, measured: Mapping[str, Any]) -> HereWay:
    """What was measured on the machine at hand.

    Parameters
    ----------
    measured :
        The fields of `training.here_result.HereResult`.
    """
    parts = {part["part"]: part["share"] for part in measured["parts"]}
    needed, available = measured["memory_bytes_needed"], measured["memory_bytes_available"]
    return HereWay(
        name="this machine",
        kind="measured",
        memory=Memory(
            fits=measured["fits"],
            needed_bytes=needed,
            available_bytes=available,
            verdict=(
                _fits(needed, available, "free here")
                if measured["fits"]
                else f"does not fit: needs {data_size(needed)}, free are {data_size(available)}"
            ),
        ),
        bottleneck=max(parts, key=lambda name: parts[name]),
        breakdown=parts,
        loss=loss_of(run, run.density, run.tokens),
        notes=tuple(measured["notes"]),
        **{name: measured[name] for name in _OF_HERE_RESULT},
    )


def gpu_sensitivities(job: Job, layout: Layouts) -> list[Sensitivity]:
    """Each constant of the job that has a range, at both ends of it, in a layout that stays."""

    def tokens_per_s(job: Job) -> float:
        return job.batch_size * job.seq_len / float(total(step_parts_s(job, layout))[0])

    return sensitivities(
        job.numbers, tokens_per_s(job), lambda name, value: tokens_per_s(job.with_numbers({name: value}))
    )


def _gpu_name(job: Job, density: float) -> str:
    kind = "2:4" if job.is_two_four else "dense" if density == 1 else f"masked to {density:g}"
    return f"{job.num_gpus} × {gpu_in_words(job.gpu.name)} {'fp8 ' if job.precision == 'fp8' else ''}{kind}"


def _copied(way: type[ClusterWay], result: SimulationResult | GpuResult) -> dict[str, Any]:
    """The fields of a way that the result of its side has."""
    values = {name: getattr(result, name) for name in way.__struct_fields__ if hasattr(result, name)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _wafer_memory(simulation: Simulation) -> Memory:
    placement, csx = simulation.plan.placement, simulation.cluster.csx
    blocks = f"{placement.resident_layers} of {simulation.run.shape.n_layers} blocks"
    left = f", {data_size(placement.offloaded_bytes)} go to the activation servers" if placement.offloaded_bytes else ""
    held = _fits(placement.working_bytes, csx.sram_bytes, "on each wafer for one layer")
    return Memory(
        fits=True,  # what does not fit cannot be simulated
        needed_bytes=placement.working_bytes,
        available_bytes=csx.sram_bytes,
        verdict=f"{held}; activations of {blocks} stay{left}",
    )


def _gpu_memory(job: Job, result: GpuResult) -> Memory:
    needed, available = result.memory_bytes_per_gpu, job.gpu.memory_bytes.value
    largest = max(result.memory_bytes, key=lambda name: result.memory_bytes[name])
    held = _fits(needed, available, "on each GPU")
    return Memory(
        fits=True,  # a layout that does not fit is not taken
        needed_bytes=needed,
        available_bytes=available,
        verdict=f"{held}, most of it {largest}",
    )


def _fits(needed: float, available: float, where: str) -> str:
    return f"fits: {data_size(needed)} of {data_size(available)} {where}"
