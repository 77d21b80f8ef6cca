"""What a transformer is made of: its weight matrices and how many parameters it has."""

from dataclasses import dataclass

from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.workload.sparsity import exact_nonzeros


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One weight matrix of a block: y = W x, W of (n_out, n_in)."""

    name: str
    n_out: int
    n_in: int

    @property
    def n_weights(self) -> int:
        return self.n_out * self.n_in


def linear_matrices(shape: ModelShape) -> tuple[Matrix, ...]:
    """The linear layers of one block, in the order in which a forward pass uses them.

    These, and only these, are made sparse: attention has no weights of its own, embedding and output stay dense.

    Source: Cerebras-GPT, arXiv 2304.03208, Section 2 (GPT-2 block); SwiGLU, arXiv 2002.05202; grouped keys, arXiv
    2305.13245.
    """
    d, kv = shape.d_model, shape.kv_heads * shape.d_head
    ffn_in = ("ffn_gate", "ffn_up") if shape.feed_forward == "swiglu" else ("ffn_in",)
    return (
        Matrix(name="q", n_out=d, n_in=d),
        Matrix(name="k", n_out=kv, n_in=d),
        Matrix(name="v", n_out=kv, n_in=d),
        Matrix(name="attention_out", n_out=d, n_in=d),
        *(Matrix(name=name, n_out=shape.d_ff, n_in=d) for name in ffn_in),
        Matrix(name="ffn_out", n_out=d, n_in=shape.d_ff),
    )


def linear_weights(shape: ModelShape) -> int:
    """Weights of the linear layers of all blocks, without biases."""
    return shape.n_layers * sum(matrix.n_weights for matrix in linear_matrices(shape))


def embedding_weights(shape: ModelShape) -> int:
    """Weights of the token embedding, the learned positions and, where it is not tied, the output layer."""
    tokens = shape.vocab_size * shape.d_model * (1 if shape.is_tied else 2)
    positions = shape.seq_len * shape.d_model if shape.positions == "learned" else 0
    return tokens + positions


def n_parameters(shape: ModelShape) -> int:
    """All parameters: embeddings, linear layers, and norms and biases.

    Two norms per block and one at the end, each with a gain; where the shape has biases, one in each LayerNorm and one
    per output of each linear layer; the output layer has none. For the GPT-2 layout this is
    V d + s d + L (12 d^2 + 13 d) + 2 d, exact for Cerebras-GPT; it is exact for LLaMA too. It is approximate where a
    family differs: GPT-J and BERT say so in their data files.

    Source: Cerebras-GPT, arXiv 2304.03208, Appendix E Table 12.
    """
    return embedding_weights(shape) + linear_weights(shape) + _norms_and_biases(shape)


def vectors_per_block(shape: ModelShape) -> float:
    """Parameters of norms and biases for each block; the last norm is shared out among the blocks."""
    return _norms_and_biases(shape) / shape.n_layers


def nonzero_parameters(shape: ModelShape, density: float) -> int:
    """Parameters that are not masked when every linear layer keeps the fraction `density` of its weights.

    Each matrix keeps its own exact number (`exact_nonzeros`); everything else stays dense.

    Source: SPDF, arXiv 2303.10464 (which layers are sparse); SμPar, arXiv 2405.15743, Section 4 (uniform density).
    """
    check_number("density", density)
    kept = sum(exact_nonzeros(matrix.n_weights, density) for matrix in linear_matrices(shape))
    return n_parameters(shape) - linear_weights(shape) + shape.n_layers * kept


def _norms_and_biases(shape: ModelShape) -> int:
    vectors_per_norm = 2 if shape.has_biases and shape.norm == "layernorm" else 1
    norms = vectors_per_norm * shape.d_model * (2 * shape.n_layers + 1)
    biases = sum(matrix.n_out for matrix in linear_matrices(shape)) if shape.has_biases else 0
    return norms + shape.n_layers * biases
