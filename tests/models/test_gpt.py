"""The network has the parameters of every decoder's preset, and each kind of layer computes its formula."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import torch

from models.build import build_model
from models.dot_product import PlainDotProduct
from models.gpt import GPT, Block, meta_model
from models.parametrization import BASES, Parametrization, effective_table
from models.roles import HIDDEN_ROLES, parameter_roles, with_roles
from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model, model_names
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_weights, n_parameters

# Cerebras-GPT (arXiv 2304.03208), Appendix E, Table 12, with vocabulary 50257 and 2048 positions.
PUBLISHED_COUNTS = {
    "111m": 111_050_496,
    "256m": 255_977_024,
    "590m": 590_310_912,
    "1.3b": 1_315_723_264,
    "2.7b": 2_651_553_280,
    "6.7b": 6_658_404_352,
    "13b": 12_853_386_240,
}
SMALL = ModelShape(name="small", n_layers=2, d_model=32, n_heads=2, d_ff=128, vocab_size=256, seq_len=16)


DECODERS = [name for name in model_names() if load_model(name).shape.logits_fraction == 1]
VARIANTS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "llama": {
        "positions": "rotary",
        "feed_forward": "swiglu",
        "norm": "rmsnorm",
        "is_tied": False,
        "has_biases": False,
    },
    "d2z": {"positions": "alibi", "feed_forward": "swiglu"},
    "grouped": {"n_kv_heads": 1, "positions": "rotary", "norm": "rmsnorm"},
    "untied": {"is_tied": False, "has_biases": False},
}


@pytest.mark.parametrize("name", DECODERS)
def test_the_model_has_the_parameters_that_the_arithmetic_counts(name: str) -> None:
    shape = load_model(name).shape
    counted = sum(parameter.numel() for parameter in meta_model(shape).parameters())
    assert counted == n_parameters(shape)
    assert counted == PUBLISHED_COUNTS.get(name, counted)


@pytest.mark.parametrize("name", DECODERS)
def test_hidden_matrices_are_those_that_the_arithmetic_calls_linear(name: str) -> None:
    shape = load_model(name).shape
    model = meta_model(shape)
    roles = parameter_roles(model)
    hidden = sum(p.numel() for name, p in model.named_parameters() if roles[name] in HIDDEN_ROLES)
    assert hidden == linear_weights(shape)


def test_an_encoder_is_refused() -> None:
    with pytest.raises(SpecError, match=r"'bert-base' is an encoder \(logits_fraction = 0\.15\)"):
        meta_model(load_model("bert-base").shape)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_every_variant_learns(variant: str) -> None:
    model = _small_model(variant)
    bytes_BT = torch.arange(17).view(1, 17)
    loss = model.loss(bytes_BT[:, :-1], bytes_BT[:, 1:])
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_weights_and_masks_are_in_the_state(variant: str) -> None:
    model = _small_model(variant)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_later_byte_does_not_change_an_earlier_prediction(variant: str) -> None:
    model = _small_model(variant)
    bytes_BT = torch.arange(16).view(1, 16)
    changed_BT = bytes_BT.clone()
    changed_BT[0, 10] = 99
    difference_T = (model(bytes_BT) - model(changed_BT)).abs().amax(dim=(0, 2))
    assert difference_T[:10].max() == 0
    assert difference_T[10:].min() > 0


def test_attention_scale_and_logits_multiplier_enter_the_forward_pass() -> None:
    bytes_BT = torch.arange(16).view(1, 16)
    plain = _small_model()
    state = plain.state_dict()
    doubled = GPT(SMALL, replace(plain.multipliers, logits=2 * plain.multipliers.logits))
    doubled.load_state_dict(state)
    torch.testing.assert_close(doubled(bytes_BT), 2 * plain(bytes_BT), rtol=1e-5, atol=1e-6)
    sharper = GPT(SMALL, replace(plain.multipliers, attention_scale=8.0))
    sharper.load_state_dict(state)
    assert (sharper(bytes_BT) - plain(bytes_BT)).abs().max() > 1e-3


def test_the_residual_multiplier_scales_what_a_branch_adds() -> None:
    half = replace(_small_model().multipliers, residual=0.5)
    full = _small_model().blocks[0]
    scaled = Block(SMALL, PlainDotProduct(), half)
    scaled.load_state_dict(full.state_dict())
    x_BTD = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(0))
    after_attention = x_BTD + 0.5 * full.attention(full.norm_attention(x_BTD))
    expected = after_attention + 0.5 * full.mlp(full.norm_mlp(after_attention))
    torch.testing.assert_close(scaled(x_BTD), expected)


def test_rmsnorm_and_swiglu_are_their_formulas() -> None:
    block = _small_model("llama").blocks[0]
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    by_hand = x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(block.norm_mlp(x), by_hand)
    gate = x @ block.mlp.gate.weight.T
    expected = (gate / (1 + torch.exp(-gate)) * (x @ block.mlp.up.weight.T)) @ block.mlp.down.weight.T
    torch.testing.assert_close(block.mlp(x), expected)


def test_a_layer_without_a_role_stops_the_build() -> None:
    model = meta_model(SMALL)
    model.blocks[0].attention.qkv = torch.nn.Linear(32, 96, device="meta")
    rules = Parametrization(name="mup", base=BASES["bytes-64"])
    with pytest.raises(SpecError, match=r"blocks\.0\.attention\.qkv\.weight"):
        effective_table(model, SMALL, rules, {}, 0.1, 1e-8)
    model.blocks[0].attention.qkv = with_roles(torch.nn.Linear(32, 96, device="meta"), weight="hidden_in", bias="bias")
    assert len(effective_table(model, SMALL, rules, {}, 0.1, 1e-8)) == len(list(model.parameters()))


def _small_model(variant: str = "gpt2") -> GPT:
    rules = Parametrization(name="mup", base=BASES["bytes-64"])
    shape = msgspec.structs.replace(SMALL, **VARIANTS[variant])
    return build_model(shape, rules, seed=0, density=1.0, weight_decay=0.1, eps=1e-8).model
