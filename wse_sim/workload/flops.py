"""Floating-point operations per trained token, one function per term.

A trained token passes forward once and backward once; backward costs twice what forward costs, so every term below is
three times its forward part, but for the embedding's. Attention is counted over the full square of positions.
Recomputation is never counted: it is work of the machine, not of the model.
"""

from typing import Any, Literal

from wse_sim.errors import choose
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.workload.transformer import linear_weights, n_parameters

Convention = Literal["6nd", "palm", "algorithmic", "paper"]
CONVENTIONS: tuple[Convention, ...] = ("6nd", "palm", "algorithmic", "paper")


def linear_flops(shape: ModelShape, density: float = 1.0) -> float:
    """FLOPs per trained token in the linear layers of all blocks; masked weights cost nothing.

    Source: Cerebras-GPT, arXiv 2304.03208, Appendix F; SPDF, arXiv 2303.10464 (density).
    """
    return 6.0 * density * linear_weights(shape)


def attention_flops(shape: ModelShape, seq_len: int) -> float:
    """FLOPs per trained token in the two products of attention (QK^T, and softmax times V), full square.

    Source: PaLM, arXiv 2204.02311, Appendix B.
    """
    return 12.0 * shape.n_layers * seq_len * shape.d_model


def logits_flops(shape: ModelShape) -> float:
    """FLOPs per trained token in the output layer, tied or not, at the positions that have logits."""
    return 6.0 * shape.d_model * shape.vocab_size * shape.logits_fraction


def embedding_flops(shape: ModelShape) -> float:
    """FLOPs per trained token in the token embedding, seen as a product with one-hot vectors.

    Forward and weight gradient only: nothing lies before the embedding that would need its input's gradient.

    Source: Cerebras-GPT, arXiv 2304.03208, Appendix F.
    """
    return 4.0 * shape.d_model * shape.vocab_size


def softmax_flops(shape: ModelShape, seq_len: int) -> float:
    """FLOPs per trained token in the softmax of attention: three per score forward, six backward."""
    return 9.0 * shape.n_layers * shape.n_heads * seq_len


def training_flops_per_token(
    shape: ModelShape, seq_len: int, density: float = 1.0, convention: Convention = "palm"
) -> float:
    """FLOPs per trained token as `convention` counts them; masked weights cost nothing in any of them.

    Parameters
    ----------
    density :
        Fraction of the linear layers' weights that is kept.
    convention :
        `6nd`: 6 N, N all parameters with the embedding, without attention.
        `palm`: 6 N + 12 L d s, the one behind every MFU here.
        `algorithmic`: linear + attention + output + embedding + softmax.
        `paper`: the same with attention twice, which is what reproduces Cerebras-GPT's Table 8 for all seven models;
        that the paper counts attention so is our inference. Eq. 1 of that paper takes FLOPs of this kind.

    Raises
    ------
    SpecError
        When the convention is unknown or the density is not in (0, 1].

    Source: PaLM, arXiv 2204.02311, Appendix B; Cerebras-GPT, arXiv 2304.03208, Appendix F and Table 8.
    """
    choose(convention, CONVENTIONS, "FLOP convention")
    check_number("density", density)
    check_number("seq_len", seq_len)
    if convention in ("6nd", "palm"):
        masked = (1.0 - density) * linear_weights(shape)
        attention = attention_flops(shape, seq_len) if convention == "palm" else 0.0
        return 6.0 * (n_parameters(shape) - masked) + attention
    n_attention = 2.0 if convention == "paper" else 1.0
    return (
        linear_flops(shape, density)
        + n_attention * attention_flops(shape, seq_len)
        + logits_flops(shape)
        + embedding_flops(shape)
        + softmax_flops(shape, seq_len)
    )


def model_flops_utilisation(
    shape: ModelShape, seq_len: int, density: float, *, tokens_per_s: float, peak_flops_per_s: float
) -> dict[str, Any]:
    """FLOPs per second that the model needs over the peak, by field of a result: zeros not counted, and counted."""
    needed, dense = (training_flops_per_token(shape, seq_len, rho) * tokens_per_s for rho in (density, 1.0))
    return {"mfu": needed / peak_flops_per_s, "dense_equivalent_mfu": dense / peak_flops_per_s}


def flop_reduction(shape: ModelShape, *, seq_len: int, density: float) -> float:
    """How many times fewer training FLOPs the sparse model needs than the dense one.

    Linear layers, attention and output layer; no embedding term and no softmax. The ratio that SPDF and the vendor's
    statements use: 2.5 for GPT-3 XL at a quarter of the weights.

    Source: SPDF, arXiv 2303.10464, Section 3.
    """
    check_number("density", density)
    rest = attention_flops(shape, seq_len) + logits_flops(shape)
    return (linear_flops(shape) + rest) / (linear_flops(shape, density) + rest)
