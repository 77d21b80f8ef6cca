"""How fast one system works on one micro-batch, and what its weights and gradients take on the wire."""

from functools import cached_property

from wse_sim.spec.cluster import Csx
from wse_sim.spec.load import load_release
from wse_sim.spec.run import Run
from wse_sim.wafer.mesh import Mesh
from wse_sim.workload.traffic import gradient_bytes, weight_stream_bytes
from wse_sim.workload.transformer import Matrix


class Rates:
    """The rates of one run on one system, `n_tokens` of a micro-batch at a time, or an array of such numbers."""

    def __init__(self, run: Run, csx: Csx, n_tokens: int) -> None:
        self.run, self.csx, self.n_tokens = run, csx, n_tokens
        self.flops_per_s = csx.peak_flops_per_s * load_release(run.release).value

    @cached_property
    def mesh(self) -> Mesh:
        csx = self.csx
        return Mesh(
            width=int(csx.mesh_width),
            height=int(csx.mesh_height),
            lanes=int(csx.fp16_fmac_per_cycle),
            efficiency=csx.linear_efficiency,
            window_rows=int(csx.skew_window_rows),
            sums_per_cycle=csx.sums_per_cycle,
            row_issue_cycles=csx.row_issue_cycles,
        )

    @cached_property
    def attention_flops(self) -> float:
        """One layer forward: scores and their products with the values, the full square."""
        return 4.0 * self.n_tokens * self.run.seq_len * self.run.shape.d_model

    @cached_property
    def attention_s(self) -> float:
        """One layer forward, as `attention_flops`."""
        return self.attention_flops / (self.flops_per_s * self.csx.attention_efficiency)

    def product_flops(self, n_weights: float) -> float:
        """The product of every token with `n_weights`."""
        return 2.0 * self.n_tokens * n_weights

    def full_lanes_s(self, matrix: Matrix) -> float:
        """The dense product with one matrix, if every lane and column were full."""
        return self.product_flops(matrix.n_weights) / (self.flops_per_s * self.csx.linear_efficiency)

    def rounding(self, matrix: Matrix) -> float:
        """How much longer a product takes because not every lane and column is full; 1 or more.

        A core works on whole multiples of its lanes: tokens lie along the mesh's height, and each core's share of them
        is the length of its AXPY. A column of cores holds whole channels, and the fullest one sets the time.
        """
        csx = self.csx
        per_core, lanes = self.n_tokens / csx.mesh_height, csx.fp16_fmac_per_cycle
        per_column = matrix.n_in / csx.mesh_width
        return -(-per_core // lanes) * lanes / per_core * (1.0 + csx.unfilled_channels / per_column)

    def weight_bytes(self, n_weights: float, density: float = 1.0) -> float:
        """On the wire, once."""
        return weight_stream_bytes(n_weights, density, self.csx.dense_weight_bytes, self.csx.nonzero_bytes)

    def gradient_bytes(self, n_weights: float) -> float:
        """On the wire, once."""
        return gradient_bytes(n_weights, 1.0, self.csx.gradient_bytes)


def transposed(matrix: Matrix) -> Matrix:
    """The matrix of dX = W^T dY, where `matrix` is that of Y = W X."""
    return Matrix(name=f"{matrix.name} transposed", n_out=matrix.n_in, n_in=matrix.n_out)
