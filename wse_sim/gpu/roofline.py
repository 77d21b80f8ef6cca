"""Training on a cluster of GPUs: what a run takes in the fastest layout that fits."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from wse_sim.defaults import GPUS
from wse_sim.errors import SpecError
from wse_sim.gpu.layout import FULL, SELECTIVE, Job, Layout
from wse_sim.gpu.prices import priced_gpu, unit_constants
from wse_sim.gpu.search import Found, best
from wse_sim.gpu.spec import (
    GpuSpec,
    Precision,
    Software,
    check_gpu_constant,
    constants_on,
    load_gpu,
    load_software,
)
from wse_sim.spec.bill import bill_with_ends
from wse_sim.spec.economics import Economics, PriceBasis, load_economics
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.run import check_tokens
from wse_sim.spec.sourced import Sourced, assumed_of
from wse_sim.workload.flops import attention_flops, linear_flops, model_flops_utilisation, training_flops_per_token

SEARCH_ALL = Layout()
DEFAULT_SOFTWARE: str = GPUS["gpu_software"]


class GpuResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run does on a cluster of GPUs (simulated); `wse-sim explain FIELD` says what each field means."""

    gpu: str
    num_gpus: int
    software: str
    precision: str
    batch_size: int
    seq_len: int
    density: float
    tokens_per_s_per_gpu: float
    tokens_per_s: float
    step_time_s: float
    mfu: float
    hfu: float
    dense_equivalent_mfu: float
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
    dp: int
    tp: int
    cp: int
    pp: int
    interleave: int
    microbatch: int
    recompute: str
    sharding: str
    memory_bytes_per_gpu: float
    memory_bytes: dict[str, float]
    bottleneck: str
    breakdown: dict[str, float]
    assumed: tuple[str, ...]
    assumed_constants: dict[str, Sourced]


def gpu_job(
    shape: ModelShape,
    *,
    gpu: str | GpuSpec,
    num_gpus: int,
    batch_size: int,
    seq_len: int | None = None,
    software: str | Software = DEFAULT_SOFTWARE,
    precision: Precision = "bf16",
    is_two_four: bool = False,
) -> Job:
    """The job of training `shape`, checked.

    Parameters
    ----------
    gpu, software :
        Names in the data, files of the same form (`*.toml`), or specifications.
    batch_size :
        Sequences per optimizer step, over all GPUs.
    seq_len :
        Tokens per sequence; None = the shape's own.
    is_two_four :
        Two of every four weights of the linear layers are zero, in the pattern that the GPU's products skip.

    Raises
    ------
    SpecError
        When a number is below 1, a name is unknown or that of GPU and software both, or they do not have the precision.
    """
    spec = load_gpu(gpu) if isinstance(gpu, str) else gpu
    job = Job(
        shape=shape,
        gpu=spec,
        software=load_software(software) if isinstance(software, str) else software,
        constants=constants_on(spec),
        num_gpus=num_gpus,
        batch_size=batch_size,
        seq_len=shape.seq_len if seq_len is None else seq_len,
        precision=precision,
        is_two_four=is_two_four,
    )
    for name in ("num_gpus", "batch_size", "seq_len"):
        check_number(name, getattr(job, name))
    if job.gpu.name == job.software.name:
        raise SpecError(f"GPU and program are both called {job.gpu.name!r}: give one of them another name")
    if precision == "fp8" and not job.software.has_fp8:
        raise SpecError(f"{job.software.name} has no fp8: use precision bf16 or software {DEFAULT_SOFTWARE}")
    job.gpu.sustained_flops_per_s(precision)  # refuses a precision that the GPU does not have
    return job


def simulate_gpu(
    shape: ModelShape,
    *,
    gpu: str | GpuSpec,
    num_gpus: int,
    batch_size: int,
    seq_len: int | None = None,
    density: float = 1.0,
    tokens: float | None = None,
    software: str | Software = DEFAULT_SOFTWARE,
    precision: Precision = "bf16",
    is_two_four: bool = False,
    fixed: Layout = SEARCH_ALL,
    constants: Mapping[str, float] | None = None,
    economics: Economics | None = None,
) -> GpuResult:
    """A training run on `num_gpus` GPUs, in the fastest layout that fits.

    Unstructured zeros bring a GPU nothing: density changes no time here, only the MFU that counts needed FLOPs.
    Attention is taken as causal.

    Parameters
    ----------
    gpu, num_gpus, batch_size, seq_len, software, precision, is_two_four :
        As for `gpu_job`.
    tokens :
        Length of the run; None = one step.
    fixed :
        Parts of the layout that are not searched.
    constants :
        Other values for some constants of the GPU, the software or `gpu_training`, by name: what if?
    economics :
        How energy, carbon and money are counted; None = by the data.

    Raises
    ------
    SpecError
        When the input is wrong, or no layout fits: the message names the memory wall.
    """
    check_number("density", density)
    economics = economics or load_economics()
    job = gpu_job(
        shape,
        gpu=priced_gpu(load_gpu(gpu) if isinstance(gpu, str) else gpu, economics),
        num_gpus=num_gpus,
        batch_size=batch_size,
        seq_len=seq_len,
        software=software,
        precision=precision,
        is_two_four=is_two_four,
    )
    known = job.numbers
    for constant, number in (constants or {}).items():
        if constant not in known:
            raise SpecError(f"{constant} is no constant of {job.gpu.name} with {job.software.name}")
        check_gpu_constant(constant, number)
    job = job.with_numbers(constants or {})
    if is_two_four and density != 0.5:
        raise SpecError(f"2:4 sparsity keeps half of the weights: use density 0.5, not {density:g}")
    if tokens is not None:
        check_tokens(tokens, job.batch_size, job.seq_len)
    return gpu_result(job, best(job, fixed), density=density, tokens=tokens, economics=economics)


def gpu_result(job: Job, found: Found, *, density: float, tokens: float | None, economics: Economics) -> GpuResult:
    """What the first layout of `found` means for a run of `tokens` tokens, or of one step."""
    parts_s, memory_bytes = (
        {name: float(part[0]) for name, part in of.items()} for of in (found.parts_s, found.memory_bytes)
    )
    step_time_s = sum(parts_s.values())
    tokens_per_s = job.batch_size * job.seq_len / step_time_s
    run_time_s = step_time_s if tokens is None else tokens / tokens_per_s
    breakdown = {name: s / step_time_s for name, s in parts_s.items()}
    assumed = assumed_of(job.numbers) | economics.assumed_constants
    return GpuResult(
        gpu=job.gpu.name,
        software=job.software.name,
        **{name: getattr(job, name) for name in ("num_gpus", "precision", "batch_size", "seq_len")},
        density=density,
        tokens_per_s_per_gpu=tokens_per_s / job.num_gpus,
        tokens_per_s=tokens_per_s,
        step_time_s=step_time_s,
        **_utilisation(job, int(found.layouts.recompute[0]), density, tokens_per_s),
        run_time_s=run_time_s,
        **asdict(bill_with_ends(economics, unit_constants(job.gpu), time_s=run_time_s, n_units=job.num_gpus)),
        **economics.terms,
        **found.layouts.layout(0).on(job.num_gpus),
        memory_bytes_per_gpu=sum(memory_bytes.values()),
        memory_bytes=memory_bytes,
        bottleneck=max(breakdown, key=lambda name: breakdown[name]),
        breakdown=breakdown,
        assumed=tuple(assumed),
        assumed_constants=assumed,
    )


def _utilisation(job: Job, recompute: int, density: float, tokens_per_s: float) -> dict[str, Any]:
    """FLOPs per second over the peak, by field of the result: those that are needed, done, and needed when dense."""
    peak = job.gpu.peak_flops_per_s.value * job.num_gpus
    needed = model_flops_utilisation(job.shape, job.seq_len, density, tokens_per_s=tokens_per_s, peak_flops_per_s=peak)
    done = training_flops_per_token(job.shape, job.seq_len) + _repeated_flops(job, recompute)
    return {**needed, "hfu": done * tokens_per_s / peak}


def _repeated_flops(job: Job, recompute: int) -> float:
    """FLOPs per token that the backward pass computes again."""
    linear = linear_flops(job.shape) / 3.0
    attention = attention_flops(job.shape, job.seq_len) / 3.0
    if recompute == FULL:
        return linear + attention
    if recompute == SELECTIVE:
        return attention if job.software.attention_fraction is None else linear / 2.0
    return 0.0
