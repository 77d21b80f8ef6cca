"""Bytes that a training run needs in each GPU's memory."""

from wse_sim.gpu.spec import TrainingConstants
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_weights, n_parameters

BF16_BYTES = 2
N_BLOCKS_GATHERED = 2  # the one that computes and the one that is fetched ahead


def memory_bytes_per_gpu(
    shape: ModelShape,
    *,
    constants: TrainingConstants,
    dp: int,
    tp: int,
    microbatch: int,
    seq_len: int,
    is_recomputed: bool,
) -> float:
    """Bytes that one GPU needs: sharded states, gathered weights, activations and logits.

    Source: ZeRO-3, arXiv 1910.02054, Section 3; activations: arXiv 2205.05198, Section 4.
    """
    tokens = microbatch * seq_len
    states = constants.state_bytes_per_parameter.value * n_parameters(shape) / (dp * tp)
    block = linear_weights(shape) / shape.n_layers / tp
    largest = max(block, shape.vocab_size * shape.d_model / tp)
    per_weight = constants.gather_bytes_per_parameter.value
    gathered = (per_weight * N_BLOCKS_GATHERED + constants.scatter_bytes_per_parameter.value) * block
    gathered += per_weight * (largest - block)
    logits = constants.logits_bytes_kept.value * tokens * shape.logits_fraction * shape.vocab_size / tp
    kept = activation_bytes_per_token(shape) * tokens / tp
    inputs = BF16_BYTES * shape.d_model * tokens / tp
    activations = shape.n_layers * inputs + kept if is_recomputed else shape.n_layers * kept
    return states + (gathered if dp > 1 else 0.0) + activations + logits


def activation_bytes_per_token(shape: ModelShape) -> float:
    """Bytes per token that one block keeps for its backward pass, with fused attention and no dropout.

    Inputs of two norms, of q/k/v, of the output projection and of the feed-forward layer; q, k, v; the feed-forward layer's
    inner activations, two of width d_ff (four in swiglu). 32 d for GPT-2.

    Source: Korthikanti et al., arXiv 2205.05198, Section 4.1 (34 d, of which 2 d are dropout masks).
    """
    d, kv = shape.d_model, shape.kv_heads * shape.d_head
    n_inner = 4 if shape.feed_forward == "swiglu" else 2
    return float(BF16_BYTES * (2 * d + 3 * d + d + 2 * kv + n_inner * shape.d_ff))
