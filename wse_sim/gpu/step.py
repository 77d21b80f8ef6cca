"""Seconds of one optimizer step on a cluster of GPUs, by part."""

from math import ceil

from wse_sim.gpu.kernels import KernelTimes, kernel_times
from wse_sim.gpu.layout import Job, Layout
from wse_sim.gpu.memory import BF16_BYTES
from wse_sim.workload.transformer import n_parameters


def step_parts_s(job: Job, layout: Layout) -> dict[str, float]:
    """Seconds of one optimizer step by part; their sum is the step.

    The data-parallel way with most sequences counts; the last micro-batch may be smaller than the others. Pipeline
    stages take equally long; filling and draining the pipeline takes one micro-batch for each stage but one.

    Source: arXiv 2104.04473, Section 2.2 (pipeline bubble).
    """
    n_full, rest = divmod(layout.share(job), layout.microbatch)
    full = _microbatch_parts_s(job, layout, layout.microbatch)
    last = _microbatch_parts_s(job, layout, rest) if rest else dict.fromkeys(full, 0.0)
    parts = {name: (n_full * full[name] + last[name]) / layout.pp for name in full}
    per_gpu = n_parameters(job.shape) / job.num_gpus
    parts["optimizer"] = job.constants.optimizer_bytes_per_parameter.value * per_gpu / job.gpu.memory_bytes_per_s.value
    parts["pipeline"] = (layout.pp - 1) * sum(full.values()) / layout.pp
    if layout.sharding == "zero1":
        parts["communication"] += _exchange_s(job, layout) + _stage_boundary_s(job, layout)
    return parts


def _microbatch_parts_s(job: Job, layout: Layout, microbatch: int) -> dict[str, float]:
    """Seconds of one micro-batch through all stages."""
    times = _kernel_times(job, layout, microbatch)
    recompute = times.forward_s if layout.is_recomputed else 0.0
    sharding = _gathering_s(job, layout, times, recompute) if layout.sharding == "zero3" else 0.0
    return {
        "linear": times.linear_forward_s + times.linear_backward_s + times.logits_matmul_s,
        "attention": times.attention_forward_s + times.attention_backward_s,
        "memory": times.elementwise_forward_s + times.elementwise_backward_s + times.logits_memory_s,
        "recompute": recompute,
        "communication": sharding + _tensor_parallel_s(job, layout, microbatch),
    }


def _kernel_times(job: Job, layout: Layout, microbatch: int) -> KernelTimes:
    return kernel_times(
        job.shape, gpu=job.gpu, constants=job.constants, microbatch=microbatch, seq_len=job.seq_len, tp=layout.tp
    )


def _gathering_s(job: Job, layout: Layout, times: KernelTimes, recompute_s: float) -> float:
    """Seconds that ZeRO-3 adds to a micro-batch.

    Weights are gathered forward and again backward, gradients scattered backward. Computation covers them but for the
    first block's gather and the last block's scatter; what is covered still takes multiprocessors from the computation.
    """
    gather, scatter = _collectives_s(job, layout)
    logits = times.logits_matmul_s + times.logits_memory_s
    backward = times.backward_s + recompute_s + logits
    uncovered = max(0.0, gather - times.forward_s) + max(0.0, gather + scatter - backward)
    ends = (gather + scatter) / job.shape.n_layers
    return uncovered + ends + _stolen_s(job, 2 * gather + scatter)


def _exchange_s(job: Job, layout: Layout) -> float:
    """Seconds that ZeRO-1 adds to a step: gradients behind the last backward pass, weights before the first forward."""
    gather, scatter = _collectives_s(job, layout)
    times = _kernel_times(job, layout, layout.microbatch)
    uncovered = max(0.0, gather - times.forward_s / layout.pp) + max(0.0, scatter - times.backward_s / layout.pp)
    ends = (gather + scatter) / (job.shape.n_layers / layout.pp)
    return uncovered + ends + _stolen_s(job, gather + scatter)


def _collectives_s(job: Job, layout: Layout) -> tuple[float, float]:
    """Seconds to gather the weights, and to scatter the gradients, of one GPU's stage once."""
    if layout.dp == 1:
        return 0.0, 0.0
    rate = _ring_bytes_per_s(job, layout) * job.constants.link_fraction.value
    once = n_parameters(job.shape) / (layout.tp * layout.pp) * (layout.dp - 1) / layout.dp / rate
    return job.constants.gather_bytes_per_parameter.value * once, job.constants.scatter_bytes_per_parameter.value * once


def _stolen_s(job: Job, collective_s: float) -> float:
    """Seconds of computation that collectives cost which run beside it."""
    return collective_s * job.constants.communication_sms.value / job.gpu.n_sms.value


def _ring_bytes_per_s(job: Job, layout: Layout) -> float:
    """Rate of a ring over the data-parallel ways: NVLink inside a server, else a server's network cards together.

    The tensor-parallel ways of a server share its cards.
    """
    if layout.dp * layout.tp <= job.gpus_per_node:
        return job.gpu.nvlink_bytes_per_s.value
    cards = job.gpu.network_bytes_per_s.value * job.gpus_per_node / layout.tp
    return min(job.gpu.nvlink_bytes_per_s.value, cards)


def _tensor_parallel_s(job: Job, layout: Layout, microbatch: int) -> float:
    """Seconds of the tensor-parallel sums, all exposed: two per block and pass.

    Source: Megatron-LM, arXiv 1909.08053, Section 3.
    """
    if layout.tp == 1:
        return 0.0
    n_passes = 3 if layout.is_recomputed else 2
    activation_bytes = BF16_BYTES * microbatch * job.seq_len * job.shape.d_model
    one = 2 * activation_bytes * (layout.tp - 1) / layout.tp
    rate = job.gpu.nvlink_bytes_per_s.value * job.constants.link_fraction.value
    return 2 * n_passes * job.shape.n_layers * one / rate


def _stage_boundary_s(job: Job, layout: Layout) -> float:
    """Seconds in which activations and their gradients cross between stages over the network, all exposed."""
    if layout.pp == 1:
        return 0.0
    n_microbatches = ceil(layout.share(job) / layout.microbatch)
    one = BF16_BYTES * layout.microbatch * job.seq_len * job.shape.d_model / layout.tp
    rate = job.gpu.network_bytes_per_s.value * job.constants.link_fraction.value
    return 2 * n_microbatches * one / rate
