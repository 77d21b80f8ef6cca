"""The tables of the papers come out of the rules."""

import pytest
import torch

from models.build import build_model
from models.gpt import meta_model
from models.parametrization import BASES, EffectiveTensor, Parametrization, effective_table, forward_multipliers
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape


def shape_of(d_model: int, n_layers: int = 2) -> ModelShape:
    return ModelShape(
        name="t",
        n_layers=n_layers,
        d_model=d_model,
        n_heads=d_model // 32,
        d_ff=4 * d_model,
        vocab_size=256,
        seq_len=32,
    )


def table(
    name: str, d_model: int, density: float = 1.0, base: str = "bytes-64", scaling: str = "none"
) -> list[EffectiveTensor]:
    rules = Parametrization(name=name, base=BASES[base], weight_decay_scaling=scaling)
    shape = shape_of(d_model)
    return effective_table(meta_model(shape), shape, rules, density, 0.1)


def test_cerebras_gpt_256m_mup_configuration_is_reproduced() -> None:
    # Released configuration of the 256M μP model: hidden 0.0388057, output 0.00733359, scales 0.2352941 = 1/4.25.
    shape = load_model("256m").shape
    rules = Parametrization(name="mup", base=BASES["cerebras-gpt-mup"])
    rows = {row.name: row for row in effective_table(meta_model(shape), shape, rules, 1.0, 0.1)}
    assert rows["blocks.0.attention.qkv.weight"].init_std == pytest.approx(0.0388057, rel=1e-5)
    assert rows["blocks.0.mlp.down.weight"].init_std == pytest.approx(0.00733359, rel=1e-5)
    assert rows["blocks.3.mlp.up.weight"].lr_multiplier == pytest.approx(0.2352941, rel=1e-6)
    assert forward_multipliers(rules, shape).logits == pytest.approx(0.2352941, rel=1e-6)
    assert rows["token.weight"].lr == 6e-3
    assert rows["token.weight"].init_std == 0.08


def test_cerebras_gpt_2_7b_standard_initialization_is_reproduced() -> None:
    shape = load_model("2.7b").shape
    rules = Parametrization(name="sp", base=BASES["cerebras-gpt-sp"])
    rows = {row.name: row for row in effective_table(meta_model(shape), shape, rules, 1.0, 0.1)}
    assert rows["blocks.0.mlp.up.weight"].init_std == 0.02
    assert rows["blocks.0.mlp.down.weight"].init_std == pytest.approx(0.0025)


@pytest.mark.parametrize("d_model", [64, 128, 512])
def test_smupar_at_density_one_is_mup(d_model: int) -> None:
    assert table("smupar", d_model) == table("mup", d_model)


def test_mup_at_base_width_has_the_learning_rates_of_sp() -> None:
    at_base = [row.lr_multiplier for row in table("mup", 64)]
    assert at_base == [row.lr_multiplier for row in table("sp", 64)]
    assert at_base != [row.lr_multiplier for row in table("mup", 128)]


@pytest.mark.parametrize("density", [0.5, 0.25, 1 / 16])
def test_smupar_scales_hidden_matrices_by_width_times_density(density: float) -> None:
    dense = {row.name: row for row in table("smupar", 64)}
    for row in table("smupar", 256, density):
        reference = dense[row.name]
        ratio = 4 * density if row.role in ("hidden_in", "hidden_out") else 1.0
        assert row.lr_multiplier == pytest.approx(reference.lr_multiplier / ratio)
        assert row.init_std == pytest.approx(reference.init_std / ratio**0.5)


def test_mup_does_not_see_density() -> None:
    assert [row.lr for row in table("mup", 128, 0.25)] == [row.lr for row in table("mup", 128)]


def test_norms_and_biases_are_not_decayed() -> None:
    for row in table("smupar", 128, 0.25):
        assert (row.weight_decay == 0.0) == (row.role in ("norm", "bias"))


def test_constant_lr_wd_keeps_the_decay_per_step_of_the_base() -> None:
    for row in table("smupar", 256, 0.25, scaling="constant_lr_wd"):
        if row.weight_decay:
            assert row.lr * row.weight_decay == pytest.approx(BASES["bytes-64"].peak_lr * 0.1)
    shrunk = [row for row in table("smupar", 256) if row.role == "hidden_in"]
    assert shrunk[0].lr * shrunk[0].weight_decay == pytest.approx(BASES["bytes-64"].peak_lr * 0.1 / 4)


def test_initial_weights_are_normal_cut_at_two_standard_deviations() -> None:
    built = build_model(
        shape_of(128), Parametrization(name="smupar", base=BASES["bytes-64"]), seed=3, density=0.25, weight_decay=0.1
    )
    for row in built.table:
        parameter = built.model.get_parameter(row.name)
        if row.start != "normal":
            assert torch.all(parameter == (1.0 if row.start == "one" else 0.0))
            continue
        weights = parameter[parameter != 0]
        assert weights.abs().max() <= 2 * row.init_std
        # A normal cut at two standard deviations keeps 0.8796 of its standard deviation.
        assert weights.std().item() == pytest.approx(0.8796 * row.init_std, rel=0.05)


def test_initial_weights_do_not_depend_on_depth_or_density_order() -> None:
    rules = Parametrization(name="sp", base=BASES["bytes-64"])
    shallow = build_model(shape_of(64, 2), rules, seed=0, density=1.0, weight_decay=0.1).model
    deep = build_model(shape_of(64, 3), rules, seed=0, density=1.0, weight_decay=0.1).model
    assert torch.equal(shallow.token.weight, deep.token.weight)
    name = "blocks.1.mlp.up.weight"
    assert torch.equal(shallow.get_parameter(name), deep.get_parameter(name))
    other = build_model(shape_of(64, 2), rules, seed=1, density=1.0, weight_decay=0.1).model
    assert not torch.equal(shallow.token.weight, other.token.weight)
