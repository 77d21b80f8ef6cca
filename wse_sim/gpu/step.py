"""Seconds of one optimizer step on a cluster of GPUs, by part: columns of layouts in, columns of seconds out."""

from collections.abc import Mapping

import numpy as np

from wse_sim.gpu.exchange import (
    context_parallel_s,
    stage_boundary_s,
    stolen_s,
    tensor_parallel_s,
    weights_and_gradients_s,
)
from wse_sim.gpu.kernels import BlockTimes, FloatArray, block_times
from wse_sim.gpu.layout import FULL, SELECTIVE, ZERO1, Job, Layouts
from wse_sim.workload.transformer import n_parameters

PARTS = ("linear", "attention", "memory", "recompute", "communication", "optimizer", "pipeline")


def step_parts_s(job: Job, layouts: Layouts) -> dict[str, FloatArray]:
    """Seconds of one optimizer step by `PARTS`; their sum is the step.

    The data-parallel way with most sequences counts. A pipeline runs at the pace of its slowest stage, and takes a
    micro-batch for each stage but one, over the groups of blocks that interleave, to fill and drain.

    Source: arXiv 2104.04473, Sections 2.2 (bubble) and 2.2.2 (interleaving).
    """
    times = block_times(job, layouts)
    n_microbatches = layouts.share(job) / layouts.microbatch
    blocks = job.shape.n_layers / layouts.pp
    recompute_s = _recompute_s(job, layouts, times)
    exchange_s = tensor_parallel_s(job, layouts) + context_parallel_s(job, layouts, times)
    per_block = {
        "linear": times.linear_forward_s + times.linear_backward_s,
        "attention": times.attention_forward_s + times.attention_backward_s,
        "memory": times.element_forward_s + times.element_backward_s,
        "recompute": recompute_s,
        "communication": exchange_s,
    }
    parts = {name: n_microbatches * blocks * seconds for name, seconds in per_block.items()}
    parts["linear"] = parts["linear"] + n_microbatches * times.logits_matmul_s / layouts.pp
    parts["memory"] = parts["memory"] + n_microbatches * times.logits_memory_s / layouts.pp
    block_s = total(per_block)
    stage_s = block_s * blocks + times.logits_s / layouts.pp
    slowest_s = _slowest_stage_s(job, layouts, block_s, times.logits_s)
    slowest_s = slowest_s + stage_boundary_s(job, layouts)
    n_filling = (layouts.pp - 1) / layouts.interleave
    parts["pipeline"] = (np.ceil(n_microbatches) + n_filling) * slowest_s - n_microbatches * stage_s
    parts["pipeline"] = np.where(layouts.pp > 1, parts["pipeline"], 0.0)
    parts["communication"] = parts["communication"] + _data_parallel_s(job, layouts, times, recompute_s)
    sharded = n_parameters(job.shape) / (layouts.tp * layouts.pp * layouts.cp * layouts.dp)
    optimizer_bytes = job.constants.optimizer_bytes_per_parameter.value * sharded
    parts["optimizer"] = optimizer_bytes / (job.gpu.memory_bytes_per_s.value * job.constants.memory_fraction.value)
    return {name: parts[name] for name in PARTS}


def total(parts: Mapping[str, FloatArray]) -> FloatArray:
    """The sum of columns."""
    return np.asarray(np.sum(list(parts.values()), axis=0), np.float64)


def _recompute_s(job: Job, layouts: Layouts, times: BlockTimes) -> FloatArray:
    """Of one micro-batch in one block.

    Selective: scores of attention where it is not fused; else every other product, and what lies between them.
    """
    if job.software.attention_fraction is None:
        selective_s = times.attention_forward_s
    else:
        selective_s = (times.linear_forward_s + times.element_forward_s) / 2.0
    partial_s = np.where(layouts.recompute == SELECTIVE, selective_s, 0.0)
    return np.where(layouts.recompute == FULL, times.forward_s, partial_s)


def _slowest_stage_s(job: Job, layouts: Layouts, block_s: FloatArray, logits_s: FloatArray) -> FloatArray:
    """Seconds of a micro-batch in the slowest stage.

    The last stage also has the output layer. Either all groups have equally many blocks, or the output layer takes the
    place of as many whole blocks as it needs time for, whichever is faster.
    """
    n_layers, n_groups = job.shape.n_layers, layouts.pp * layouts.interleave
    even_s = np.where(n_layers % n_groups == 0, n_layers / layouts.pp * block_s + logits_s, np.inf)
    places = np.ceil((n_layers + np.ceil(logits_s / block_s)) / n_groups) * layouts.interleave
    return np.asarray(np.minimum(even_s, places * block_s))


def _data_parallel_s(job: Job, layouts: Layouts, times: BlockTimes, recompute_s: FloatArray) -> FloatArray:
    """Seconds that exchanging weights and gradients between copies of the model adds to a step.

    ZeRO-1 gathers the weights before the first forward pass and scatters the gradients behind the last backward pass.
    ZeRO-3 gathers the weights in each pass of each micro-batch, and scatters gradients as often.
    """
    gather, scatter = weights_and_gradients_s(job, layouts)
    backward_s = times.backward_s + recompute_s
    once = beside_blocks_s(job, layouts, gather, times.forward_s) + beside_blocks_s(job, layouts, scatter, backward_s)
    each = beside_blocks_s(job, layouts, gather, times.forward_s)
    each = each + beside_blocks_s(job, layouts, gather + scatter, backward_s)
    n_microbatches = layouts.share(job) / layouts.microbatch
    return np.where(layouts.sharding == ZERO1, once, n_microbatches * each)


def beside_blocks_s(job: Job, layouts: Layouts, exchange_s: FloatArray, block_s: FloatArray) -> FloatArray:
    """Seconds that the exchange of a stage's weights, or gradients, adds to a pass of `block_s` seconds a block.

    A block's part of the exchange can start when its last micro-batch has passed it (or has to end before its first),
    and runs beside the blocks that are still to come: what is left open is the last block's part, or, where exchanges
    are slow, what the other blocks do not cover. Where groups of blocks interleave, the last micro-batches, one for
    each stage, pass all groups one after the other, and parts of the groups behind them run beside that; the last
    group has only its own last micro-batch. What is covered takes multiprocessors from the computation.
    """
    if not job.software.is_overlapped:
        return exchange_s
    blocks, n_groups = job.shape.n_layers / layouts.pp, layouts.interleave
    group_s = blocks / n_groups * block_s
    n_together = np.minimum(layouts.pp, layouts.share(job) / layouts.microbatch)
    beside_own_s = group_s - block_s
    of_last_group = exchange_s / n_groups - beside_own_s
    of_all_groups = exchange_s - beside_own_s - (n_groups - 1) * n_together * group_s
    open_s = np.maximum(exchange_s / blocks, np.maximum(of_last_group, of_all_groups))
    return open_s + stolen_s(job, exchange_s - open_s)
