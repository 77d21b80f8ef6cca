"""AdamW seen as a moving average: which updates the final weights are made of.

AdamW moves theta to (1 - alpha_t) theta + alpha_t x_t with alpha_t = lr_t x weight_decay and x_t = -update_t /
weight_decay. So the final weights are an average of the x_t and of the initial weights.

Source: "Scaling with Collapse", Section 2, and D2Z (arXiv 2502.15938).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmaSummary:
    """What the final weights are an average of.

    Parameters
    ----------
    weight_left_on_init :
        Of the initial weights, in [0, 1]: how much of the start is not forgotten (bias).
    n_effective_updates :
        How many equally weighted updates would average as much noise away (variance).
    effective_share :
        The same as a fraction of all steps.
    largest_at :
        The step whose update weighs most, as a fraction of all steps.
    share_of_last_tenth :
        Of all updates' weight, what the last tenth of the steps has.
    """

    weight_left_on_init: float
    n_effective_updates: float
    effective_share: float
    largest_at: float
    share_of_last_tenth: float


def ema_summary(alpha: Floats) -> EmaSummary:
    """The average that AdamW takes.

    Parameters
    ----------
    alpha :
        (n_steps,), each in [0, 1], not all 0: learning rate of the tensor times its weight decay.
    """
    coefficients = ema_coefficients(alpha)
    n_steps = len(alpha)
    effective = n_effective_updates(coefficients)
    n_last = max(1, round(0.1 * n_steps))
    return EmaSummary(
        weight_left_on_init=weight_left_on_init(alpha),
        n_effective_updates=effective,
        effective_share=effective / n_steps,
        largest_at=float(coefficients.argmax() + 1) / n_steps,
        share_of_last_tenth=float(coefficients[-n_last:].sum() / coefficients.sum()),
    )


def ema_coefficients(alpha: Floats) -> Floats:
    """Weight of each update in the final weights: c_i = alpha_i prod_{j > i} (1 - alpha_j), (n_steps,) float64.

    Parameters
    ----------
    alpha :
        As in `ema_summary`.
    """
    kept_after = np.ones_like(alpha)
    kept_after[:-1] = np.cumprod((1.0 - alpha)[::-1])[::-1][1:]
    coefficients: Floats = alpha * kept_after
    return coefficients


def weight_left_on_init(alpha: Floats) -> float:
    """Weight of the initial weights in the final ones: prod_j (1 - alpha_j)."""
    return float(np.prod(1.0 - alpha))


def n_effective_updates(coefficients: Floats) -> float:
    """How many equally weighted updates would average as much noise away: (sum c)^2 / sum c^2."""
    return float(coefficients.sum() ** 2 / np.square(coefficients).sum())


def timescale_steps(lr: float, weight_decay: float) -> float:
    """Steps over which AdamW averages at a constant learning rate: 1/(eta lambda).

    Parameters
    ----------
    lr :
        Peak learning rate of the tensor itself: of a hidden matrix the width-adjusted one, not the base.
    """
    return 1.0 / (lr * weight_decay)


def timescale(lr: float, weight_decay: float, n_steps: int) -> float:
    """The same as a fraction of the run: tau = 1/(eta lambda T) = B/(eta lambda D), D tokens in batches of B.

    Source: "Scaling with Collapse", Section 2; Power Lines (arXiv 2505.13738).
    """
    return timescale_steps(lr, weight_decay) / n_steps
