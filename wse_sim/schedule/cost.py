"""What each pass of a step costs: the only place where work meets hardware."""

import math
from dataclasses import dataclass

from wse_sim.schedule.placement import Placement
from wse_sim.spec.cluster import Csx
from wse_sim.spec.load import load_release
from wse_sim.spec.run import Run
from wse_sim.wafer.dataflow import ColumnWork, drawn_column_work
from wse_sim.workload.traffic import gradient_bytes, weight_stream_bytes
from wse_sim.workload.transformer import Matrix, linear_matrices, n_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One layer, forward or backward, for one micro-batch on one system.

    Parameters
    ----------
    linear_s, attention_s, logits_s, recompute_s, overhead_s :
        Time on the wafer, by what it is spent on.
    weight_bytes :
        Streamed in.
    gradient_bytes :
        Streamed out; 0 in a forward pass.
    updated_weights :
        Weights whose gradient this pass completes, so that the optimizer works on them.
    summed_weights :
        Weights whose gradient is only added up, for another pass to complete (the output layer's, where it is tied).
    waits_for :
        Name of the pass whose update, in the step before, these weights need; "" for none.
    """

    name: str
    linear_s: float = 0.0
    attention_s: float = 0.0
    logits_s: float = 0.0
    recompute_s: float = 0.0
    overhead_s: float
    weight_bytes: float = 0.0
    gradient_bytes: float = 0.0
    updated_weights: float = 0.0
    summed_weights: float = 0.0
    waits_for: str = ""

    @property
    def work_s(self) -> float:
        """Time on the wafer without the fixed part."""
        return self.linear_s + self.attention_s + self.logits_s + self.recompute_s


def step_passes(run: Run, csx: Csx, placement: Placement, microbatch: int) -> list[Pass]:
    """The passes of one micro-batch, in the order in which their weights are streamed.

    Embedding, blocks, output layer; then the output layer again (its weights are still there), the blocks in reverse,
    and the embedding, which needs no weights for its gradient.
    """
    cost = _Costs(run, csx, placement, microbatch)
    layers = range(run.shape.n_layers)
    return [
        cost.embedding_forward(),
        *(cost.block_forward(layer) for layer in layers),
        cost.output_forward(),
        cost.output_backward(),
        *(cost.block_backward(layer) for layer in reversed(layers)),
        cost.embedding_backward(),
    ]


class _Costs:
    """The rates of one run on one system, and the layers priced with them."""

    def __init__(self, run: Run, csx: Csx, placement: Placement, microbatch: int) -> None:
        self.run, self.shape, self.csx, self.placement = run, run.shape, csx, placement
        self.n_tokens = microbatch * run.seq_len
        rate = csx.peak_flops_per_s * load_release(run.release).value / lane_rounding(self.n_tokens, csx)
        self.linear_rate = rate * csx.linear_efficiency
        self.attention_rate = rate * csx.attention_efficiency
        matrices = linear_matrices(self.shape)
        self.block_nonzeros = sum(run.density * matrix.n_weights for matrix in matrices)
        block_weights = sum(matrix.n_weights for matrix in matrices)
        self.table_weights = float(self.shape.vocab_size * self.shape.d_model)
        positions = self.shape.seq_len * self.shape.d_model if self.shape.positions == "learned" else 0
        self.embedding_weights = self.table_weights + positions
        tables = self.embedding_weights + (0 if self.shape.is_tied else self.table_weights)
        self.block_vectors = (n_parameters(self.shape) - tables) / self.shape.n_layers - block_weights
        self.block_bytes = self._weight_bytes(block_weights, run.density) + self._weight_bytes(self.block_vectors)
        # Y = W X and dW = dY X^T run over W's input channels; dX = W^T dY over its output channels.
        self.forward_flops = self._linear_flops(matrices)
        self.transposed_flops = self._linear_flops([_transposed(matrix) for matrix in matrices])
        self.attention_flops = 4.0 * self.n_tokens * run.seq_len * self.shape.d_model
        self.logits_flops = 2.0 * self.n_tokens * self.table_weights * self.shape.logits_fraction

    def _linear_flops(self, matrices: tuple[Matrix, ...] | list[Matrix]) -> float:
        """FLOPs of the dense product that would take as long as the sparse one on its slowest columns."""
        return sum(2.0 * self.n_tokens * m.n_weights * matrix_work(m, self.run, self.csx).work_ratio for m in matrices)

    def _weight_bytes(self, n_weights: float, density: float = 1.0) -> float:
        return weight_stream_bytes(n_weights, density, self.csx.dense_weight_bytes, self.csx.nonzero_bytes)

    def _gradient_bytes(self, n_weights: float) -> float:
        return gradient_bytes(n_weights, 1.0, self.csx.gradient_bytes)

    def embedding_forward(self) -> Pass:
        return Pass(
            name="embedding forward",
            overhead_s=self.csx.layer_overhead_s,
            weight_bytes=self._weight_bytes(self.embedding_weights),
            waits_for="embedding backward",
        )

    def embedding_backward(self) -> Pass:
        return Pass(
            name="embedding backward",
            overhead_s=self.csx.layer_overhead_s,
            gradient_bytes=self._gradient_bytes(self.embedding_weights),
            updated_weights=self.embedding_weights,
        )

    def block_forward(self, layer: int) -> Pass:
        return Pass(
            name=f"block {layer} forward",
            linear_s=self.forward_flops / self.linear_rate,
            attention_s=self.attention_flops / self.attention_rate,
            overhead_s=self.csx.layer_overhead_s,
            weight_bytes=self.block_bytes,
            waits_for=f"block {layer} backward",
        )

    def block_backward(self, layer: int) -> Pass:
        linear_s = (self.forward_flops + self.transposed_flops) / self.linear_rate
        attention_s = 2 * self.attention_flops / self.attention_rate
        # The last blocks are the first to be needed again, so they are the ones that stay resident.
        is_recomputed = layer < self.shape.n_layers - self.placement.resident_layers
        forward_s = self.forward_flops / self.linear_rate + self.attention_flops / self.attention_rate
        n_weights = self.block_nonzeros + self.block_vectors
        return Pass(
            name=f"block {layer} backward",
            linear_s=linear_s,
            attention_s=attention_s,
            recompute_s=forward_s if is_recomputed else 0.0,
            overhead_s=self.csx.layer_overhead_s,
            weight_bytes=self.block_bytes,
            gradient_bytes=self._gradient_bytes(n_weights),
            updated_weights=n_weights,
        )

    def output_forward(self) -> Pass:
        return Pass(
            name="output forward",
            logits_s=self.logits_flops / self.linear_rate,
            overhead_s=self.csx.layer_overhead_s,
            weight_bytes=self._weight_bytes(self.table_weights),
            waits_for="embedding backward" if self.shape.is_tied else "output backward",
        )

    def output_backward(self) -> Pass:
        return Pass(
            name="output backward",
            logits_s=2 * self.logits_flops / self.linear_rate,
            overhead_s=self.csx.layer_overhead_s,
            gradient_bytes=self._gradient_bytes(self.table_weights),
            updated_weights=0.0 if self.shape.is_tied else self.table_weights,
            summed_weights=self.table_weights if self.shape.is_tied else 0.0,
        )


def matrix_work(matrix: Matrix, run: Run, csx: Csx) -> ColumnWork:
    """What the non-zeros of one matrix ask of the wafer. The masks of one block are drawn and stand for all blocks."""
    return drawn_column_work(
        matrix.n_out, matrix.n_in, run.density, int(csx.mesh_width), int(csx.skew_window_rows), run.seed, matrix.name
    )


def lane_rounding(n_tokens: int, csx: Csx) -> float:
    """How much longer an AXPY takes because a core works on whole multiples of its lanes; 1 or more.

    Tokens lie along the mesh's height; each core's share of them is the length of its AXPY.
    """
    per_core = n_tokens / csx.mesh_height
    lanes = csx.fp16_fmac_per_cycle
    return math.ceil(per_core / lanes) * lanes / per_core


def _transposed(matrix: Matrix) -> Matrix:
    return Matrix(name=f"{matrix.name} transposed", n_out=matrix.n_in, n_in=matrix.n_out)
