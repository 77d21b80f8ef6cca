"""Schedules side by side in one run: their learning rates, and the average that AdamW takes with each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.schedules.ema import EmaSummary, Floats, ema_coefficients, ema_summary
from training.schedules.factor import FirstStepLr, lr_factors
from training.schedules.setting import Setting
from training.schedules.text import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """One schedule in a run.

    Parameters
    ----------
    schedule :
        Its canonical text.
    lr_factors :
        (n_steps,), of the peak.
    coefficients :
        (n_steps,): weight of each update in the final weights of the run's first group of tensors.
    peak_lr :
        Of that group, for a factor of 1.
    """

    schedule: str
    lr_factors: Floats
    coefficients: Floats
    summary: EmaSummary
    peak_lr: float

    def as_dict(self) -> dict[str, Any]:
        """The figures without the curves."""
        return {
            "schedule": self.schedule,
            "lr_first": self.peak_lr * float(self.lr_factors[0]),
            "lr_largest": self.peak_lr * float(self.lr_factors.max()),
            "lr_last": self.peak_lr * float(self.lr_factors[-1]),
            **asdict(self.summary),
        }


def schedule_views(
    texts: Sequence[str], setting: Setting, first_step_lr: FirstStepLr = "first_increment"
) -> list[ScheduleView]:
    """Each of the schedules in the run; texts that mean the same give one.

    Raises
    ------
    SpecError
        When a text is no schedule, or a schedule does not fit the run.
    """
    group = setting.groups[0]
    views = []
    for text in dict.fromkeys(map(canonical, texts)):
        factors = lr_factors(text, setting.n_steps, setting.n_warmup_steps, first_step_lr)
        alpha = group.peak_lr * group.weight_decay * factors
        views.append(
            ScheduleView(
                schedule=text,
                lr_factors=factors,
                coefficients=ema_coefficients(alpha),
                summary=ema_summary(alpha),
                peak_lr=group.peak_lr,
            )
        )
    return views
