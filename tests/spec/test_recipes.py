"""Recipes of published runs: phases, μP, and their learning rates."""

from pathlib import Path

import pytest

from training.schedules import lr_factor
from wse_sim.errors import SpecError
from wse_sim.runs import resolve_run
from wse_sim.spec.load import data_path, load_model
from wse_sim.spec.model import Recipe


def recipe_of(name: str) -> Recipe:
    recipe = load_model(name).recipe
    assert recipe is not None
    return recipe


def test_13b_saw_257_billion_tokens_in_two_phases() -> None:
    first, second = recipe_of("13b").phases
    assert f"{first.n_sequences * 2048 / 1e9:.2f}" == "84.05"  # model card
    assert f"{second.n_sequences * 2048 / 1e9:.1f}" == "173.0"
    assert f"{(first.n_sequences + second.n_sequences) * 2048 / 1e9:.2f}" == "257.07"


def test_the_learning_rate_of_13b_is_continuous_in_tokens() -> None:
    first, second = recipe_of("13b").phases
    assert first.last_step * first.batch_size == second.first_step * second.batch_size
    assert (first.schedule_steps, second.schedule_steps) == (174_335, 116_223)
    # Both horizons are rounded to a step, so that the decay may differ by as much as one step of it.
    before, after = first.decay_progress(first.last_step), second.decay_progress(second.first_step)
    assert before == pytest.approx(after, abs=1 / second.decay_steps)
    rates = [
        lr_factor("cosine_10x", step, phase.schedule_steps, phase.warmup_steps)
        for phase, step in ((first, first.last_step), (second, second.first_step))
    ]
    assert rates[0] == pytest.approx(rates[1], rel=1e-5)
    assert second.decay_progress(second.last_step) == 1.0
    assert first.decay_progress(0) == 0.0


def test_phases_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    text = data_path("models", "13b.toml").read_text(encoding="utf-8")
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace("last_step = 57000", "last_step = 57001"), encoding="utf-8")
    with pytest.raises(SpecError, match="its phases have 125521560 sequences, n_steps x batch_size = 125520840"):
        load_model(str(path))


@pytest.mark.parametrize("name", ["111m", "256m", "590m", "1.3b", "2.7b"])
def test_the_mup_runs_differ_in_learning_rate_and_shape_of_decay_alone(name: str) -> None:
    preset = load_model(name)
    assert preset.recipe is not None
    assert preset.recipe_mup is not None
    sp, mup = preset.recipe, preset.recipe_mup
    assert (mup.peak_lr, mup.decay, mup.end_lr_fraction, mup.base) == (6e-3, "linear", 0.1, "cerebras-gpt-mup")
    assert (mup.batch_size, mup.n_steps, mup.warmup_steps) == (sp.batch_size, sp.n_steps, sp.warmup_steps)
    assert preset.recipe_for("sp") is sp
    assert preset.recipe_for("mup") is preset.recipe_for("smupar") is mup


def test_the_largest_two_were_never_trained_in_mup() -> None:
    for name in ("6.7b", "13b"):
        assert load_model(name).recipe_for("mup") is None


def test_a_mup_recipe_is_no_recipe_of_sp() -> None:
    assert load_model("d2z-610m").recipe_for("sp") is None
    assert load_model("d2z-610m").recipe_for("mup") is not None


def test_d2z_610m_takes_twenty_tokens_per_matrix_weight_and_a_tenth_of_warmup() -> None:
    recipe = recipe_of("d2z-610m")
    assert f"{recipe.n_steps * recipe.batch_size * 2048 / 20:.4g}" == "6.065e+08"  # 606.2M weights, whole steps
    assert recipe.warmup_steps == round(0.1 * recipe.n_steps)
    assert recipe.end_lr_fraction == 0


def test_llama_2_sees_two_trillion_tokens() -> None:
    recipe = recipe_of("llama-2-7b")
    assert f"{recipe.n_steps * recipe.batch_size * 4096:.6g}" == "2e+12"
    run = resolve_run(load_model("llama-2-7b"))
    assert (run.batch_size, run.num_csx) == (1024, 1)  # no count of systems is published: it ran on GPUs


def test_every_recipe_says_where_it_comes_from() -> None:
    for name in ("111m", "13b", "d2z-610m", "llama-2-7b"):
        assert recipe_of(name).source
