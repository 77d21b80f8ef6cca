"""Training on a cluster of GPUs: what a step takes, and the parallel layout that takes least."""

from math import ceil

import msgspec

from wse_sim.errors import SpecError
from wse_sim.gpu.layout import FixedLayout, Job, Layout, layouts, tensor_parallel_ways
from wse_sim.gpu.memory import memory_bytes_per_gpu
from wse_sim.gpu.spec import GpuSpec, assumed_constants, load_gpu, training_constants
from wse_sim.gpu.step import step_parts_s
from wse_sim.spec.model import ModelShape
from wse_sim.units import S_PER_HOUR
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import check_density, n_parameters

BYTES_PER_GB = 1e9
SEARCH_ALL = FixedLayout()


class GpuResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run does on a cluster of GPUs (simulated).

    Parameters
    ----------
    mfu :
        FLOPs that the model needs (convention `palm`, zeros do not count) over the dense bfloat16 peak.
    dense_equivalent_mfu :
        The same with zeros counted: what the GPUs, which cannot skip them, are kept busy with.
    dp, tp, pp, microbatch, is_recomputed, sharding :
        The layout: data, tensor and pipeline parallel ways, sequences per micro-batch and data-parallel way.
    bottleneck :
        The largest part of `breakdown`.
    breakdown :
        Fractions of the step, which sum to 1; communication is the part that computation does not cover.
    assumed :
        Names of the constants behind the result for which nothing better than an assumption is known.
    """

    gpu: str
    num_gpus: int
    batch_size: int
    seq_len: int
    density: float
    tokens_per_s_per_gpu: float
    tokens_per_s: float
    step_time_s: float
    mfu: float
    dense_equivalent_mfu: float
    run_time_s: float
    energy_j: float
    cost_usd: float
    dp: int
    tp: int
    pp: int
    microbatch: int
    is_recomputed: bool
    sharding: str
    memory_bytes_per_gpu: float
    bottleneck: str
    breakdown: dict[str, float]
    assumed: tuple[str, ...]


def simulate_gpu(
    shape: ModelShape,
    *,
    gpu: str | GpuSpec,
    num_gpus: int,
    batch_size: int,
    seq_len: int | None = None,
    density: float = 1.0,
    tokens: float | None = None,
    fixed: FixedLayout = SEARCH_ALL,
) -> GpuResult:
    """A training run on `num_gpus` GPUs, in the fastest layout that fits.

    Data parallelism with sharded weights (ZeRO-3) or sharded optimizer state (ZeRO-1), tensor parallelism inside a
    server, pipeline stages. Unstructured zeros bring a GPU nothing: density changes no time here, only the MFU that
    counts needed FLOPs. Attention is taken as causal.

    Parameters
    ----------
    gpu :
        Name of a GPU in the data, or its specification.
    batch_size :
        Sequences per optimizer step, over all GPUs.
    seq_len :
        Tokens per sequence; None = the shape's own.
    tokens :
        Length of the run; None = one step.
    fixed :
        Parts of the layout that are not searched.

    Raises
    ------
    SpecError
        When the input is wrong, or no layout fits: the message names the memory wall.
    """
    check_density(density)
    job = Job(
        shape=shape,
        gpu=load_gpu(gpu) if isinstance(gpu, str) else gpu,
        constants=training_constants(),
        num_gpus=num_gpus,
        batch_size=batch_size,
        seq_len=seq_len or shape.seq_len,
    )
    _check(job, tokens, fixed.microbatch)
    fitting = _fitting_layouts(job, fixed)
    parts_of = {layout: step_parts_s(job, layout) for layout in fitting}
    best = min(fitting, key=lambda layout: (sum(parts_of[layout].values()), fitting[layout]))
    return _result(job, best, parts_of[best], fitting[best], density=density, tokens=tokens)


def _check(job: Job, tokens: float | None, microbatch: int | None) -> None:
    counts = {"num_gpus": job.num_gpus, "batch_size": job.batch_size, "seq_len": job.seq_len, "tokens": tokens}
    for name, value in {**counts, "microbatch": microbatch}.items():
        if value is not None and not value >= 1:
            raise SpecError(f"{name} is {value}, it must be at least 1")


def _fitting_layouts(job: Job, fixed: FixedLayout) -> dict[Layout, float]:
    """The layouts whose bytes one GPU has, with those bytes."""
    needed = {layout: memory_bytes_per_gpu(job, layout) for layout in layouts(job, fixed)}
    if not needed:
        raise SpecError(f"no layout of {job.num_gpus} GPUs is like {fixed}: pipeline stages need sharding zero1")
    fitting = {layout: size for layout, size in needed.items() if size <= job.gpu.memory_bytes.value}
    if not fitting:
        raise SpecError(_memory_wall(job, min(needed.values())))
    return fitting


def _memory_wall(job: Job, needed_bytes: float) -> str:
    """What does not fit, and how many GPUs it would take: everything sharded, one sequence at a time, recomputed."""
    room = job.gpu.memory_bytes.value
    text = f"{job.shape.name} on {job.num_gpus} x {job.gpu.name}: memory: "
    text += f"needs {needed_bytes / BYTES_PER_GB:.0f} GB per GPU, has {room / BYTES_PER_GB:.0f} GB; "
    tp = tensor_parallel_ways(job)[-1]
    leanest = Layout(dp=2, tp=tp, pp=1, microbatch=1, is_recomputed=True, sharding="zero3")
    states = job.constants.state_bytes_per_parameter.value * n_parameters(job.shape)
    rest = memory_bytes_per_gpu(job, leanest) - states / (2 * tp)
    if rest >= room:
        return text + "one sequence alone does not fit: use a shorter seq_len or a GPU with more memory"
    enough = job.gpus_per_node * ceil(states / (room - rest) / job.gpus_per_node)
    if enough <= job.num_gpus:
        return text + "use a smaller microbatch or recomputation"
    return text + f"use at least {enough} GPUs"


def _result(
    job: Job, layout: Layout, parts: dict[str, float], memory_bytes: float, *, density: float, tokens: float | None
) -> GpuResult:
    step_time_s = sum(parts.values())
    step_tokens = job.batch_size * job.seq_len
    tokens_per_s = step_tokens / step_time_s
    run_time_s = step_time_s if tokens is None else tokens / tokens_per_s
    peak = job.gpu.peak_flops_per_s.value * job.num_gpus
    needed, dense = (training_flops_per_token(job.shape, job.seq_len, rho) for rho in (density, 1.0))
    breakdown = {name: s / step_time_s for name, s in parts.items()}
    return GpuResult(
        gpu=job.gpu.name,
        num_gpus=job.num_gpus,
        batch_size=job.batch_size,
        seq_len=job.seq_len,
        density=density,
        tokens_per_s_per_gpu=tokens_per_s / job.num_gpus,
        tokens_per_s=tokens_per_s,
        step_time_s=step_time_s,
        mfu=needed * tokens_per_s / peak,
        dense_equivalent_mfu=dense * tokens_per_s / peak,
        run_time_s=run_time_s,
        energy_j=job.gpu.server_w_per_gpu.value * job.num_gpus * run_time_s,
        cost_usd=job.gpu.price_usd_per_h.value * job.num_gpus * run_time_s / S_PER_HOUR,
        dp=layout.dp,
        tp=layout.tp,
        pp=layout.pp,
        microbatch=layout.microbatch,
        is_recomputed=layout.is_recomputed,
        sharding=layout.sharding if layout.dp > 1 else "none",
        memory_bytes_per_gpu=memory_bytes,
        bottleneck=max(breakdown, key=lambda name: breakdown[name]),
        breakdown=breakdown,
        assumed=assumed_constants(job.gpu, job.constants),
    )
