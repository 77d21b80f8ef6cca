"""Seconds that GPUs spend on exchanging weights, gradients and activations: columns of layouts in, seconds out."""

import numpy as np

from wse_sim.gpu.kernels import BF16_BYTES, BlockTimes, FloatArray
from wse_sim.gpu.layout import FULL, IntArray, Job, Layouts
from wse_sim.workload.transformer import n_parameters


def ring_s(job: Job, n_ranks: IntArray, n_inside: IntArray, n_bytes: FloatArray | float) -> FloatArray:
    """Seconds in which a ring of `n_ranks` gathers, or scatters, `n_bytes` that all of them have in the end, or had.

    Among directly linked GPUs at the rate of their links; beyond them at that of the network cards of the group's
    GPUs in one server, `n_ranks` of which `n_inside` share a server's cards with others.
    """
    is_inside = n_ranks * n_inside <= job.gpus_per_node
    in_server = np.maximum(1, job.gpus_per_node // n_inside)
    cards = job.gpu.network_bytes_per_s.value * in_server
    links = job.gpu.nvlink_bytes_per_s.value
    rate = np.where(is_inside, links, np.minimum(links, cards)) * job.constants.link_fraction.value
    n_crossings = np.where(is_inside, 0, np.ceil(n_ranks / in_server) - 1)
    latency_s = n_crossings * job.constants.hop_latency_s.value
    return np.where(n_ranks > 1, n_bytes * (n_ranks - 1) / n_ranks / rate + latency_s, 0.0)


def weights_and_gradients_s(job: Job, layouts: Layouts) -> tuple[FloatArray, FloatArray]:
    """Seconds to gather the weights, and to scatter the gradients, of one GPU's blocks once, over copies of the model.

    The parts of a sequence have copies of the weights too.
    """
    n_weights = n_parameters(job.shape) / (layouts.tp * layouts.pp)
    n_ranks, n_inside = layouts.dp * layouts.cp, layouts.tp
    gather = ring_s(job, n_ranks, n_inside, job.constants.weight_bytes.value * n_weights)
    scatter = ring_s(job, n_ranks, n_inside, job.software.gradient_bytes.value * n_weights)
    return gather, scatter


def tensor_parallel_s(job: Job, layouts: Layouts) -> FloatArray:
    """Seconds that one micro-batch in one block takes longer: two gathers and two scatters of activations in each pass.

    What is hidden takes multiprocessors from the computation.

    Source: Korthikanti et al., arXiv 2205.05198, Section 4.2.2 (a gather before and a scatter behind both halves of a
    block; the gathered input is gathered again for its weight gradient).
    """
    n_passes = np.where(layouts.recompute == FULL, 4 + 4 + 6, 4 + 6)
    one = ring_s(job, layouts.tp, np.ones_like(layouts.tp), _activation_bytes(job, layouts))
    exposed = job.software.exposed_tensor_parallel.value
    return n_passes * (exposed * one + stolen_s(job, (1.0 - exposed) * one))


def context_parallel_s(job: Job, layouts: Layouts, times: BlockTimes) -> FloatArray:
    """Exposed seconds of one micro-batch in one block: keys and values go round while attention works on others.

    Source: ring attention, arXiv 2310.01889.
    """
    shape = job.shape
    kv_fraction = 2.0 * shape.kv_heads / shape.n_heads
    one = ring_s(job, layouts.cp, layouts.tp, layouts.cp * _activation_bytes(job, layouts) / layouts.tp * kv_fraction)
    forward = np.maximum(0.0, one - times.attention_forward_s)
    backward = np.maximum(0.0, 2.0 * one - times.attention_backward_s)
    return np.where(layouts.recompute == FULL, 2.0, 1.0) * forward + backward


def stage_boundary_s(job: Job, layouts: Layouts) -> FloatArray:
    """Seconds that a micro-batch's way from stage to stage, and its gradients' way back, adds to a stage.

    Where groups of blocks interleave, it comes by once for each, and crosses while the stage works on another group.
    """
    is_inside = job.num_gpus <= job.gpus_per_node
    rate = (job.gpu.nvlink_bytes_per_s if is_inside else job.gpu.network_bytes_per_s).value
    rate *= job.constants.link_fraction.value
    both_ways = 2.0 * (_activation_bytes(job, layouts) / layouts.tp / rate + job.constants.hop_latency_s.value)
    hidden = stolen_s(job, layouts.interleave * both_ways)
    return np.where(layouts.pp > 1, np.where(layouts.interleave > 1, hidden, both_ways), 0.0)


def stolen_s(job: Job, collective_s: FloatArray) -> FloatArray:
    """Seconds of computation that collectives cost which run beside it."""
    return collective_s * job.constants.overlap_slowdown.value


def _activation_bytes(job: Job, layouts: Layouts) -> FloatArray:
    """Of one micro-batch between two blocks, in one context-parallel part."""
    return BF16_BYTES * layouts.microbatch * job.seq_len / layouts.cp * job.shape.d_model
