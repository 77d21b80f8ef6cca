"""The linear layers of one block: what their non-zeros take on the mesh of cores, and where their weights go."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from wse_sim.schedule.rates import Rates, transposed
from wse_sim.wafer.dataflow import LayerWork, drawn_work
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.transformer import Matrix, linear_matrices, vectors_per_block


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixWork:
    """One linear layer of a block on the mesh of cores, in the forward pass.

    Parameters
    ----------
    speedup :
        Time of the dense product over this one's; at most 1 / density.
    imbalance :
        Multiplications of the fullest columns over those of the mean; 1 or more.
    limit :
        What takes most of the time beyond the non-zeros' multiplications: "imbalance", "reduction", "broadcast" or
        "none".
    """

    matrix: str
    density: float
    speedup: float
    imbalance: float
    limit: str


class Block:
    """The linear layers of one block.

    Parameters
    ----------
    masks, trained_block :
        Of a trained run, and the block of it that stands for this one; None = random masks of the run's density.
    is_mask_update :
        The step also changes the masks, as `run.mask_updates` says.

    Attributes
    ----------
    forward_s, delta_s, gradient_s :
        Time of each pass, by what it is spent on.
    weight_bytes :
        Streamed in, each time.
    updated_weights, returned_weights, scored_weights :
        Weights that the optimizer updates, whose gradient is streamed out, and among which new masks are chosen.
    sparse_flops, dense_flops, gradient_flops :
        Of one product with every linear layer, masked weights not counted and counted; of the gradient of the weights.
    """

    def __init__(self, rates: Rates, masks: RunMasks | None, trained_block: int, *, is_mask_update: bool) -> None:
        self.rates, self.masks, self.trained_block = rates, masks, trained_block
        matrices = self.matrices = linear_matrices(rates.run.shape)
        self.works = [self._work(matrix, is_transposed=False) for matrix in matrices]
        self.forward_s = _added(map(self._product_s, matrices, self.works))
        self.delta_s = _added(
            self._product_s(transposed(matrix), self._work(matrix, is_transposed=True)) for matrix in matrices
        )
        updates = rates.run.mask_updates if is_mask_update else None
        # RigL grows weights by their gradient, so that in such a step every weight has one.
        has_all_gradients = updates is not None and updates.algorithm == "rigl"
        self.gradient_s = _added(
            self._gradient_s(matrix, work, is_dense=has_all_gradients)
            for matrix, work in zip(matrices, self.works, strict=True)
        )
        n_weights = sum(matrix.n_weights for matrix in matrices)
        n_nonzeros = sum(work.density * matrix.n_weights for matrix, work in zip(matrices, self.works, strict=True))
        vectors = vectors_per_block(rates.run.shape)
        self.weight_bytes = rates.weight_bytes(n_weights, n_nonzeros / n_weights) + rates.weight_bytes(vectors)
        self.updated_weights = n_nonzeros + vectors
        self.returned_weights = n_weights + vectors if has_all_gradients else self.updated_weights
        self.sparse_flops, self.dense_flops = rates.product_flops(n_nonzeros), rates.product_flops(n_weights)
        self.gradient_flops = self.dense_flops if has_all_gradients else self.sparse_flops
        self.scored_weights = 0.0 if updates is None else n_weights if has_all_gradients else n_nonzeros

    def matrix_works(self) -> list[MatrixWork]:
        """Each linear layer on the mesh of cores, forwards."""
        return [
            MatrixWork(
                matrix=matrix.name,
                density=work.density,
                speedup=1.0 / work.work_ratio,
                imbalance=work.imbalance,
                limit=work.limit,
            )
            for matrix, work in zip(self.matrices, self.works, strict=True)
        ]

    def _work(self, matrix: Matrix, *, is_transposed: bool) -> LayerWork:
        run, mesh, n_tokens = self.rates.run, self.rates.mesh, self.rates.n_tokens
        if self.masks is not None:
            return self.masks.work(matrix, self.trained_block, mesh, n_tokens, seed=run.seed, transposed=is_transposed)
        drawn = transposed(matrix) if is_transposed else matrix
        return drawn_work(drawn.n_out, drawn.n_in, run.density, mesh, n_tokens, run.seed, drawn.name)

    def _product_s(self, matrix: Matrix, work: LayerWork) -> dict[str, float]:
        full_s, parts = self.rates.full_lanes_s(matrix), work.parts
        return {
            "linear": full_s * parts.multiply,
            "imbalance": full_s * parts.imbalance,
            "broadcast": full_s * parts.broadcast,
            "reduction": full_s * parts.reduction,
            "rounding": full_s * work.work_ratio * (self.rates.rounding(matrix) - 1.0),
        }

    def _gradient_s(self, matrix: Matrix, work: LayerWork, *, is_dense: bool) -> dict[str, float]:
        """dW = dY X^T, of the non-zeros only: the columns of cores have as much to do as forwards."""
        full_s = self.rates.full_lanes_s(matrix)
        ratio = 1.0 if is_dense else work.multiply_ratio
        even = 1.0 if is_dense else ratio / work.imbalance
        return {
            "linear": full_s * even,
            "imbalance": full_s * (ratio - even),
            "rounding": full_s * ratio * (self.rates.rounding(matrix) - 1.0),
        }


def _added(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
