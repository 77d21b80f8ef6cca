"""AdamW as a moving average: the published table, and the weights of a real run rebuilt from its updates."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from training.schedules import (
    SCHEDULES,
    ema_coefficients,
    ema_summary,
    lr_factors,
    n_effective_updates,
    timescale,
    timescale_steps,
    weight_left_on_init,
)
from training.schedules.setting import EXAMPLE_PEAK_LR, model_setting, plain_setting
from training.schedules.view import schedule_views
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
    (view,) = schedule_views([name], plain_setting())
    left, effective, place, last_tenth = EMA_TABLE[name]
    assert view.summary.weight_left_on_init == pytest.approx(left, abs=_ROUNDING)
    assert view.summary.effective_share == pytest.approx(effective, abs=_ROUNDING)
    assert view.summary.largest_at == pytest.approx(place, abs=_PLACE_ROUNDING)
    assert view.summary.share_of_last_tenth == pytest.approx(last_tenth, abs=_ROUNDING)


def test_less_of_the_start_is_left_where_the_learning_rates_sum_to_more() -> None:
    views = schedule_views(list(EMA_TABLE), plain_setting())
    by_sum = sorted(views, key=lambda view: view.lr_factors.sum())
    left = [view.summary.weight_left_on_init for view in by_sum]
    assert all(more >= less - 1e-4 for more, less in pairwise(left))


@pytest.mark.parametrize("text", [*sorted(set(SCHEDULES) - {"cooldown"}), "cooldown(start=150)"])
@pytest.mark.parametrize("peak", [1e-4, 0.05, 1.0])
def test_coefficients_and_initial_weight_sum_to_one(text: str, peak: float) -> None:
    alpha = peak * lr_factors(text, 200, 20)
    assert ema_coefficients(alpha).sum() + weight_left_on_init(alpha) == pytest.approx(1.0, rel=1e-12)


def test_a_constant_learning_rate_averages_geometrically() -> None:
    alpha = np.full(1000, 0.02)
    coefficients = ema_coefficients(alpha)
    assert coefficients[::-1] == pytest.approx(0.02 * 0.98 ** np.arange(1000), rel=1e-10)
    summary = ema_summary(alpha)
    assert summary.weight_left_on_init == pytest.approx(0.98**1000)
    assert summary.largest_at == 1.0
    # Sums of the geometric series: (1 - q^n)/(1 - q), and of its squares.
    assert summary.n_effective_updates == pytest.approx(
        (1 - 0.98**1000) ** 2 / (1 - 0.98) ** 2 / ((1 - 0.98**2000) / (1 - 0.98**2))
    )


def test_equal_weights_count_each_update_once() -> None:
    # alpha_i = 1/(i + 1) is the running mean.
    coefficients = ema_coefficients(1.0 / np.arange(1, 51))
    assert coefficients == pytest.approx(np.full(50, 1 / 50))
    assert n_effective_updates(coefficients) == pytest.approx(50)


@pytest.mark.parametrize(("n_steps", "n_last"), [(1, 1), (4, 1), (24, 2), (26, 3)])
def test_the_last_tenth_is_of_whole_steps_and_one_at_least(n_steps: int, n_last: int) -> None:
    summary = ema_summary(1.0 / np.arange(1, n_steps + 1))
    assert summary.share_of_last_tenth == pytest.approx(n_last / n_steps, rel=1e-12)


def test_timescale_is_the_published_one() -> None:
    # 610M at 20 tokens per parameter: 0.0162 x 256/2048, weight decay 0.1, 11752 steps.
    assert timescale_steps(0.0162 / 8, 0.1) == pytest.approx(4938.27, abs=0.01)
    assert timescale(0.0162 / 8, 0.1, 11752) == pytest.approx(0.42, abs=5e-3)
    # B/(eta lambda D): 504 sequences of 2048 tokens, D = 11752 of them.
    batch = 504 * 2048
    assert timescale(0.0162 / 8, 0.1, 11752) == pytest.approx(batch / (0.0162 / 8 * 0.1 * 11752 * batch))


def test_a_model_gives_its_tensors_their_own_timescales() -> None:
    setting = model_setting("d2z-610m")
    hidden, embedding = setting.groups
    assert (setting.n_steps, setting.n_warmup_steps) == (11752, 1175)
    assert hidden.peak_lr == pytest.approx(EXAMPLE_PEAK_LR, rel=1e-15)
    assert embedding.peak_lr == pytest.approx(8 * hidden.peak_lr)
    assert hidden.timescale_steps == pytest.approx(8 * embedding.timescale_steps)
    sparse = model_setting("d2z-610m", parametrization="smupar", density=0.25).groups[0]
    assert sparse.timescale_steps == pytest.approx(hidden.timescale_steps / 4)
    assert plain_setting().groups[0].peak_lr == hidden.peak_lr


def test_a_run_is_as_long_as_its_tokens_or_its_recipe() -> None:
    assert model_setting("111m").n_steps == 9037
    assert model_setting("111m").n_warmup_steps == 1525
    assert model_setting("111m", tokens_per_parameter=20).n_steps == round(20 * 111_050_496 / (120 * 2048))
    halved = model_setting("111m", batch_size=240)
    assert (halved.n_steps, halved.n_warmup_steps) == (4518, 762)  # 9037/2 and 1525/2, to the even neighbour
    assert model_setting("111m", n_steps=1000).n_warmup_steps == 100


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "gpt-j-6b"}, "say the sequences per step with --batch-size"),
        ({"model": "gpt-j-6b", "batch_size": 8}, "say how long it trains"),
        ({"model": "gpt-j-6b", "batch_size": 8, "n_steps": 9, "parametrization": "sp"}, "give it with --peak-lr"),
        ({"model": "111m", "n_steps": 5, "tokens_per_parameter": 2.0}, "use one of them"),
        ({"model": "111m", "tokens_per_parameter": -1.0}, "tpp is -1.0"),
        ({"model": "111m", "parametrization": "mpu"}, "did you mean 'mup'"),
        ({"model": "111m", "weight_decay": 0.0}, "without decay AdamW averages nothing"),
    ],
)
def test_what_a_model_lacks_is_asked_for(given: dict, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        model_setting(**given)


@pytest.mark.parametrize("text", ["linear", "wsd(cooldown=0.3,shape=1-sqrt)", "cyclic", "cosine_10x"])
def test_final_weights_are_the_average_that_the_coefficients_say(text: str) -> None:
    torch.manual_seed(0)
    n_steps, weight_decay, peak, eps = 300, 0.1, 0.05, 1e-8
    factors = lr_factors(text, n_steps, 30)
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
    final = theta.detach().numpy()
    assert np.linalg.norm(rebuilt - final) / np.linalg.norm(final) < 1e-10  # claimed: 1e-5, in float64
