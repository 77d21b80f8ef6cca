"""Learning rates as pure functions of the step, and AdamW seen as a moving average of its updates.

Steps count from 0 to n_steps - 1. Warm-up over W steps: step i gets (i + 1)/W of the peak, so the first step is not
lost on a learning rate of 0. After it the decay runs in x = (i - W)/(n_steps - W): the first step after warm-up is at
the peak, and a schedule that decays to zero reaches exactly 0 at i = n_steps, after the last step, so no step is lost
on it either.
"""

from training.schedules.ema import (
    EmaSummary,
    ema_coefficients,
    ema_summary,
    n_effective_updates,
    timescale,
    timescale_steps,
    weight_left_on_init,
)
from training.schedules.factor import FirstStepLr, lr_factor, lr_factors
from training.schedules.text import SCHEDULES, Schedule, canonical, parse_schedule, signature, split_schedules
from training.schedules.warmup import warmup_steps

__all__ = [
    "SCHEDULES",
    "EmaSummary",
    "FirstStepLr",
    "Schedule",
    "canonical",
    "ema_coefficients",
    "ema_summary",
    "lr_factor",
    "lr_factors",
    "n_effective_updates",
    "parse_schedule",
    "signature",
    "split_schedules",
    "timescale",
    "timescale_steps",
    "warmup_steps",
    "weight_left_on_init",
]
