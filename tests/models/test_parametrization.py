"""The tables of the papers come out of the rules."""

import msgspec
import pytest
import torch

from models.build import build_model
from models.gpt import meta_model
from models.parametrization import (
    BASES,
    PARAMETRIZATIONS,
    EffectiveTensor,
    Parametrization,
    ParametrizationName,
    caveats,
    effective_table,
    factors_of,
    forward_multipliers,
    rules_of,
)
from models.rules import Factors, Power
from models.sparse import hidden_densities
from wse_sim.errors import SpecError
from wse_sim.spec.load import data_path, load_model, read_toml
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
    name: str,
    d_model: int,
    density: float = 1.0,
    base: str = "bytes-64",
    scaling: str = "none",
    n_layers: int = 2,
    alpha: float = 1.0,
) -> list[EffectiveTensor]:
    rules = Parametrization(name=name, base=BASES[base], weight_decay_scaling=scaling, depth_alpha=alpha)
    return table_of(shape_of(d_model, n_layers), rules, density)


def table_of(shape: ModelShape, rules: Parametrization, density: float = 1.0) -> list[EffectiveTensor]:
    model = meta_model(shape)
    return effective_table(model, shape, rules, hidden_densities(model, density), 0.1, 1e-8)


def by_name(rows: list[EffectiveTensor]) -> dict[str, EffectiveTensor]:
    return {row.name: row for row in rows}


def test_cerebras_gpt_256m_mup_configuration_is_reproduced() -> None:
    # Released configuration of the 256M μP model: hidden 0.0388057, output 0.00733359, scales 0.2352941 = 1/4.25.
    shape = load_model("256m").shape
    rules = Parametrization(name="mup", base=BASES["cerebras-gpt-mup"])
    rows = by_name(table_of(shape, rules))
    assert rows["blocks.0.attention.qkv.weight"].init_std == pytest.approx(0.0388057, rel=1e-5)
    assert rows["blocks.0.mlp.down.weight"].init_std == pytest.approx(0.00733359, rel=1e-5)
    assert rows["blocks.3.mlp.up.weight"].lr_multiplier == pytest.approx(0.2352941, rel=1e-6)
    assert forward_multipliers(rules, shape).logits == pytest.approx(0.2352941, rel=1e-6)
    assert rows["token.weight"].lr == 6e-3
    assert rows["token.weight"].init_std == 0.08


@pytest.mark.parametrize("name", ["2.7b", "6.7b"])
def test_cerebras_gpt_standard_initialization_is_reproduced(name: str) -> None:
    rows = by_name(table_of(load_model(name).shape, Parametrization(name="sp", base=BASES["cerebras-gpt-sp"])))
    published = read_toml(data_path("models", f"{name}.toml"))["published"]["residual_init_std_sp"]
    assert rows["blocks.0.mlp.up.weight"].init_std == 0.02
    assert rows["blocks.0.mlp.down.weight"].init_std == pytest.approx(published)


@pytest.mark.parametrize(("name", "n_layers"), [("1.3b", 24), ("13b", 40)])
def test_two_released_configurations_keep_the_residual_outputs_of_32_layers(name: str, n_layers: int) -> None:
    rows = by_name(table_of(load_model(name).shape, Parametrization(name="sp", base=BASES["cerebras-gpt-sp"])))
    published = read_toml(data_path("models", f"{name}.toml"))["published"]["residual_init_std_sp"]
    assert rows["blocks.0.mlp.down.weight"].init_std == pytest.approx(published * (32 / n_layers) ** 0.5)


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


def test_the_ablations_take_one_correction_each() -> None:
    full, init_only, lr_only, mup = (
        by_name(table(name, 128, 0.25)) for name in ("smupar", "smupar_init_only", "smupar_lr_only", "mup")
    )
    for name in full:
        assert (init_only[name].init_std, init_only[name].lr) == (full[name].init_std, mup[name].lr)
        assert (lr_only[name].init_std, lr_only[name].lr) == (mup[name].init_std, full[name].lr)


def test_completep_at_base_depth_is_mup_but_for_decay_eps_and_residual_outputs() -> None:
    mup = by_name(table("mup", 256))
    for row in table("completep", 256):
        assert row.lr == mup[row.name].lr
        if row.role == "hidden_out":
            assert row.init_std == pytest.approx(mup[row.name].init_std * 4**0.5)  # no (2 L)^-1/2, L = 2
        else:
            assert row.init_std == mup[row.name].init_std


# Worked by hand at m_d = 4 and m_L = 8 / 2 = 4, base peak_lr 8.1e-3, λ 0.1, ε 1e-8.
@pytest.mark.parametrize(
    ("name", "alpha", "lr", "weight_decay", "eps"),
    [
        ("token.weight", 1.0, 8.1e-3, 0.1, 1e-8 / 4),
        ("blocks.0.attention.qkv.weight", 1.0, 8.1e-3 / 4, 0.4, 1e-8 / 16),
        ("blocks.0.attention.qkv.weight", 0.5, 8.1e-3 / 8, 0.4, 1e-8 / 8),
        ("blocks.0.mlp.down.weight", 0.5, 8.1e-3 / 8, 0.4, 1e-8 / 8),
        ("blocks.0.mlp.up.bias", 1.0, 8.1e-3, 0.0, 1e-8 / 16),
        ("blocks.0.mlp.up.bias", 0.5, 8.1e-3 / 2, 0.0, 1e-8 / 8),
        ("blocks.7.norm_mlp.weight", 0.5, 8.1e-3 / 2, 0.0, 1e-8 / 8),
        ("norm_out.weight", 0.5, 8.1e-3, 0.0, 1e-8 / 4),
        ("norm_out.bias", 0.5, 8.1e-3, 0.0, 1e-8 / 4),
    ],
)
def test_completep_by_hand(name: str, alpha: float, lr: float, weight_decay: float, eps: float) -> None:
    row = by_name(table("completep", 256, n_layers=8, alpha=alpha))[name]
    assert (row.lr, row.weight_decay, row.eps) == pytest.approx((lr, weight_decay, eps))


def test_standard_parametrization_multiplies_scores_by_one_over_the_root_of_the_head_and_nothing_else() -> None:
    found = forward_multipliers(Parametrization(name="sp", base=BASES["cerebras-gpt-sp"]), load_model("111m").shape)
    assert (found.embedding, found.attention_scale, found.logits, found.residual) == (1.0, 64**-0.5, 1.0, 1.0)


def test_mup_multiplies_embeddings_scores_and_logits_as_the_paper_says() -> None:
    # SμPar, arXiv 2405.15743, Table 1: alpha_in, 1/d_head, alpha_out/m_d; at m_d = 4, heads of 32.
    base = msgspec.structs.replace(BASES["smupar-paper"], d_base=64, attention_multiplier=3.0)
    found = forward_multipliers(Parametrization(name="mup", base=base), shape_of(256))
    assert (found.embedding, found.residual) == (9.1705, 1.0)
    assert (found.attention_scale, found.logits) == pytest.approx((3 / 32, 1.0951835 / 4), rel=1e-15)


@pytest.mark.parametrize("density", [0.5, 1 / 16])
def test_completep_corrects_for_density_as_smupar_does(density: float) -> None:
    dense = by_name(table("completep", 256, n_layers=8, alpha=0.5))
    for row in table("completep", 256, density, n_layers=8, alpha=0.5):
        reference, m_rho = dense[row.name], density if row.role in ("hidden_in", "hidden_out") else 1.0
        assert row.init_std == pytest.approx(reference.init_std * m_rho**-0.5)
        assert row.lr == pytest.approx(reference.lr / m_rho)
        assert row.weight_decay == pytest.approx(reference.weight_decay * m_rho)
        assert row.eps == reference.eps


def test_factors_are_ratios_to_the_base() -> None:
    base = msgspec.structs.replace(BASES["bytes-64"], density_base=0.5, depth_base=2)
    found = factors_of(shape_of(96, n_layers=3), base, 0.25)
    assert (found.m_d, found.m_rho, found.m_depth, found.n_layers) == (1.5, 0.5, 1.5, 3)
    assert factors_of(shape_of(96, n_layers=3), msgspec.structs.replace(base, depth_base=None), 0.25).m_depth == 1.0


def test_the_inverse_of_a_power_takes_it_back() -> None:
    power = Power(width=-1.0, density=-0.5, depth=-0.25, twice_layers=-0.5)
    factors = Factors(m_d=3.0, m_rho=0.2, m_depth=5.0, n_layers=7)
    assert power.of(2.0, factors) == pytest.approx(2 / 3 * 0.2**-0.5 * 5**-0.25 * 14**-0.5, rel=1e-15)
    assert power.inverse.of(power.of(2.0, factors), factors) == pytest.approx(2.0, rel=1e-15)


def test_constants_have_no_deviation() -> None:
    assert {row.init_std for row in table("smupar", 128, 0.25) if row.start != "normal"} == {0.0}


@pytest.mark.parametrize(("alpha", "residual"), [(1.0, 0.25), (0.5, 0.5)])
def test_completep_scales_residual_branches_by_depth(alpha: float, residual: float) -> None:
    rules = Parametrization(name="completep", base=BASES["bytes-64"], depth_alpha=alpha)
    assert forward_multipliers(rules, shape_of(64, 8)).residual == residual
    assert forward_multipliers(rules, shape_of(64, 2)).residual == 1.0


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_only_completep_has_residual_multipliers_and_eps(name: ParametrizationName) -> None:
    rules = Parametrization(name=name, base=BASES["bytes-64"])
    is_deep = name == "completep"
    assert (forward_multipliers(rules, shape_of(128, 8)).residual != 1) == is_deep
    assert any(row.eps != 1e-8 for row in table(name, 128, n_layers=8)) == is_deep


def residual_change(name: str, n_layers: int) -> float:
    """Mean |change| of what the last block puts out, after four steps on the same bytes."""
    rules = Parametrization(name=name, base=BASES["bytes-64"])
    shape = shape_of(64, n_layers)
    built = build_model(shape, rules, seed=0, density=1.0, weight_decay=0.1, eps=1e-8)
    parameter = built.model.get_parameter
    groups = [{"params": [parameter(r.name)], "lr": r.lr, "weight_decay": 0.0, "eps": r.eps} for r in built.table]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    bytes_BT = torch.randint(0, 256, (2, 17), generator=torch.Generator().manual_seed(0))
    outputs: list[torch.Tensor] = []
    built.model.blocks[-1].register_forward_hook(lambda block, inputs, output: outputs.append(output.detach()))
    for _ in range(5):
        optimizer.zero_grad()
        built.model.loss(bytes_BT[:, :-1], bytes_BT[:, 1:]).backward()
        optimizer.step()
    return float((outputs[-1] - outputs[0]).abs().mean())


def test_depth_leaves_the_change_of_the_residual_stream_alone_in_completep_and_not_in_mup() -> None:
    # Over eight times the layers: 1 if depth does not matter, 8 if every branch adds as much; one seed, a short run.
    ratios = {name: residual_change(name, 16) / residual_change(name, 2) for name in ("completep", "mup")}
    assert 0.6 < ratios["completep"] < 1.5
    assert ratios["mup"] > 2.5


def test_completep_needs_a_base_depth() -> None:
    with pytest.raises(SpecError, match="no depth_base"):
        Parametrization(name="completep", base=BASES["cerebras-gpt-sp"])


@pytest.mark.parametrize("alpha", [0.4, 1.1, float("nan")])
def test_a_depth_exponent_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(SpecError, match="depth_alpha"):
        Parametrization(name="completep", base=BASES["bytes-64"], depth_alpha=alpha)


def test_every_tensor_has_the_factors_of_its_own_density() -> None:
    shape = shape_of(128)
    rules = Parametrization(name="smupar", base=BASES["bytes-64"])
    densities = {"blocks.0.mlp.up.weight": 0.5, "blocks.1.attention.qkv.weight": 0.125}
    mixed = effective_table(meta_model(shape), shape, rules, densities, 0.1, 1e-8)
    dense = by_name(table("smupar", 128))
    for row in mixed:
        density = densities.get(row.name, 1.0)
        assert row.density == density
        assert row.lr == pytest.approx(dense[row.name].lr / density)
        assert row.init_std == pytest.approx(dense[row.name].init_std / density**0.5)


def test_a_density_of_an_unknown_parameter_is_refused() -> None:
    shape = shape_of(64)
    rules = Parametrization(name="smupar", base=BASES["bytes-64"])
    with pytest.raises(SpecError, match=r"'blocks.0.mlp.upp.weight': did you mean 'blocks.0.mlp.up.weight'"):
        effective_table(meta_model(shape), shape, rules, {"blocks.0.mlp.upp.weight": 0.5}, 0.1, 1e-8)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_an_untied_output_is_trained_like_the_embedding(name: ParametrizationName) -> None:
    shape = msgspec.structs.replace(shape_of(256, 8), is_tied=False)
    rows = by_name(table_of(shape, Parametrization(name=name, base=BASES["bytes-64"]), 0.25))
    output, token = rows["output.weight"], rows["token.weight"]
    assert (output.lr, output.init_std, output.weight_decay) == (token.lr, token.init_std, token.weight_decay)


@pytest.mark.parametrize("algorithm", ["rigl", "set", "gmp", "topk"])
def test_masks_that_are_not_random_and_fixed_are_outside_the_theory(algorithm: str) -> None:
    assert caveats("smupar", "static") == caveats("smupar", "dense") == ()
    (sentence,) = caveats("smupar", algorithm)
    assert f"masks of {algorithm} are outside the theory of SμPar" in sentence


def test_what_does_not_transfer_over_density_says_so() -> None:
    for name in PARAMETRIZATIONS:
        assert bool(caveats(name, "static")) == (name != "smupar")
        assert caveats(name, "dense") == ()
    with pytest.raises(SpecError, match="did you mean 'smupar'"):
        caveats("smupa", "static")


def test_rules_read_like_the_papers_table() -> None:
    hidden_out = rules_of("smupar")["hidden_out"]
    assert hidden_out.init.symbols("σ") == "σ m_d^-1/2 m_rho^-1/2 (2L)^-1/2"
    assert hidden_out.lr.symbols("η") == "η m_d^-1 m_rho^-1"
    assert hidden_out.lr.inverse.symbols("λ") == "λ m_d m_rho"
    assert rules_of("sp")["hidden_in"].lr.symbols("η") == "η"
    assert Power(width=2.0, depth=1.5).symbols("x") == "x m_d^2 m_L^3/2"


@pytest.mark.parametrize("name", ["sp", "mup"])
def test_sp_and_mup_do_not_see_density(name: str) -> None:
    sparse, dense = table(name, 128, 0.25), table(name, 128)
    assert [(row.lr, row.init_std) for row in sparse] == [(row.lr, row.init_std) for row in dense]


def test_norms_and_biases_are_not_decayed() -> None:
    for row in table("smupar", 128, 0.25):
        assert (row.weight_decay == 0.0) == (row.role in ("norm", "bias", "norm_out", "bias_out"))


def test_constant_lr_wd_keeps_the_decay_per_step_of_the_base() -> None:
    for row in table("smupar", 256, 0.5, scaling="constant_lr_wd"):
        if row.role not in ("norm", "bias", "norm_out", "bias_out"):
            assert row.lr * row.weight_decay == pytest.approx(BASES["bytes-64"].peak_lr * 0.1)
    shrunk = [row for row in table("smupar", 256) if row.role == "hidden_in"]
    assert shrunk[0].lr * shrunk[0].weight_decay == pytest.approx(BASES["bytes-64"].peak_lr * 0.1 / 4)


def test_initial_weights_are_normal_cut_at_two_standard_deviations() -> None:
    rules = Parametrization(name="smupar", base=BASES["bytes-64"])
    built = build_model(shape_of(128), rules, seed=3, density=0.25, weight_decay=0.1, eps=1e-8)
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
    shallow = build_model(shape_of(64, 2), rules, seed=0, density=1.0, weight_decay=0.1, eps=1e-8).model
    deep = build_model(shape_of(64, 3), rules, seed=0, density=1.0, weight_decay=0.1, eps=1e-8).model
    assert torch.equal(shallow.token.weight, deep.token.weight)
    name = "blocks.1.mlp.up.weight"
    assert torch.equal(shallow.get_parameter(name), deep.get_parameter(name))
    other = build_model(shape_of(64, 2), rules, seed=1, density=1.0, weight_decay=0.1, eps=1e-8).model
    assert not torch.equal(shallow.token.weight, other.token.weight)
