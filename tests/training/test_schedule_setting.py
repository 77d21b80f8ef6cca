"""The run in which schedules are looked at: what is given, what the recipe says, what is refused."""

import math
from pathlib import Path

import pytest

from training.schedules.setting import Setting, TensorGroup, model_setting, plain_setting
from training.schedules.view import schedule_views
from wse_sim.errors import SpecError
from wse_sim.spec.load import data_path


@pytest.mark.parametrize(("peak_lr", "weight_decay"), [(0.0, 0.1), (-0.5, -0.1), (0.1, -0.5), (0.1, 0.0), (1.5, 1.0)])
def test_a_group_that_averages_nothing_is_refused(peak_lr: float, weight_decay: float) -> None:
    with pytest.raises(SpecError, match="without decay AdamW averages nothing"):
        TensorGroup(name="g", peak_lr=peak_lr, weight_decay=weight_decay)


def test_a_group_may_forget_all_in_a_step() -> None:
    assert TensorGroup(name="g", peak_lr=2.0, weight_decay=0.5).timescale_steps == 1.0


def test_a_plain_run_is_the_example_until_something_is_given() -> None:
    assert plain_setting().name.startswith("example")
    assert plain_setting(n_steps=1000).name == "a run"
    # The example's steps are 504 sequences of 2048 tokens.
    assert plain_setting(warmup=f"{100 * 504 * 2048} tokens").n_warmup_steps == 100


def test_a_parametrization_without_a_recipe_of_its_own_trains_as_long_as_the_models() -> None:
    assert model_setting("13b", parametrization="smupar").n_steps == 116_223


def test_the_recipes_decay_is_taken(tmp_path: Path) -> None:
    text = data_path("models", "d2z-610m.toml").read_text(encoding="utf-8")
    assert "weight_decay = 0.1\n" in text
    ours = tmp_path / "ours.toml"
    ours.write_text(text.replace("weight_decay = 0.1\n", "weight_decay = 0.2\n"), encoding="utf-8")
    assert [group.weight_decay for group in model_setting(str(ours)).groups] == [0.2, 0.2]
    assert [group.weight_decay for group in model_setting(str(ours), weight_decay=0.3).groups] == [0.3, 0.3]


def test_steps_are_whole_and_the_nearest() -> None:
    # 111M: 111,050,496 parameters, steps of 120 x 2048 tokens; its recipe has 9037.
    assert model_setting("111m", tokens_per_parameter=10).n_steps == 4519  # 4518.7
    assert model_setting("111m", tokens_per_parameter=0.5).n_steps == 226  # 225.9
    assert model_setting("111m", tokens_per_parameter=0.0023).n_steps == 1  # 1.04
    assert model_setting("111m", batch_size=130).n_steps == 8342  # 9037 x 120/130 = 8341.8


@pytest.mark.parametrize(
    ("tokens_per_parameter", "message"),
    [
        (0.0, "tpp is 0.0: it must be at least 1e-06 and at most"),
        (-0.5, "tpp is -0.5: it must be at least"),
        (1e300, "tpp is 1e.300: it must be at least"),
        (math.inf, "tpp is inf: it must be at least"),
        (math.nan, "tpp is nan: it must be at least"),
        (0.002, "tpp 0.002: tokens is 222,100.992: a run has at least one step"),
        (1e6, "n_steps at tpp 1e.06 is 451865625: it must be at least 1 and at most 1,000,000"),
    ],
)
def test_tokens_per_parameter_make_steps_that_can_be_shown(tokens_per_parameter: float, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        model_setting("111m", tokens_per_parameter=tokens_per_parameter)


def test_a_density_that_leaves_a_tensor_nothing_is_refused_as_everywhere() -> None:
    with pytest.raises(SpecError, match="leaves none of a tensor's 589824 weights"):
        model_setting("111m", density=1e-9)


def test_a_learning_rate_whose_average_no_number_holds_is_refused() -> None:
    with pytest.raises(SpecError, match="with a product of 1e-30 to 1"):
        TensorGroup(name="all", peak_lr=1e-320, weight_decay=0.1)


def test_a_view_is_of_the_first_group_and_has_its_first_largest_and_last_learning_rate() -> None:
    groups = tuple(TensorGroup(name=f"of {peak_lr}", peak_lr=peak_lr, weight_decay=0.5) for peak_lr in (0.1, 0.2))
    setting = Setting(name="s", n_steps=4, n_warmup_steps=0, groups=groups)
    # At x = 0, 1/4, 1/2, 3/4: 0.5, 0.625, 0.75, 0.375 of the peak.
    (view,) = schedule_views(["piecewise(at=[0,0.5,1],values=[0.5,0.75,0])"], setting)
    figures = view.as_dict()
    assert view.peak_lr == 0.1
    assert [figures[f"lr_{which}"] for which in ("first", "largest", "last")] == pytest.approx([0.05, 0.075, 0.0375])
    assert view.summary.weight_left_on_init == pytest.approx((1 - 0.025) * (1 - 0.03125) * (1 - 0.0375) * (1 - 0.01875))
