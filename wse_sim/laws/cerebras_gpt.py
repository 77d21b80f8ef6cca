"""The loss that a model would reach by the published law of Cerebras-GPT, with a correction for sparsity."""

import math

import msgspec
import numpy as np

from wse_sim.errors import SpecError
from wse_sim.laws.form import Floats
from wse_sim.laws.published import published_laws
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import Convention, training_flops_per_token
from wse_sim.workload.transformer import linear_weights, n_parameters, nonzero_parameters

N_SIGMAS = 2.0
_SAME_TPP = 0.01
_FAR = 1e3  # times less or more compute than any model that a law was fitted to
CONVENTION: Convention = "paper"  # of the FLOPs that Eq. 1 takes


class LossProjection(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that a law predicts, in nats per token of the Pile's test set with the GPT-2 vocabulary.

    Parameters
    ----------
    low, high :
        The range in which the law's authors, or the authors of the correction for sparsity, would not be surprised.
    effective_flops :
        Compute that Eq. 1 was asked about: of the dense-equivalent model at 20 tokens per parameter, convention
        `paper`.
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


def knows_loss_of(shape: ModelShape) -> bool:
    """Whether the law is of models like `shape`: they predict every next token, which encoders do not."""
    return shape.logits_fraction == 1.0


def dense_equivalent_parameters(nonzeros: float, density: float) -> float:
    """Parameters of the dense model that reaches the loss of a sparse one with `nonzeros` weights left.

    More than `nonzeros`, less than the sparse model has with its zeros.

    Source: Frantar et al., arXiv 2309.08520, Eq. 1 (the term in N, equal for both models), coefficients of T5 on C4.
    """
    return published_laws().sparse_t5.dense_equivalent(nonzeros, density)


def dense_equivalent_size(shape: ModelShape, density: float) -> float:
    """Parameters of the dense model, embeddings included, that reaches the loss of `shape` at this density.

    Source: Frantar et al., arXiv 2309.08520, Eq. 1, for the linear layers; everything else is dense as it is.
    """
    nonzeros = nonzero_parameters(shape, density)
    kept = linear_weights(shape) - (n_parameters(shape) - nonzeros)
    return nonzeros - kept + dense_equivalent_parameters(kept, density)


def projected_losses(
    shape: ModelShape, sizes: Floats | float, tokens: Floats | float, *, seq_len: int, is_replication: bool = True
) -> Floats:
    """Losses of dense models like `shape` of `sizes` parameters after `tokens` tokens, elementwise.

    Eq. 1 of Cerebras-GPT at 20 tokens per parameter, where it was fitted, times how the loss changes from there with
    the tokens at the same size: L(N, D) / L(N, 20 N) of Hoffmann et al.

    Parameters
    ----------
    sizes :
        Parameters in all; `dense_equivalent_size` for a sparse model.
    is_replication :
        Coefficients of Besiroglu et al., who fitted the same runs again, and not those printed by Hoffmann et al.

    Source: Cerebras-GPT, arXiv 2304.03208, Eq. 1; Hoffmann et al., arXiv 2203.15556, Eq. 2; Besiroglu et al., arXiv
    2404.10102.
    """
    laws = published_laws()
    optimal = laws.cerebras_gpt_validity.tokens_per_parameter * np.asarray(sizes, float)
    chinchilla = laws.chinchilla_replication if is_replication else laws.chinchilla
    change = chinchilla.loss(sizes, tokens) / chinchilla.loss(sizes, optimal)
    return np.asarray(laws.cerebras_gpt.loss(_flops(shape, sizes, seq_len)) * change)


def project_loss(shape: ModelShape, *, density: float, tokens: float, seq_len: int | None = None) -> LossProjection:
    """The loss that a model of this shape and density would reach after `tokens` tokens; an encoder's is a decoder's.

    `projected_losses` at the dense model's size, or at the dense-equivalent one, plus or minus two standard deviations
    of the residuals of Eq. 1. The low end takes the equivalent size as published for pruned models; the high end lets
    each non-zero count as one dense parameter. Both take the less favourable of the two fits of Hoffmann's law.

    Parameters
    ----------
    density :
        Fraction of the linear layers' weights that is kept.
    seq_len :
        Tokens per sequence; None = the shape's own.

    Source: as `projected_losses`; Frantar et al., arXiv 2309.08520, Eq. 1.
    """
    if not tokens > 0:
        raise SpecError(f"tokens is {tokens}, it must be above 0")
    length = seq_len or shape.seq_len
    equivalent, nonzeros = dense_equivalent_size(shape, density), nonzero_parameters(shape, density)
    spread = N_SIGMAS * published_laws().cerebras_gpt_residual.relative_std

    def at(size: float) -> list[float]:
        return [
            float(projected_losses(shape, size, tokens, seq_len=length, is_replication=fit)) for fit in (True, False)
        ]

    expected, flops = at(equivalent), float(_flops(shape, equivalent, length))
    is_sparse = density < 1.0
    return LossProjection(
        value=expected[0],
        low=min(expected) * (1.0 - spread),
        high=max(at(nonzeros)) * (1.0 + spread),
        effective_flops=flops,
        law="Cerebras-GPT Eq. 1" + (" at the dense-equivalent size of Frantar et al." if is_sparse else ""),
        caveats=_caveats(shape, flops, tokens / equivalent, is_sparse=is_sparse),
    )


def outside_in_words(loss: float, flops: float) -> str:
    """Why the law has nothing to say of a model, though its formula gives a loss; "" where it has.

    Parameters
    ----------
    flops :
        As `LossProjection.effective_flops`.
    """
    valid = published_laws().cerebras_gpt_validity
    uniform = math.log(valid.vocab_size)
    if loss > uniform:
        guess = f"ln {valid.vocab_size:,} = {uniform:.1f}"
        return f"it would be {loss:.1f} nats/token, more than a uniform guess has ({guess})"
    if not valid.flops_low / _FAR <= flops <= valid.flops_high * _FAR:
        return f"{flops:.1e} FLOPs, fitted from {valid.flops_low:.1e} to {valid.flops_high:.1e}"
    return ""


def _flops(shape: ModelShape, sizes: Floats | float, seq_len: int) -> Floats:
    """Compute of dense models like `shape` at the tokens per parameter of Eq. 1, convention `paper`."""
    per_token = training_flops_per_token(shape, seq_len, convention=CONVENTION) / n_parameters(shape)
    tokens_per_parameter = published_laws().cerebras_gpt_validity.tokens_per_parameter
    return np.asarray(per_token * tokens_per_parameter * np.asarray(sizes, float) ** 2)


def _caveats(shape: ModelShape, flops: float, tokens_per_parameter: float, *, is_sparse: bool) -> tuple[str, ...]:
    valid = published_laws().cerebras_gpt_validity
    caveats = [
        "nats per token on the Pile's test set, GPT-2 vocabulary: not comparable with another corpus or tokenizer",
    ]
    if not knows_loss_of(shape):
        caveats.append(
            f"{shape.name} is an encoder, of which the law is not: the loss is that of a decoder of its size"
        )
    if not math.isclose(tokens_per_parameter, valid.tokens_per_parameter, rel_tol=_SAME_TPP):
        caveats.append(
            f"Eq. 1 was fitted at {valid.tokens_per_parameter:.0f} tokens per parameter, this run has "
            f"{tokens_per_parameter:.1f} (of the dense equivalent): the change is that of Hoffmann et al., another text"
        )
    if not valid.flops_low <= flops <= valid.flops_high:
        caveats.append(f"extrapolated: {flops:.1e} FLOPs, fitted from {valid.flops_low:.1e} to {valid.flops_high:.1e}")
    if is_sparse:
        caveats.append(
            "the equivalent size comes from gradual magnitude pruning, not from static masks, which are weaker; "
            "the high end lets a non-zero count as one dense parameter"
        )
    return tuple(caveats)
