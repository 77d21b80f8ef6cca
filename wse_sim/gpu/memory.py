"""Bytes that a training run needs in each GPU's memory."""

from math import ceil

from wse_sim.gpu.layout import Job, Layout
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_weights, n_parameters

BF16_BYTES = 2
N_BLOCKS_GATHERED = 2  # the one that computes and the one that is fetched ahead


def memory_bytes_per_gpu(job: Job, layout: Layout) -> float:
    """Bytes that one GPU needs: states, gathered weights, activations, logits and a reserve.

    Pipeline stages are taken as equal; the first of them holds as many micro-batches as there are stages.

    Source: arXiv 1910.02054, Section 3 (ZeRO); arXiv 2205.05198, Section 4 (activations); arXiv 2104.04473, Section 2.2
    (micro-batches in flight).
    """
    shape, constants = job.shape, job.constants
    tokens = layout.microbatch * job.seq_len / layout.tp
    n_in_flight = min(layout.pp, ceil(layout.share(job) / layout.microbatch))
    n_layers = shape.n_layers / layout.pp * n_in_flight
    kept = activation_bytes_per_token(shape)
    activations = n_layers * BF16_BYTES * shape.d_model + kept if layout.is_recomputed else n_layers * kept
    logits = constants.logits_bytes_kept.value * shape.logits_fraction * shape.vocab_size
    return constants.reserved_bytes.value + _state_bytes(job, layout) + tokens * (activations + logits)


def _state_bytes(job: Job, layout: Layout) -> float:
    """Weights, gradients and moments; sharded but for what ZeRO-1 keeps whole and ZeRO-3 gathers."""
    constants, n_ways = job.constants, layout.tp * layout.pp
    gathered, scattered = constants.gather_bytes_per_parameter.value, constants.scatter_bytes_per_parameter.value
    weights = n_parameters(job.shape) / n_ways
    state = constants.state_bytes_per_parameter.value
    if layout.sharding == "zero1":
        return weights * (gathered + scattered + (state - scattered) / layout.dp)
    if layout.dp == 1:
        return weights * state
    block = linear_weights(job.shape) / job.shape.n_layers / n_ways
    largest = max(block, job.shape.vocab_size * job.shape.d_model / n_ways)
    working = (gathered * N_BLOCKS_GATHERED + scattered) * block + gathered * (largest - block)
    return weights * state / layout.dp + working


def activation_bytes_per_token(shape: ModelShape) -> float:
    """Bytes per token that one block keeps for its backward pass, with fused attention and no dropout.

    Inputs of two norms, of q/k/v, of the output projection and of the feed-forward layer; q, k, v; the inner
    activations of the feed-forward layer, two of width d_ff (four in swiglu). 32 d for GPT-2.

    Source: Korthikanti et al., arXiv 2205.05198, Section 4.1 (34 d, of which 2 d are dropout masks).
    """
    d, kv = shape.d_model, shape.kv_heads * shape.d_head
    n_inner = 4 if shape.feed_forward == "swiglu" else 2
    return float(BF16_BYTES * (2 * d + 3 * d + d + 2 * kv + n_inner * shape.d_ff))
