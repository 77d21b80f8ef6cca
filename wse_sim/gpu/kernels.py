"""Seconds that the kernels of one training step take on one GPU.

T stands for the tokens of one micro-batch. A tensor-parallel group of `tp` GPUs cuts every matrix, and every activation
along the sequence, into `tp` equal parts.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from wse_sim.gpu.spec import GpuSpec, TrainingConstants
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_matrices

BF16_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTimes:
    """Seconds of one micro-batch on one GPU, by kind of kernel; forward and backward where they differ in use.

    Parameters
    ----------
    linear_forward_s, attention_forward_s, elementwise_forward_s :
        Of all blocks, forward: the part that recomputation repeats.
    backward_s :
        Of all blocks, backward, by the same three kinds.
    logits_s :
        Output layer and loss, forward and backward.
    """

    linear_forward_s: float
    attention_forward_s: float
    elementwise_forward_s: float
    linear_backward_s: float
    attention_backward_s: float
    elementwise_backward_s: float
    logits_matmul_s: float
    logits_memory_s: float

    @property
    def forward_s(self) -> float:
        return self.linear_forward_s + self.attention_forward_s + self.elementwise_forward_s

    @property
    def backward_s(self) -> float:
        return self.linear_backward_s + self.attention_backward_s + self.elementwise_backward_s


def matmul_s(m: int, n: int, k: int, gpu: GpuSpec, constants: TrainingConstants) -> float:
    """Seconds of the product of an (m, k) with a (k, n) matrix.

    The output is cut into tiles, the tiles into waves of one per multiprocessor; too few tiles for a wave are cut
    along k. Each tile pays its start and end. Never faster than its three matrices pass through memory.
    """
    rows, columns = constants.tile_rows.value, constants.tile_columns.value
    n_sms = int(gpu.n_sms.value)
    n_tiles = ceil(m / rows) * ceil(n / columns)
    n_cuts = max(1, n_sms // n_tiles)
    n_waves = ceil(n_tiles * n_cuts / n_sms)
    depth = k / n_cuts + constants.tile_overhead_depth.value
    compute_s = n_waves * depth * 2.0 * rows * columns * n_sms / gpu.sustained_flops_per_s
    memory_s = BF16_BYTES * (m * k + k * n + m * n) / gpu.memory_bytes_per_s.value
    return max(compute_s, memory_s)


@lru_cache(maxsize=65536)
def kernel_times(
    shape: ModelShape, *, gpu: GpuSpec, constants: TrainingConstants, microbatch: int, seq_len: int, tp: int
) -> KernelTimes:
    """Seconds of one micro-batch of `microbatch` sequences of `seq_len` tokens."""
    tokens = microbatch * seq_len
    linear = [_linear_s(tokens, m.n_out, m.n_in, tp, gpu, constants) for m in linear_matrices(shape)]
    head = _linear_s(ceil(tokens * shape.logits_fraction), shape.vocab_size, shape.d_model, tp, gpu, constants)
    attention_s = _attention_forward_s(shape, tokens, seq_len, gpu, constants) / tp
    element_s = shape.n_layers * tokens / tp / gpu.memory_bytes_per_s.value
    logits_bytes = constants.logits_bytes_moved.value * tokens * shape.logits_fraction * shape.vocab_size / tp
    return KernelTimes(
        linear_forward_s=shape.n_layers * sum(forward for forward, _ in linear),
        linear_backward_s=shape.n_layers * sum(backward for _, backward in linear),
        attention_forward_s=attention_s,
        attention_backward_s=2.5
        * attention_s,  # FlashAttention-2, arXiv 2307.08691, Section 4.1: five products for two
        elementwise_forward_s=element_s * elementwise_bytes(shape)[0],
        elementwise_backward_s=element_s * elementwise_bytes(shape)[1],
        logits_matmul_s=sum(head),
        logits_memory_s=logits_bytes / gpu.memory_bytes_per_s.value,
    )


def elementwise_bytes(shape: ModelShape) -> tuple[float, float]:
    """Bytes per token that the unfused element-wise kernels of one block move through memory, forward and backward.

    Forward: two norms (read and write d), two residual sums (read two, write one), splitting and joining heads (read
    and write d + 2 kv + d), the activation (read and write d_ff; in swiglu its product with the other half too).
    Backward: two norms (read two, write one), two sums of gradients (read two, write one), heads as forward, the
    activation reads one more than forward.
    """
    d, kv, d_ff = shape.d_model, shape.kv_heads * shape.d_head, shape.d_ff
    heads = 2 * (2 * d + 2 * kv)
    n_passes = 5 if shape.feed_forward == "swiglu" else 2
    forward = 2 * 2 * d + 2 * 3 * d + heads + n_passes * d_ff
    backward = 2 * 3 * d + 2 * 3 * d + heads + (n_passes + 1) * d_ff
    return float(BF16_BYTES * forward), float(BF16_BYTES * backward)


def _linear_s(
    tokens: int, n_out: int, n_in: int, tp: int, gpu: GpuSpec, constants: TrainingConstants
) -> tuple[float, float]:
    """Forward and backward seconds of one linear layer, its output cut over `tp` GPUs."""
    n_out = ceil(n_out / tp)
    forward = matmul_s(tokens, n_out, n_in, gpu, constants)
    input_gradient = matmul_s(tokens, n_in, n_out, gpu, constants)
    weight_gradient = matmul_s(n_out, n_in, tokens, gpu, constants)
    return forward, input_gradient + weight_gradient


def _attention_forward_s(
    shape: ModelShape, tokens: int, seq_len: int, gpu: GpuSpec, constants: TrainingConstants
) -> float:
    """Seconds of fused attention, all blocks: the causal half of the square is computed, the other skipped."""
    flops = 4.0 * shape.n_layers * tokens * seq_len * shape.d_model / 2.0
    return flops / (gpu.sustained_flops_per_s * constants.attention_fraction.value)
