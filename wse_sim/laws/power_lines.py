"""What batch and what weight decay a run should have: the power lines of its tokens and its size."""

from typing import Literal, get_args

import msgspec

from wse_sim.errors import SpecError
from wse_sim.laws.published import Amount, published_laws
from wse_sim.spec.sourced import Sourced, assumed_of

Line = Literal["timescale", "optimal_batch", "critical_batch"]
_LINES: tuple[Line, ...] = get_args(Line)
_PARTS = ("factor", "exponent")


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """Hyper-parameters of least loss for a run, projected.

    Parameters
    ----------
    timescale :
        AdamW timescale B / (lr x weight_decay x D), as a fraction of the run.
    optimal_batch_size :
        Sequences per step of least loss.
    critical_batch_size :
        Sequences per step beyond which more parallelism buys ever less.
    batch_size :
        Sequences per step that the two below belong to: the one asked about, or the optimal one.
    lr_times_weight_decay :
        Of the hidden layers at `batch_size`, at the peak of the schedule.
    peak_lr, weight_decay :
        Weight decay that goes with this learning rate, both None where none was given.
    uncertain :
        Coefficients, by their names in data/laws.toml, that were not checked against the paper.
    """

    timescale: float
    optimal_batch_size: float
    critical_batch_size: float
    batch_size: float
    lr_times_weight_decay: float
    peak_lr: float | None
    weight_decay: float | None
    uncertain: tuple[str, ...]


def optimal_timescale(tokens_per_parameter: float) -> float:
    """AdamW timescale of least loss, as a fraction of the run.

    Source: Power Lines, arXiv 2505.13738: tau_opt is a power of the tokens per parameter.
    """
    return published_laws().power_lines.timescale.at(tokens_per_parameter)


def optimal_weight_decay(*, batch_tokens: float, peak_lr: float, tokens: float, timescale: float) -> float:
    """Weight decay that gives a run this AdamW timescale: in proportion to the batch, at one learning rate.

    Parameters
    ----------
    batch_tokens :
        Per optimizer step.
    peak_lr :
        Of the hidden layers, after the parameterization's factor for width and density.
    tokens :
        Of the whole run.

    Source: Power Lines, arXiv 2505.13738: lambda_opt = B / (eta D tau_opt).
    """
    return batch_tokens / (peak_lr * tokens * timescale)


def optimal_batch_tokens(tokens: Amount) -> Amount:
    """Tokens per step of least loss for a run of `tokens` tokens, whatever the model's size."""
    lines = published_laws().power_lines
    return lines.optimal_batch.at(tokens) * lines.batch_seq_len.value


def critical_batch_tokens(tokens: Amount) -> Amount:
    """Tokens per step beyond which a larger batch saves ever fewer steps, for a run of `tokens` tokens."""
    lines = published_laws().power_lines
    return lines.critical_batch.at(tokens) * lines.batch_seq_len.value


def recommend(
    *,
    tokens: float,
    parameters: float,
    seq_len: int,
    batch_size: int | None = None,
    peak_lr: float | None = None,
) -> Recommendation:
    """Batch, timescale and weight decay for a run.

    Parameters
    ----------
    batch_size :
        Sequences per step; None = the optimal one.
    peak_lr :
        Of the hidden layers; None = only its product with the weight decay is given.

    Raises
    ------
    SpecError
        When tokens or parameters are not above 0.

    Source: Bergsma et al., Power Lines, arXiv 2505.13738.
    """
    if not (tokens > 0 and parameters > 0):
        raise SpecError(f"tokens is {tokens} and parameters {parameters}: both must be above 0")
    timescale = optimal_timescale(tokens / parameters)
    optimal = optimal_batch_tokens(tokens) / seq_len
    batch = optimal if batch_size is None else float(batch_size)
    product = optimal_weight_decay(batch_tokens=batch * seq_len, peak_lr=1.0, tokens=tokens, timescale=timescale)
    return Recommendation(
        timescale=timescale,
        optimal_batch_size=optimal,
        critical_batch_size=critical_batch_tokens(tokens) / seq_len,
        batch_size=batch,
        lr_times_weight_decay=product,
        peak_lr=peak_lr,
        weight_decay=None if peak_lr is None else product / peak_lr,
        uncertain=tuple(uncertain_coefficients(*_LINES)),
    )


def uncertain_coefficients(*lines: Line) -> dict[str, Sourced]:
    """Coefficients of these power lines, by their names in data/laws.toml, that were not checked against the paper."""
    powers = {line: getattr(published_laws().power_lines, line) for line in lines}
    sourced = {f"{line}.{part}": getattr(power, part) for line, power in powers.items() for part in _PARTS}
    return assumed_of(sourced)
