"""Learning rates as pure functions of the step, and AdamW seen as a moving average of its updates.

Steps count from 0 to n_steps - 1. Warm-up over W steps: step i gets (i + 1)/W of the peak, so the first step is not
lost on a learning rate of 0. After it the decay runs in x = (i - W)/(n_steps - W): the first step after warm-up is at
the peak, and a schedule that decays to zero reaches exactly 0 at i = n_steps, after the last step, so no step is lost
on it either.

Source: D2Z (arXiv 2502.15938); shapes of `step` (drop to a tenth at 90 %) and `wsd` (last 20 % linear) are our choice.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError, choose

_FLOOR = 0.1  # the "10x" schedules end at a tenth of the peak
_COOLDOWN = 0.2
_DROP_AT = 0.9

Floats = npt.NDArray[np.float64]

# Fraction of the peak at x in [0, 1], after warm-up.
_DECAY: Mapping[str, Callable[[float], float]] = {
    "constant": lambda x: 1.0,
    "linear": lambda x: 1.0 - x,
    "linear_10x": lambda x: 1.0 - (1.0 - _FLOOR) * x,
    "cosine": lambda x: 0.5 * (1.0 + math.cos(math.pi * x)),
    "cosine_10x": lambda x: _FLOOR + (1.0 - _FLOOR) * 0.5 * (1.0 + math.cos(math.pi * x)),
    "wsd": lambda x: min(1.0, (1.0 - x) / _COOLDOWN),
    "step": lambda x: 1.0 if x < _DROP_AT else _FLOOR,
}
_INVERSE_SQRT = "inverse_sqrt"
SCHEDULES: Mapping[str, str] = {
    "constant": "flat at the peak",
    "linear": "straight to zero (D2Z)",
    "linear_10x": "straight to a tenth of the peak",
    "cosine": "half a cosine to zero",
    "cosine_10x": "half a cosine to a tenth of the peak",
    "wsd": "warm-up, stable, decay: flat, then straight to zero over the last fifth",
    "inverse_sqrt": "falls as 1/sqrt(step) after warm-up",
    "step": "flat, then a tenth of the peak for the last tenth",
}


def lr_factor(name: str, step: int, n_steps: int, n_warmup_steps: int) -> float:
    """Fraction of the peak learning rate at a step, in [0, 1].

    Parameters
    ----------
    name :
        A key of `SCHEDULES`.
    step :
        From 0; at `n_steps` and later the value that the schedule ends on.
    n_warmup_steps :
        W, smaller than n_steps.

    Raises
    ------
    SpecError
        For an unknown schedule, or a warm-up that leaves no step.
    """
    choose(name, SCHEDULES, "schedule")
    if not 0 <= n_warmup_steps < n_steps:
        raise SpecError(f"warm-up of {n_warmup_steps} steps in a run of {n_steps}: it must leave at least one step")
    if step < n_warmup_steps:
        return (step + 1) / n_warmup_steps
    if name == _INVERSE_SQRT:
        return math.sqrt(max(n_warmup_steps, 1) / max(step, 1))
    return _DECAY[name](min(1.0, (step - n_warmup_steps) / (n_steps - n_warmup_steps)))


def lr_factors(name: str, n_steps: int, n_warmup_steps: int) -> Floats:
    """`lr_factor` of every step: (n_steps,) float64."""
    return np.array([lr_factor(name, step, n_steps, n_warmup_steps) for step in range(n_steps)])


def ema_coefficients(alpha: Floats) -> Floats:
    """Weight of each update in the final weights: (n_steps,) float64.

    AdamW moves theta to (1 - alpha_t) theta + alpha_t x_t with alpha_t = lr_t x weight_decay and
    x_t = -update_t / weight_decay, so the final weights are an average of the x_t.

    Parameters
    ----------
    alpha :
        (n_steps,), each in [0, 1]: learning rate of the tensor times its weight decay.

    Source: "Scaling with Collapse" Section 2: c_i = alpha_i prod_{j > i} (1 - alpha_j).
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
