"""Training on a cluster of GPUs: what a step takes, and the parallel layout that takes least."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import msgspec

from wse_sim.errors import SpecError
from wse_sim.gpu.kernels import KernelTimes, kernel_times
from wse_sim.gpu.memory import BF16_BYTES, memory_bytes_per_gpu
from wse_sim.gpu.spec import GpuSpec, TrainingConstants, load_gpu, training_constants
from wse_sim.spec.model import ModelShape
from wse_sim.units import S_PER_HOUR
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import check_density, n_parameters

N_BYTES_PER_GB = 1e9


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    dp: int
    tp: int
    microbatch: int
    is_recomputed: bool
    memory_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    shape: ModelShape
    gpu: GpuSpec
    constants: TrainingConstants
    num_gpus: int
    batch_size: int
    seq_len: int


def simulate_gpu(
    shape: ModelShape,
    *,
    gpu: str | GpuSpec,
    num_gpus: int,
    batch_size: int,
    seq_len: int | None = None,
    density: float = 1.0,
    tokens: float | None = None,
    microbatch: int | None = None,
    is_recomputed: bool | None = None,
) -> GpuResult:
    """A training run on `num_gpus` GPUs, in the fastest layout that fits.

    Fully sharded data parallelism (ZeRO-3); tensor parallelism inside a server only when nothing else fits. Unstructured
    zeros bring a GPU nothing: density changes no time here, only the MFU that counts needed FLOPs.

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
    microbatch, is_recomputed :
        Hold these parts of the layout fixed; None = search.

    Raises
    ------
    SpecError
        When the input is wrong, or no layout fits: the message names the memory wall.
    """
    check_density(density)
    spec = load_gpu(gpu) if isinstance(gpu, str) else gpu
    job = _Job(
        shape=shape,
        gpu=spec,
        constants=training_constants(),
        num_gpus=num_gpus,
        batch_size=batch_size,
        seq_len=seq_len or shape.seq_len,
    )
    _check(job, tokens, microbatch)
    layouts = _fitting_layouts(job, microbatch, is_recomputed)
    parts_of = {layout: _step_parts_s(job, layout) for layout in layouts}
    best = min(layouts, key=lambda layout: (sum(parts_of[layout].values()), layout.memory_bytes))
    return _result(job, best, parts_of[best], density=density, tokens=tokens)


def _check(job: _Job, tokens: float | None, microbatch: int | None) -> None:
    counts = {"num_gpus": job.num_gpus, "batch_size": job.batch_size, "seq_len": job.seq_len, "tokens": tokens}
    for name, value in {**counts, "microbatch": microbatch}.items():
        if value is not None and value < 1:
            raise SpecError(f"{name} is {value}, it must be at least 1")


def _fitting_layouts(job: _Job, microbatch: int | None, is_recomputed: bool | None) -> list[_Layout]:
    """The layouts that fit with the least tensor parallelism."""
    smallest = None
    for tp in _tensor_parallel_ways(job):
        layouts = list(_layouts(job, tp, microbatch, is_recomputed))
        fitting = [layout for layout in layouts if layout.memory_bytes <= job.gpu.memory_bytes.value]
        if fitting:
            return fitting
        smallest = min([*layouts, *([smallest] if smallest else [])], key=lambda layout: layout.memory_bytes)
    raise SpecError(_memory_wall(job, smallest))


def _tensor_parallel_ways(job: _Job) -> list[int]:
    """Powers of two inside one server that divide GPUs and heads and leave each data-parallel way a sequence."""
    ways = [2**i for i in range(int(job.gpu.gpus_per_node.value).bit_length())]
    return [
        tp
        for tp in ways
        if job.num_gpus % tp == 0 and job.shape.n_heads % tp == 0 and job.num_gpus // tp <= job.batch_size
    ]


def _layouts(job: _Job, tp: int, microbatch: int | None, is_recomputed: bool | None) -> Iterator[_Layout]:
    dp = job.num_gpus // tp
    share = ceil(job.batch_size / dp)
    sizes = {min(microbatch, share)} if microbatch else {ceil(share / n) for n in range(1, share + 1)}
    for size in sorted(sizes):
        for recomputed in (False, True) if is_recomputed is None else (is_recomputed,):
            memory = memory_bytes_per_gpu(
                job.shape,
                constants=job.constants,
                dp=dp,
                tp=tp,
                microbatch=size,
                seq_len=job.seq_len,
                is_recomputed=recomputed,
            )
            yield _Layout(dp=dp, tp=tp, microbatch=size, is_recomputed=recomputed, memory_bytes=memory)


def _memory_wall(job: _Job, smallest: _Layout | None) -> str:
    what = f"{job.shape.name} on {job.num_gpus} x {job.gpu.name}"
    if smallest is None:
        most = job.batch_size * int(job.gpu.gpus_per_node.value)
        return (
            f"{what}: a batch of {job.batch_size} sequences cannot be split over {job.num_gpus} GPUs; "
            f"use a batch of at least {ceil(job.num_gpus / job.gpu.gpus_per_node.value)} or at most {most} GPUs"
        )
    room = job.gpu.memory_bytes.value
    states = job.constants.state_bytes_per_parameter.value * n_parameters(job.shape)
    rest = smallest.memory_bytes - states / job.num_gpus
    text = f"{what}: memory: needs {smallest.memory_bytes / N_BYTES_PER_GB:.0f} GB per GPU, has {room / N_BYTES_PER_GB:.0f} GB; "
    if rest < room:
        return text + f"use at least {ceil(states / (room - rest))} GPUs"
    return text + "the activations of one sequence alone do not fit: use a shorter seq_len or a GPU with more memory"


def _step_parts_s(job: _Job, layout: _Layout) -> dict[str, float]:
    """Seconds of one optimizer step by part; their sum is the step."""
    share = ceil(job.batch_size / layout.dp)
    n_full, rest = divmod(share, layout.microbatch)
    parts = {name: n_full * s for name, s in _microbatch_parts_s(job, layout, layout.microbatch).items()}
    if rest:
        for name, s in _microbatch_parts_s(job, layout, rest).items():
            parts[name] += s
    per_gpu = n_parameters(job.shape) / job.num_gpus
    parts["optimizer"] = job.constants.optimizer_bytes_per_parameter.value * per_gpu / job.gpu.memory_bytes_per_s.value
    return parts


def _microbatch_parts_s(job: _Job, layout: _Layout, microbatch: int) -> dict[str, float]:
    times = kernel_times(
        job.shape, gpu=job.gpu, constants=job.constants, microbatch=microbatch, seq_len=job.seq_len, tp=layout.tp
    )
    recompute = times.forward_s if layout.is_recomputed else 0.0
    return {
        "linear": times.linear_forward_s + times.linear_backward_s + times.logits_matmul_s,
        "attention": times.attention_forward_s + times.attention_backward_s,
        "memory": times.elementwise_forward_s + times.elementwise_backward_s + times.logits_memory_s,
        "recompute": recompute,
        "communication": _sharding_s(job, layout, times, recompute) + _tensor_parallel_s(job, layout, microbatch),
    }


def _sharding_s(job: _Job, layout: _Layout, times: KernelTimes, recompute_s: float) -> float:
    """Seconds that fully sharded data parallelism adds to a micro-batch.

    Weights are gathered forward and again backward, gradients scattered backward. Computation covers them but for the
    first block's gather and the last block's scatter; what is covered still takes multiprocessors from the computation.
    """
    if layout.dp == 1:
        return 0.0
    constants, weights = job.constants, n_parameters(job.shape) / layout.tp
    rate = _ring_bytes_per_s(job, layout) * constants.link_fraction.value
    once = weights * (layout.dp - 1) / layout.dp / rate
    gather, scatter = (
        constants.gather_bytes_per_parameter.value * once,
        constants.scatter_bytes_per_parameter.value * once,
    )
    logits = times.logits_matmul_s + times.logits_memory_s
    uncovered = max(0.0, gather - times.forward_s) + max(
        0.0, gather + scatter - times.backward_s - recompute_s - logits
    )
    ends = (gather + scatter) / job.shape.n_layers
    slowed = (2 * gather + scatter) * constants.communication_sms.value / job.gpu.n_sms.value
    return uncovered + ends + slowed


def _ring_bytes_per_s(job: _Job, layout: _Layout) -> float:
    """Rate of a ring over the data-parallel ways: inside a server NVLink, else all network cards of a server together."""
    per_node = job.gpu.gpus_per_node.value
    if job.num_gpus <= per_node:
        return job.gpu.nvlink_bytes_per_s.value
    return min(job.gpu.nvlink_bytes_per_s.value, job.gpu.network_bytes_per_s.value * per_node / layout.tp)


def _tensor_parallel_s(job: _Job, layout: _Layout, microbatch: int) -> float:
    """Seconds of the tensor-parallel sums, all exposed: two per block and pass (Megatron-LM, arXiv 1909.08053, Section 3)."""
    if layout.tp == 1:
        return 0.0
    n_passes = 3 if layout.is_recomputed else 2
    activation_bytes = BF16_BYTES * microbatch * job.seq_len * job.shape.d_model
    one = 2 * activation_bytes * (layout.tp - 1) / layout.tp
    rate = job.gpu.nvlink_bytes_per_s.value * job.constants.link_fraction.value
    return 2 * n_passes * job.shape.n_layers * one / rate


def _result(job: _Job, layout: _Layout, parts: dict[str, float], *, density: float, tokens: float | None) -> GpuResult:
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
        pp=1,
        microbatch=layout.microbatch,
        is_recomputed=layout.is_recomputed,
        sharding="zero3" if layout.dp > 1 else "none",
        memory_bytes_per_gpu=layout.memory_bytes,
        bottleneck=max(breakdown, key=lambda name: breakdown[name]),
        breakdown=breakdown,
    )
