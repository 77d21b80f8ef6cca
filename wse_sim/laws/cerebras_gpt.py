"""The loss that a model would reach by the published law of Cerebras-GPT, with a correction for sparsity."""

import math

import msgspec

from wse_sim.errors import SpecError
from wse_sim.laws.published import published_laws
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import Convention, training_flops_per_token
from wse_sim.workload.transformer import linear_weights, n_parameters, nonzero_parameters

N_SIGMAS = 2.0
_SAME_TPP = 0.01
CONVENTION: Convention = "paper"  # of the FLOPs that Eq. 1 takes


class LossProjection(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that a law predicts, in nats per token of the Pile's test set with the GPT-2 vocabulary.

    Parameters
    ----------
    low, high :
        The range in which the law's authors, or the authors of the correction for sparsity, would not be surprised.
    effective_flops :
        Compute that the law was asked about, as convention `paper` counts it.
    law :
        Name and source of the law.
    caveats :
        What the reader must know before using the number.
    """

    value: float
    low: float
    high: float
    effective_flops: float
    law: str
    caveats: tuple[str, ...]


def cerebras_gpt_loss(flops: float) -> float:
    """Loss of a dense model trained with `flops` FLOPs (convention `paper`) at 20 tokens per parameter.

    Nats per token on the Pile's test set, GPT-2 vocabulary, standard parameterization.

    Raises
    ------
    SpecError
        When `flops` is not above 0.

    Source: Cerebras-GPT, arXiv 2304.03208, Section 3.1, Eq. 1.
    """
    if not flops > 0:
        raise SpecError(f"the law needs FLOPs above 0, not {flops}")
    return float(published_laws().cerebras_gpt.loss(flops))


def dense_equivalent_parameters(nonzeros: float, density: float) -> float:
    """Parameters of the dense model that reaches the loss of a sparse one with `nonzeros` weights left.

    More than `nonzeros`, less than the sparse model has with its zeros.

    Source: Frantar et al., arXiv 2309.08520, Eq. 1 (the term in N, equal for both models), coefficients of T5 on C4.
    """
    return published_laws().sparse_t5.dense_equivalent(nonzeros, density)


def project_loss(shape: ModelShape, *, density: float, tokens: float, seq_len: int | None = None) -> LossProjection:
    """The loss that a model of this shape and density would reach after `tokens` tokens.

    Dense: Eq. 1 of Cerebras-GPT, plus or minus two standard deviations of its residuals. Sparse: Eq. 1 at the compute
    of the dense model times (equivalent size / size). The low end takes the equivalent size as published for pruned
    models, two standard deviations down; the high end lets each non-zero count as one dense parameter, two up.

    Parameters
    ----------
    density :
        Fraction of the linear layers' weights that is kept.
    seq_len :
        Tokens per sequence; None = the shape's own.

    Source: Cerebras-GPT, arXiv 2304.03208, Eq. 1; Frantar et al., arXiv 2309.08520, Eq. 1.
    """
    if not tokens > 0:
        raise SpecError(f"tokens is {tokens}, it must be above 0")
    per_token = training_flops_per_token(shape, seq_len or shape.seq_len, convention=CONVENTION)
    size, nonzeros = n_parameters(shape), nonzero_parameters(shape, density)
    kept = linear_weights(shape) - (size - nonzeros)
    equivalent = nonzeros - kept + dense_equivalent_parameters(kept, density)
    flops = per_token * tokens * equivalent / size
    spread = N_SIGMAS * published_laws().cerebras_gpt_residual.relative_std
    value = cerebras_gpt_loss(flops)
    is_sparse = density < 1.0
    return LossProjection(
        value=value,
        low=value * (1.0 - spread),
        high=cerebras_gpt_loss(per_token * tokens * nonzeros / size) * (1.0 + spread),
        effective_flops=flops,
        law="Cerebras-GPT Eq. 1" + (" at the dense-equivalent size of Frantar et al." if is_sparse else ""),
        caveats=_caveats(flops, tokens / size, is_sparse=is_sparse),
    )


def _caveats(flops: float, tokens_per_parameter: float, *, is_sparse: bool) -> tuple[str, ...]:
    valid = published_laws().cerebras_gpt_validity
    caveats = [
        "nats per token on the Pile's test set, GPT-2 vocabulary: not comparable with another corpus or tokenizer",
    ]
    if not math.isclose(tokens_per_parameter, valid.tokens_per_parameter, rel_tol=_SAME_TPP):
        caveats.append(
            f"the law was fitted at {valid.tokens_per_parameter:.0f} tokens per parameter; "
            f"this run has {tokens_per_parameter:.1f}"
        )
    if not valid.flops_low <= flops <= valid.flops_high:
        caveats.append(f"extrapolated: {flops:.1e} FLOPs, fitted from {valid.flops_low:.1e} to {valid.flops_high:.1e}")
    if is_sparse:
        caveats.append(
            "the equivalent size comes from gradual magnitude pruning, not from static masks, which are weaker; "
            "the high end lets a non-zero count as one dense parameter"
        )
    return tuple(caveats)
