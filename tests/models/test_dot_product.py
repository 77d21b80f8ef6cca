"""How places enter attention, each way against a plain computation of the same thing."""

import math

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.attention import Attention
from models.dot_product import (
    DOT_PRODUCTS,
    AlibiDotProduct,
    PlainDotProduct,
    RotaryDotProduct,
    alibi_slopes,
)
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="s", n_layers=1, d_model=32, n_heads=4, d_ff=64, vocab_size=256, seq_len=12)


def qkv(n_places: int = 12, n_heads: int = 4, d_head: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, n_heads, n_places, d_head, generator=generator)
    return q, k, v


def plain_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | float = 0.0) -> Tensor:
    """Softmax attention written out, with the future masked."""
    scores = scale * q @ k.transpose(-1, -2) + bias
    future = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


def test_plain_dot_product_is_a_causal_softmax() -> None:
    q, k, v = qkv()
    torch.testing.assert_close(PlainDotProduct()(q, k, v, 0.3), plain_attention(q, k, v, 0.3))


def turned_by_hand(x: Tensor, place: int) -> Tensor:
    """Each pair (i, i + d_head / 2) turned by place x 10000^(-2 i / d_head), one number at a time."""
    half = len(x) // 2
    out = x.clone()
    for i in range(half):
        angle = place * 10_000 ** (-2 * i / len(x))
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i] * math.sin(angle) + x[i + half] * math.cos(angle)
    return out


def test_rotary_turns_each_pair_by_its_angle() -> None:
    q, k, v = qkv()
    hand_q, hand_k = (
        torch.stack([torch.stack([turned_by_hand(x[b, n, t], t) for t in range(12)]) for b in (0, 1) for n in range(4)])
        for x in (q, k)
    )
    expected = plain_attention(hand_q.view_as(q), hand_k.view_as(k), v, 0.3)
    torch.testing.assert_close(RotaryDotProduct(SHAPE)(q, k, v, 0.3), expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=30)
@given(shift=st.integers(0, 8), first=st.integers(0, 3), second=st.integers(0, 3), seed=st.integers(0, 1000))
def test_rotary_scores_depend_on_distance_alone(shift: int, first: int, second: int, seed: int) -> None:
    rotary = RotaryDotProduct(SHAPE)
    x, y = torch.randn(2, 8, generator=torch.Generator().manual_seed(seed))

    def score(i: int, j: int) -> float:
        places = torch.zeros(1, 1, 12, 8)
        places[0, 0, i] = x
        at_i = rotary.turned(places)[0, 0, i]
        places[0, 0, j] = y
        return float(at_i @ rotary.turned(places)[0, 0, j])

    # float32, sums of eight products: a few units in the last place of scores up to about 20
    assert score(first + shift, second + shift) == pytest.approx(score(first, second), abs=1e-4)


def test_rotary_refuses_a_head_of_odd_width() -> None:
    with pytest.raises(SpecError, match="d_head 3 is odd"):
        RotaryDotProduct(msgspec.structs.replace(SHAPE, d_model=12))


def test_alibi_adds_slope_times_distance() -> None:
    q, k, v = qkv()
    slopes = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8])  # four heads: 2^(-8/4) and its powers
    distance = torch.arange(12)[:, None] - torch.arange(12)
    expected = plain_attention(q, k, v, 0.3, bias=-slopes[:, None, None] * distance)
    torch.testing.assert_close(AlibiDotProduct(SHAPE)(q, k, v, 0.3), expected)


def test_alibi_slopes_of_the_paper() -> None:
    assert alibi_slopes(8) == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(12) == [2.0**-i for i in range(1, 9)] + [2.0**-0.5, 2.0**-1.5, 2.0**-2.5, 2.0**-3.5]
    assert len(alibi_slopes(17)) == 17


@pytest.mark.parametrize("positions", DOT_PRODUCTS)
def test_a_shorter_sequence_sees_the_same_places(positions: str) -> None:
    dot_product = DOT_PRODUCTS[positions](SHAPE)  # type: ignore[index]
    q, k, v = qkv()
    long = dot_product(q, k, v, 0.3)
    short = dot_product(q[:, :, :5], k[:, :, :5], v[:, :, :5], 0.3)
    torch.testing.assert_close(short, long[:, :, :5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("positions", DOT_PRODUCTS)
def test_tables_filled_later_are_those_filled_at_once(positions: str) -> None:
    at_once = DOT_PRODUCTS[positions](SHAPE)  # type: ignore[index]
    with torch.device("meta"):
        later = DOT_PRODUCTS[positions](SHAPE)  # type: ignore[index]
    later = later.to_empty(device="cpu")
    later.fill_tables()
    for name, table in at_once.named_buffers():
        assert torch.equal(later.get_buffer(name), table)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_grouped_keys_are_heads_repeated(n_kv_heads: int) -> None:
    shape = msgspec.structs.replace(SHAPE, n_kv_heads=n_kv_heads)
    attention = Attention(shape, PlainDotProduct(), 0.3)
    full = Attention(SHAPE, PlainDotProduct(), 0.3)
    state = attention.state_dict()
    for kind in ("weight", "bias"):
        q, k, v = state[f"qkv.{kind}"].split([32, 8 * n_kv_heads, 8 * n_kv_heads])
        repeated = [x.unflatten(0, (n_kv_heads, 8)).repeat_interleave(4 // n_kv_heads, 0).flatten(0, 1) for x in (k, v)]
        state[f"qkv.{kind}"] = torch.cat([q, *repeated])
    full.load_state_dict(state)
    x = torch.randn(2, 12, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(attention(x), full(x))
