"""Schedules against their closed forms, and AdamW as a moving average."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.schedules import (
    SCHEDULES,
    ema_coefficients,
    lr_factor,
    lr_factors,
    n_effective_updates,
    weight_left_on_init,
)
from wse_sim.errors import SpecError

# T = 11752, 10 % warm-up, peak learning rate x weight decay = 2.025e-4 (610M at 20 tokens per parameter):
# weight left on init, effective count / T, place of the largest coefficient, share of the last tenth.
EMA_TABLE = {
    "constant": (0.104, 0.682, 1.00, 0.237),
    "linear_10x": (0.273, 0.908, 0.45, 0.048),
    "cosine_10x": (0.273, 0.845, 0.41, 0.035),
    "linear": (0.304, 0.844, 0.39, 0.019),
    "cosine": (0.304, 0.742, 0.38, 0.003),
    "wsd": (0.129, 0.745, 0.82, 0.073),
}
_ROUNDING = 7e-4  # the table was rounded to three digits from a warm-up that may differ by a step
_PLACE_ROUNDING = 0.006


@pytest.mark.parametrize("name", EMA_TABLE)
def test_ema_table_is_reproduced(name: str) -> None:
    n_steps = 11752
    alpha = 2.025e-4 * lr_factors(name, n_steps, round(0.1 * n_steps))
    coefficients = ema_coefficients(alpha)
    left, effective, place, last_tenth = EMA_TABLE[name]
    assert weight_left_on_init(alpha) == pytest.approx(left, abs=_ROUNDING)
    assert n_effective_updates(coefficients) / n_steps == pytest.approx(effective, abs=_ROUNDING)
    assert (coefficients.argmax() + 1) / n_steps == pytest.approx(place, abs=_PLACE_ROUNDING)
    share = coefficients[-round(0.1 * n_steps) :].sum() / coefficients.sum()
    assert share == pytest.approx(last_tenth, abs=_ROUNDING)


@pytest.mark.parametrize("name", SCHEDULES)
def test_coefficients_and_initial_weight_sum_to_one(name: str) -> None:
    alpha = 0.05 * lr_factors(name, 200, 20)
    assert ema_coefficients(alpha).sum() + weight_left_on_init(alpha) == pytest.approx(1.0, rel=1e-12)


def test_final_weights_are_the_average_that_the_coefficients_say() -> None:
    torch.manual_seed(0)
    n_steps, weight_decay, peak, eps = 300, 0.1, 0.05, 1e-8
    factors = lr_factors("linear", n_steps, 30)
    theta = torch.randn(7, dtype=torch.float64, requires_grad=True)
    start = theta.detach().clone()
    optimizer = torch.optim.AdamW([theta], lr=0.0, betas=(0.9, 0.95), eps=eps, weight_decay=weight_decay)
    matrix = torch.randn(7, 7, dtype=torch.float64)
    updates = []
    for step in range(n_steps):
        optimizer.zero_grad()
        (matrix @ theta - torch.randn(7, dtype=torch.float64)).square().sum().backward()
        optimizer.param_groups[0]["lr"] = peak * factors[step]
        optimizer.step()
        state = optimizer.state[theta]
        mean = state["exp_avg"] / (1 - 0.9 ** (step + 1))
        spread = (state["exp_avg_sq"] / (1 - 0.95 ** (step + 1))).sqrt()
        updates.append((-mean / (spread + eps) / weight_decay).numpy().copy())
    alpha = peak * weight_decay * factors
    rebuilt = weight_left_on_init(alpha) * start.numpy() + ema_coefficients(alpha) @ np.array(updates)
    error = np.linalg.norm(rebuilt - theta.detach().numpy()) / np.linalg.norm(theta.detach().numpy())
    assert error < 1e-5


# n_steps = 10, 2 of warm-up: steps 0 and 1 rise to the peak, step 2 is at x = 0, step 6 at x = 1/2, step 10 at x = 1.
HALF_WAY = {
    "constant": (1.0, 1.0),
    "linear": (0.5, 0.0),
    "linear_10x": (0.55, 0.1),
    "cosine": (0.5, 0.0),
    "cosine_10x": (0.55, 0.1),
    "wsd": (1.0, 0.0),
    "step": (1.0, 0.1),
    "inverse_sqrt": ((2 / 6) ** 0.5, (2 / 10) ** 0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_has_its_closed_form(name: str) -> None:
    half, end = HALF_WAY[name]
    assert [lr_factor(name, step, 10, 2) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert lr_factor(name, 6, 10, 2) == pytest.approx(half, abs=1e-15)
    assert lr_factor(name, 10, 10, 2) == pytest.approx(end, abs=1e-15)


def test_wsd_cools_down_over_the_last_fifth_after_warmup() -> None:
    factors = lr_factors("wsd", 110, 10)
    assert factors[9:91] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.5)
    assert factors[109] == pytest.approx(0.05)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(SCHEDULES)), n_steps=st.integers(1, 500), data=st.data())
def test_learning_rate_is_positive_bounded_and_rises_in_warmup(name: str, n_steps: int, data: st.DataObject) -> None:
    n_warmup = data.draw(st.integers(0, n_steps - 1))
    factors = lr_factors(name, n_steps, n_warmup)
    assert np.all(factors > 0)  # no step is lost on a learning rate of 0, the first and the last included
    assert np.all(factors <= 1)
    assert factors[n_warmup] == 1.0 or name == "inverse_sqrt"
    assert np.all(np.diff(factors[:n_warmup]) > 0)
    assert np.all(np.diff(factors[n_warmup:]) <= 0)
    if name == "linear":
        assert lr_factor(name, n_steps, n_steps, n_warmup) == 0.0


def test_unknown_schedule_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="linear_10x"):
        lr_factor("linear_10", 0, 10, 1)


def test_warmup_that_leaves_no_step_is_refused() -> None:
    with pytest.raises(SpecError, match="warm-up"):
        lr_factor("linear", 0, 10, 10)
