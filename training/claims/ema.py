"""Claim 10: AdamW's weights are a moving average of its updates, with the coefficients that the schedule says."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from training.claims.claim import Claim, Finding, Setting, Table
from training.claims.judgement import Check, concluded
from training.deterministic import deterministic
from training.schedules import ema_coefficients, lr_factors, weight_left_on_init
from training.schedules.setting import plain_setting
from training.schedules.view import ScheduleView, schedule_views
from wse_sim.report.curves import Curve, Panel

Floats = npt.NDArray[np.float64]

# For 11752 steps, 10 % warm-up, peak learning rate x weight decay = 2.025e-4: weight left on the initial weights,
# effective count over steps, share of the last tenth, place of the largest coefficient. Computed apart from this
# program. Whether a tenth of 11752 steps is 1175 or 1176 moves some of them by one in the last digit.
_EXPECTED: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "constant": (0.104, 0.682, 0.237, 1.00),
    "linear_10x": (0.273, 0.908, 0.048, 0.45),
    "cosine_10x": (0.273, 0.845, 0.035, 0.41),
    "linear": (0.304, 0.844, 0.019, 0.39),
    "cosine": (0.304, 0.742, 0.003, 0.38),
    "wsd": (0.129, 0.745, 0.073, 0.82),
}
_LAST_DIGITS: Final = (1e-3, 1e-3, 1e-3, 1e-2)
_LIMIT: Final = 1e-5
_N_STEPS, _N_WARMUP = 500, 50
_PEAK_LR, _WEIGHT_DECAY = 0.02, 0.5
_N_INPUTS, _N_OUTPUTS, _BATCH_SIZE = 16, 8, 32


def find(setting: Setting) -> Finding:
    """Rebuild the weights of a run for each schedule, and hold its averages against those expected."""
    errors = {schedule: rebuilding_error(schedule) for schedule in _EXPECTED}
    views = schedule_views(list(_EXPECTED), plain_setting())
    found = {view.schedule: _summary(view) for view in views}
    worst = max(errors.values())
    n_within = sum(_is_within(found[name], expected) for name, expected in _EXPECTED.items())
    n_equal = sum(a == b for name, expected in _EXPECTED.items() for a, b in zip(found[name], expected, strict=True))
    return concluded(
        setting,
        [
            Check(f"weights rebuilt from their updates with a relative error of {worst:.1e} at most", worst < _LIMIT),
            Check(
                f"{n_within} of {len(_EXPECTED)} schedules have the expected averages, {n_equal} of their "
                f"{sum(map(len, _EXPECTED.values()))} figures to the last digit and the others within one in it",
                n_within == len(_EXPECTED),
            ),
        ],
        setup=(
            f"A linear map from {_N_INPUTS} to {_N_OUTPUTS} numbers trains by AdamW in float64, {_N_STEPS} steps, "
            f"{_N_WARMUP} of them warm-up, peak learning rate {_PEAK_LR:g}, weight decay {_WEIGHT_DECAY:g}; each "
            "update is read off the optimizer's two moments, and the last weights are rebuilt from the first ones "
            "and the updates.",
            "The summaries are those of 11,752 steps, as the 610M model of Straight to Zero trains for.",
        ),
        tables=(_error_table(errors), _summary_table(found)),
        panels=[_panel(views)],
    )


def rebuilding_error(schedule: str, seed: int = 0) -> float:
    """Of the last weights of a run, rebuilt from their updates: norm of the difference over norm of the weights."""
    factors = np.asarray(lr_factors(schedule, _N_STEPS, _N_WARMUP))
    alpha = _PEAK_LR * _WEIGHT_DECAY * factors
    with deterministic(n_threads=1):  # threads would wait for each other longer than they multiply
        first, last, inputs = _train(factors, seed)
    rebuilt = weight_left_on_init(alpha) * first + np.tensordot(ema_coefficients(alpha), inputs, axes=1)
    return float(np.linalg.norm(rebuilt - last) / np.linalg.norm(last))


def _train(factors: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
    """First and last weights (n_outputs, n_inputs), and what AdamW averages: x_t = -update_t / weight decay."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    teacher, weight = normal(_N_OUTPUTS, _N_INPUTS), normal(_N_OUTPUTS, _N_INPUTS).requires_grad_()
    optimizer = torch.optim.AdamW([weight], betas=(0.9, 0.95), eps=1e-8, weight_decay=_WEIGHT_DECAY)
    first, inputs = weight.detach().clone(), []
    for factor in factors:
        optimizer.param_groups[0]["lr"] = _PEAK_LR * float(factor)
        x_BI = normal(_BATCH_SIZE, _N_INPUTS)
        targets_BO = x_BI @ teacher.T + normal(_BATCH_SIZE, _N_OUTPUTS)
        optimizer.zero_grad()
        (x_BI @ weight.T - targets_BO).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        inputs.append(_update(optimizer, weight) / -_WEIGHT_DECAY)
    return first.numpy(), weight.detach().numpy(), torch.stack(inputs).numpy()


def _update(optimizer: torch.optim.AdamW, weight: torch.Tensor) -> torch.Tensor:
    """The last step's m / (sqrt(v) + eps), both corrected for their start, from the optimizer's own state."""
    state, group = optimizer.state[weight], optimizer.param_groups[0]
    beta1, beta2 = group["betas"]
    n = float(state["step"])
    mean, square = state["exp_avg"] / (1 - beta1**n), state["exp_avg_sq"] / (1 - beta2**n)
    update: torch.Tensor = mean / (square.sqrt() + group["eps"])
    return update


def _summary(view: ScheduleView) -> tuple[float, float, float, float]:
    found = view.summary
    three = (found.weight_left_on_init, found.effective_share, found.share_of_last_tenth)
    left, effective, last = (round(value, 3) for value in three)
    return left, effective, last, round(found.largest_at, 2)


def _is_within(found: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    """Whether no figure is off by more than one in its last digit."""
    return all(abs(a - b) <= 1.5 * unit for a, b, unit in zip(found, expected, _LAST_DIGITS, strict=True))


def _error_table(errors: Mapping[str, float]) -> Table:
    rows = tuple((schedule, f"{error:.1e}") for schedule, error in errors.items())
    return Table("Weights rebuilt from their updates", ("schedule", "relative error"), rows)


def _summary_table(found: Mapping[str, tuple[float, float, float, float]]) -> Table:
    digits = (".3f", ".3f", ".3f", ".2f")
    rows = tuple(
        (
            schedule,
            *(
                f"{value:{digit}}" if value == wanted else f"{value:{digit}} (not {wanted:{digit}})"
                for value, wanted, digit in zip(values, _EXPECTED[schedule], digits, strict=True)
            ),
        )
        for schedule, values in found.items()
    )
    columns = ("schedule", "weight left on init", "effective count / T", "share of the last tenth", "largest at, of T")
    return Table("What the final weights are an average of", columns, rows)


def _panel(views: list[ScheduleView]) -> Panel:
    n_steps = len(views[0].coefficients)
    shown = np.unique(np.linspace(0, n_steps - 1, 150).round().astype(int))
    return Panel(
        title="Weight of each update in the final weights",
        x_label="fraction of the run",
        y_label="coefficient x number of steps",
        curves=[
            Curve(label=view.schedule, x=list((shown + 1) / n_steps), y=list(n_steps * view.coefficients[shown]))
            for view in views
        ],
    )


EMA = Claim(
    number=10,
    name="ema",
    title="AdamW as a moving average of its updates",
    statement="AdamW's last weights are an average of its updates, with coefficients α_i Π (1 - α_j) over the later "
    "steps, α = learning rate x weight decay; the schedule alone sets what is averaged.",
    source="Straight to Zero, arXiv 2502.15938; Scaling with Collapse, Section 2",
    accepted_if="weights rebuilt from the updates with these coefficients have a relative error below 1e-5 in "
    "float64, and the averages of six schedules have the expected figures to three digits, the place of the largest "
    "to two (within one in the last digit)",
    needs_training=False,
    find=find,
)
