"""The network has Cerebras-GPT's parameters, and refuses what it cannot build."""

from dataclasses import replace

import msgspec
import pytest
import torch

from models.build import build_model
from models.gpt import GPT, meta_model
from models.parametrization import BASES, Parametrization, effective_table
from models.roles import with_roles
from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import n_parameters

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


@pytest.mark.parametrize("name", PUBLISHED_COUNTS)
def test_parameter_count_is_the_published_one(name: str) -> None:
    shape = load_model(name).shape
    counted = sum(parameter.numel() for parameter in meta_model(shape).parameters())
    assert counted == PUBLISHED_COUNTS[name]
    assert n_parameters(shape) == PUBLISHED_COUNTS[name]


@pytest.mark.parametrize(
    ("field", "value"),
    [("feed_forward", "swiglu"), ("positions", "rotary"), ("is_tied", False), ("has_biases", False), ("n_kv_heads", 1)],
)
def test_shape_that_cannot_be_trained_is_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(SpecError, match=field):
        meta_model(msgspec.structs.replace(SMALL, **{field: value}))


def test_a_later_byte_does_not_change_an_earlier_prediction() -> None:
    model = _small_model()
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


def test_a_layer_without_a_role_stops_the_build() -> None:
    model = meta_model(SMALL)
    model.blocks[0].attention.qkv = torch.nn.Linear(32, 96, device="meta")
    rules = Parametrization(name="mup", base=BASES["bytes-64"])
    with pytest.raises(SpecError, match=r"blocks\.0\.attention\.qkv\.weight"):
        effective_table(model, SMALL, rules, 1.0, 0.1)
    model.blocks[0].attention.qkv = with_roles(torch.nn.Linear(32, 96, device="meta"), weight="hidden_in", bias="bias")
    assert len(effective_table(model, SMALL, rules, 1.0, 0.1)) == len(list(model.parameters()))


def _small_model() -> GPT:
    rules = Parametrization(name="mup", base=BASES["bytes-64"])
    return build_model(SMALL, rules, seed=0, density=1.0, weight_decay=0.1).model
