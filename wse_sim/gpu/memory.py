"""Bytes that a training run needs in each GPU's memory: columns of layouts in, columns of bytes out."""

import numpy as np

from wse_sim.gpu.kernels import BF16_BYTES, FP8_BYTES, FP32_BYTES, FloatArray
from wse_sim.gpu.layout import FULL, SELECTIVE, ZERO1, Job, Layouts
from wse_sim.workload.transformer import linear_weights, n_parameters

_KEPT_OF_SELECTIVE = 0.5  # of activations, where every other product is computed again
N_BLOCKS_GATHERED = 2  # the one that computes and the one that is fetched ahead


def memory_parts_bytes(job: Job, layouts: Layouts) -> dict[str, FloatArray]:
    """Bytes that one GPU needs, by what for: weights with gradients and moments, activations, logits, a reserve.

    The first stage of a pipeline counts: it holds as many micro-batches as there are stages, and a part of one more
    where groups of blocks interleave.

    Source: arXiv 1910.02054, Section 3 (ZeRO); arXiv 2205.05198, Section 4 (activations) and Appendix C (interleaving);
    arXiv 2104.04473, Section 2.2 (micro-batches in flight).
    """
    shape, constants = job.shape, job.constants
    tokens = layouts.microbatch * job.seq_len / layouts.cp / layouts.tp
    in_flight = np.where(
        layouts.interleave > 1, layouts.pp + (layouts.pp - 1) / layouts.interleave, layouts.pp.astype(np.float64)
    )
    in_flight = np.minimum(in_flight, np.ceil(layouts.share(job) / layouts.microbatch))
    n_layers = np.ceil(shape.n_layers / layouts.pp) * in_flight
    scores = _score_bytes_per_token(job)
    kept = np.where(
        layouts.recompute == SELECTIVE,
        activation_bytes_per_token(job) * (1.0 if scores else _KEPT_OF_SELECTIVE),
        activation_bytes_per_token(job) + scores,
    )
    activations = np.where(layouts.recompute == FULL, n_layers * BF16_BYTES * shape.d_model + kept, n_layers * kept)
    logits = constants.kept_logits_bytes.value * shape.logits_fraction * shape.vocab_size
    return {
        "states": _state_bytes(job, layouts),
        "activations": tokens * activations,
        "logits": tokens * logits,
        "reserve": np.full(len(layouts), constants.reserved_bytes.value),
    }


def activation_bytes_per_token(job: Job) -> float:
    """Bytes per token that one block keeps for its backward pass, without the scores of attention, no dropout.

    Inputs of two norms, of q/k/v, of the output projection and of the feed-forward layer; q, k, v; the inner
    activations of the feed-forward layer, two of width d_ff (four in swiglu). 32 d for GPT-2. With fp8 the inputs of
    the linear layers are kept in 8 bits.

    Source: Korthikanti et al., arXiv 2205.05198, Section 4.1 (34 d, of which 2 d are dropout masks).
    """
    shape = job.shape
    d, kv = shape.d_model, shape.kv_heads * shape.d_head
    n_inner = 4 if shape.feed_forward == "swiglu" else 2
    inputs = 3 * d + shape.d_ff
    narrower = (BF16_BYTES - FP8_BYTES) * inputs if job.precision == "fp8" else 0
    return float(BF16_BYTES * (2 * d + 3 * d + d + 2 * kv + n_inner * shape.d_ff) - narrower)


def _score_bytes_per_token(job: Job) -> float:
    """Scores before and behind the softmax, where attention is not fused."""
    is_kept = job.software.attention_fraction is None
    return 2.0 * BF16_BYTES * job.shape.n_heads * job.seq_len if is_kept else 0.0


def _state_bytes(job: Job, layouts: Layouts) -> FloatArray:
    """Weights, gradients and moments; sharded but for what ZeRO-1 keeps whole and ZeRO-3 gathers.

    ZeRO-1 keeps the weights of the products and 32-bit sums of gradients whole.
    """
    constants, n_ways = job.constants, layouts.tp * layouts.pp
    gathered, scattered = constants.weight_bytes.value, job.software.gradient_bytes.value
    weights = n_parameters(job.shape) / n_ways
    state, n_ranks = constants.state_bytes_per_parameter.value, layouts.dp * layouts.cp
    zero1 = weights * (gathered + FP32_BYTES + (state - FP32_BYTES) / n_ranks)
    block = linear_weights(job.shape) / job.shape.n_layers / n_ways
    largest = np.maximum(block, job.shape.vocab_size * job.shape.d_model / n_ways)
    working = (gathered * N_BLOCKS_GATHERED + scattered) * block + gathered * (largest - block)
    zero3 = weights * state / n_ranks + np.where(n_ranks > 1, working, 0.0)
    return np.where(layouts.sharding == ZERO1, zero1, zero3)
