"""Seconds that the kernels of one micro-batch take on one GPU: columns of layouts in, columns of seconds out.

A tensor-parallel group cuts every matrix, and every activation along the sequence, into `tp` equal parts; a
context-parallel group cuts the sequence.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.gpu.layout import IntArray, Job, Layouts
from wse_sim.gpu.spec import Precision
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_matrices

FloatArray = npt.NDArray[np.float64]

BF16_BYTES, FP8_BYTES, FP32_BYTES = 2, 1, 4
_BACKWARD_FUSED_ATTENTION = 2.5  # FlashAttention-2, arXiv 2307.08691, Section 4.1: five products for two


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTimes:
    """Seconds of one micro-batch in one block, and in the output layer with its loss; every field (n,)."""

    linear_forward_s: FloatArray
    attention_forward_s: FloatArray
    element_forward_s: FloatArray
    linear_backward_s: FloatArray
    attention_backward_s: FloatArray
    element_backward_s: FloatArray
    logits_matmul_s: FloatArray
    logits_memory_s: FloatArray

    @property
    def forward_s(self) -> FloatArray:
        return self.linear_forward_s + self.attention_forward_s + self.element_forward_s

    @property
    def backward_s(self) -> FloatArray:
        return self.linear_backward_s + self.attention_backward_s + self.element_backward_s

    @property
    def logits_s(self) -> FloatArray:
        """Forward and backward."""
        return self.logits_matmul_s + self.logits_memory_s


def block_times(job: Job, layouts: Layouts) -> BlockTimes:
    """Seconds of each kind of kernel."""
    tokens = layouts.microbatch * job.seq_len // layouts.cp
    linear_forward_s, linear_backward_s = _linear_s(job, tokens, layouts.tp)
    attention_forward_s, attention_backward_s = _attention_s(job, layouts)
    passes_forward, passes_backward = element_passes(job)
    element_s = BF16_BYTES * tokens / layouts.tp / _memory_bytes_per_s(job)
    logits_matmul_s, logits_memory_s = _logits_s(job, tokens, layouts.tp)
    return BlockTimes(
        linear_forward_s=linear_forward_s,
        attention_forward_s=attention_forward_s,
        element_forward_s=passes_forward * element_s,
        linear_backward_s=linear_backward_s,
        attention_backward_s=attention_backward_s,
        element_backward_s=passes_backward * element_s,
        logits_matmul_s=logits_matmul_s,
        logits_memory_s=logits_memory_s,
    )


def matmul_s(
    job: Job,
    m: IntArray | int,
    n: IntArray | int,
    k: IntArray | int,
    *,
    precision: Precision,
    speedup: float = 1.0,
    n_products: FloatArray | int = 1,
) -> FloatArray:
    """Seconds of the product of an (m, k) with a (k, n) matrix, or of `n_products` such products in one call.

    The output is cut into tiles, the tiles into waves of one per multiprocessor; too few tiles for a wave are cut
    along k. Each tile pays its start and end, whatever the precision. Never faster than its matrices pass through
    memory.
    """
    constants, gpu = job.constants, job.gpu
    rows, columns = constants.tile_rows.value, constants.tile_columns.value
    n_sms = gpu.n_sms.value
    n_tiles = n_products * np.ceil(np.asarray(m) / rows) * np.ceil(np.asarray(n) / columns)
    n_cuts = np.maximum(1.0, n_sms // n_tiles)
    n_waves = np.ceil(n_tiles * n_cuts / n_sms)
    per_depth_s = 2.0 * rows * columns * n_sms / job.software.rate_factor_on(gpu)
    inner_s = k / n_cuts / (gpu.sustained_flops_per_s(precision) * speedup)
    ends_s = constants.tile_overhead_depth.value / gpu.sustained_flops_per_s("bf16")
    read_bytes = FP8_BYTES if precision == "fp8" else BF16_BYTES
    memory_bytes = n_products * (read_bytes * (m * k + k * n) + BF16_BYTES * m * n)
    return np.asarray(np.maximum(n_waves * (inner_s + ends_s) * per_depth_s, memory_bytes / _memory_bytes_per_s(job)))


def element_passes(job: Job) -> tuple[float, float]:
    """Values of two bytes per token that the element-wise kernels of one block move, forward and backward.

    Fused: two norms (read and write d), two residual sums (read two, write one), rotation of queries and keys where
    there is one, the activation (read d_ff, twice with a gate, and write it). Backward: two norms and two sums of
    gradients of three passes each, the rotation, the activation with one read more, and the gate's write.

    Not fused: splitting and joining heads takes passes of its own, the gate's product too; rotation and RMSNorm work in
    32 bits, in pieces: an RMSNorm moves 36 bytes per value forward and 60 backward, a rotation 20 either way.
    """
    shape = job.shape
    d, kv, d_ff = shape.d_model, shape.kv_heads * shape.d_head, shape.d_ff
    is_gated, is_rotary, is_rms = shape.feed_forward == "swiglu", shape.positions == "rotary", shape.norm == "rmsnorm"
    if job.software.is_fused:
        rotation = 2 * (d + kv) if is_rotary else 0
        forward = 4 * d + 6 * d + rotation + (3 if is_gated else 2) * d_ff
        backward = 6 * d + 6 * d + rotation + (5 if is_gated else 3) * d_ff
    else:
        heads = 2 * (2 * d + 2 * kv)
        rotation = 10 * (d + kv) if is_rotary else 0
        norms_forward, norms_backward = (2 * 18 * d, 2 * 30 * d) if is_rms else (4 * d, 6 * d)
        n_passes = 5 if is_gated else 2
        forward = norms_forward + 6 * d + heads + rotation + n_passes * d_ff
        backward = norms_backward + 6 * d + heads + rotation + (n_passes + 1) * d_ff
    casts = _casts(shape) if job.precision == "fp8" else 0.0
    return float(forward + casts), float(backward + casts)


def _casts(shape: ModelShape) -> float:
    """To 8 bits: every linear layer's input, and going back its output's gradient, is read in 16 bits and written in 8,
    with its transpose: two passes.
    """
    return 2.0 * (3 * shape.d_model + shape.d_ff)


def _linear_s(job: Job, tokens: IntArray, tp: IntArray) -> tuple[FloatArray, FloatArray]:
    """Forward and backward seconds of the linear layers of one block.

    Products of the same input are one; the first of a pair of layers is cut along its outputs, the second along its
    inputs (Megatron-LM, arXiv 1909.08053, Section 3).
    """
    by_name = {matrix.name: matrix for matrix in linear_matrices(job.shape)}
    d = job.shape.d_model
    inner = sum(m.n_out for name, m in by_name.items() if name.startswith("ffn_") and name != "ffn_out")
    qkv = sum(by_name[name].n_out for name in ("q", "k", "v"))
    cut: list[tuple[IntArray | int, IntArray | int]] = [
        (-(-qkv // tp), d),
        (d, -(-d // tp)),
        (-(-inner // tp), d),
        (d, -(-job.shape.d_ff // tp)),
    ]
    speedup = job.constants.two_four_speedup.value if job.is_two_four else 1.0
    forward, backward = np.zeros(len(tokens)), np.zeros(len(tokens))
    for n_out, n_in in cut:
        forward += matmul_s(job, tokens, n_out, n_in, precision=job.precision, speedup=speedup)
        backward += matmul_s(job, tokens, n_in, n_out, precision=job.precision, speedup=speedup)
        backward += matmul_s(job, n_out, n_in, tokens, precision=job.precision)
    return forward, backward


def _attention_s(job: Job, layouts: Layouts) -> tuple[FloatArray, FloatArray]:
    """Seconds of attention in one block, forward and backward.

    Fused: the causal half of the square, at a fraction of the rate. Else all of it: two products for each head, whose
    inner or outer dimension is no more than the head's, and the scores' way through memory between them; four and the
    same way back.
    """
    shape, rows = job.shape, job.seq_len // layouts.cp
    n_heads = layouts.microbatch * shape.n_heads / layouts.tp
    if job.software.attention_fraction is not None:
        rate = job.gpu.sustained_flops_per_s("bf16") * job.software.rate_factor_on(job.gpu)
        flops = 4.0 * n_heads * rows * job.seq_len * shape.d_head / 2.0
        fused_s = np.asarray(flops / (rate * job.software.attention_fraction.value))
        return fused_s, _BACKWARD_FUSED_ATTENTION * fused_s
    scores_s = matmul_s(job, rows, job.seq_len, shape.d_head, precision="bf16", n_products=n_heads)
    values_s = matmul_s(job, rows, shape.d_head, job.seq_len, precision="bf16", n_products=n_heads)
    one_pass_s = n_heads * rows * job.seq_len / _memory_bytes_per_s(job)
    forward_s = scores_s + values_s + job.constants.score_bytes.value * one_pass_s
    return forward_s, 2.0 * (scores_s + values_s) + job.constants.score_backward_bytes.value * one_pass_s


def _logits_s(job: Job, tokens: IntArray, tp: IntArray) -> tuple[FloatArray, FloatArray]:
    """Output layer and loss, forward and backward: products, and memory traffic of the loss."""
    shape, constants = job.shape, job.constants
    rows = np.ceil(tokens * shape.logits_fraction).astype(np.int64)
    columns = -(-shape.vocab_size // tp)
    matmuls_s = sum(
        matmul_s(job, m, n, k, precision="bf16")
        for m, n, k in (
            (rows, columns, shape.d_model),
            (rows, shape.d_model, columns),
            (columns, shape.d_model, rows),
        )
    )
    moved = constants.fused_logits_bytes if job.software.is_fused else constants.unfused_logits_bytes
    return np.asarray(matmuls_s), moved.value * rows * columns / _memory_bytes_per_s(job)


def _memory_bytes_per_s(job: Job) -> float:
    return job.gpu.memory_bytes_per_s.value * job.constants.memory_fraction.value
