"""Masks have exact counts, depend on seed and name alone, and keep what they prune at zero."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.build import BuiltModel, build_model
from models.masks import MASK_SUFFIX, random_mask, top_k
from models.parametrization import BASES, Parametrization
from models.sparse import Masks, n_nonzero
from training.optimizer import build_optimizer, compute_gradient, set_lr
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.workload.sparsity import exact_nonzeros

SHAPE = ModelShape(name="t", n_layers=2, d_model=32, n_heads=2, d_ff=128, vocab_size=256, seq_len=16)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**62), rows=st.integers(1, 40), columns=st.integers(1, 40), density=st.floats(0.01, 1.0))
def test_mask_has_exactly_the_stated_count(seed: int, rows: int, columns: int, density: float) -> None:
    expected = int(density * (rows * columns))
    if expected == 0:
        with pytest.raises(SpecError, match="leaves none"):
            random_mask(seed, "w", (rows, columns), density)
    else:
        assert random_mask(seed, "w", (rows, columns), density).sum() == expected


@settings(max_examples=200)
@given(scores=arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, -1.0, 0.5, 2.0])), data=st.data())
def test_top_k_is_the_head_of_a_stable_sort(scores: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, scores.size))
    expected = np.zeros(scores.size, dtype=bool)
    expected[np.argsort(-scores, kind="stable")[:k]] = True
    assert np.array_equal(top_k(scores, k), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_selecting_keeps_every_bit_of_what_lives_and_drops_whatever_else_there_is(dtype: torch.dtype) -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 3, dtype=dtype))
    mask = torch.tensor([[True, False, True], [False, True, False]])
    tensor = torch.tensor([[-0.0, math.nan, 1e-30], [math.inf, -3.5, -math.inf]], dtype=dtype)
    Masks({"w": (weight, mask)}).select("w", tensor)
    assert tensor.tolist() == torch.tensor([[-0.0, 0.0, 1e-30], [0.0, -3.5, 0.0]], dtype=dtype).tolist()
    assert math.copysign(1.0, tensor[0, 0].item()) == -1.0


def test_a_transposed_gradient_is_selected_in_its_own_order() -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 3))
    mask = torch.tensor([[True, False, True], [False, True, False]])
    gradient = torch.arange(1.0, 7.0).view(3, 2).t()
    Masks({"w": (weight, mask)}).select("w", gradient)
    assert gradient.tolist() == [[1.0, 0.0, 5.0], [0.0, 4.0, 0.0]]


def test_a_new_mask_zeroes_what_it_prunes_and_leaves_the_rest() -> None:
    built = _built(0.25)
    name = next(iter(built.masks))
    before, weight = built.masks.mask(name).clone(), built.masks.weight(name)
    flipped = before.clone()
    flipped[0] = ~flipped[0]
    old = weight.detach().clone()
    built.masks.replace(name, flipped.numpy())
    assert torch.equal(built.model.state_dict()[name + MASK_SUFFIX], flipped)
    assert torch.all(weight[0] == 0)
    assert torch.equal(weight[1:], old[1:])


def test_every_place_is_as_likely() -> None:
    share = np.mean([random_mask(seed, "w", (8, 8), 0.25) for seed in range(2000)], axis=0)
    # Standard error of a share of 0.25 over 2000 draws is 0.0097; four of them, over 64 places.
    assert np.abs(share - 0.25).max() < 0.04


def test_mask_is_the_same_in_another_process() -> None:
    code = "from models.masks import random_mask; print(random_mask(7, 'blocks.0.w', (16, 16), 0.3).tobytes().hex())"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert elsewhere == random_mask(7, "blocks.0.w", (16, 16), 0.3).tobytes().hex()
    assert elsewhere != random_mask(8, "blocks.0.w", (16, 16), 0.3).tobytes().hex()
    assert elsewhere != random_mask(7, "blocks.1.w", (16, 16), 0.3).tobytes().hex()


def test_only_hidden_matrices_are_masked_and_each_to_the_same_count() -> None:
    built = _built(0.25)
    masks = {name.removesuffix(MASK_SUFFIX): mask for name, mask in built.model.named_buffers()}
    hidden = {row.name: row for row in built.table if row.role in ("hidden_in", "hidden_out")}
    assert masks.keys() == hidden.keys()
    assert len(masks) == 4 * SHAPE.n_layers
    for name, mask in masks.items():
        assert mask.sum() == exact_nonzeros(mask.numel(), 0.25)
        assert mask.dtype == torch.bool
        assert name + MASK_SUFFIX in built.model.state_dict()
    n_total = sum(parameter.numel() for parameter in built.model.parameters())
    assert n_nonzero(built.model) == n_total - sum(
        mask.numel() - exact_nonzeros(mask.numel(), 0.25) for mask in masks.values()
    )


@pytest.mark.parametrize("density", [0.0, -0.1, 1.5])
def test_density_out_of_range_is_refused(density: float) -> None:
    with pytest.raises(SpecError, match="density"):
        _built(density)


def test_pruned_weights_and_moments_stay_exactly_zero_under_decay_and_clipping() -> None:
    built = _built(0.25)
    optimizer = _trained(built, n_steps=20)
    for name, mask in built.model.named_buffers():
        weight = built.model.get_parameter(name.removesuffix(MASK_SUFFIX))
        state = optimizer.state[weight]
        for tensor in (weight, state["exp_avg"], state["exp_avg_sq"]):
            assert torch.all(tensor[~mask] == 0)
            assert torch.all(tensor[mask] != 0)


def test_a_nan_in_a_pruned_gradient_is_harmless() -> None:
    clean, poisoned = _built(0.25), _built(0.25)
    for name, mask in poisoned.model.named_buffers():
        weight = poisoned.model.get_parameter(name.removesuffix(MASK_SUFFIX))
        weight.register_hook(lambda gradient, mask=mask: torch.where(mask, gradient, torch.nan))
    _trained(clean, n_steps=3)
    _trained(poisoned, n_steps=3)
    for name, weight in clean.model.named_parameters():
        assert torch.equal(weight, poisoned.model.get_parameter(name))


def test_masks_of_ones_train_like_no_masks_bit_for_bit() -> None:
    dense, masked = _built(1.0), _built(1.0)
    assert not dict(dense.model.named_buffers())
    ones = Masks(
        {name: (weight, torch.ones_like(weight, dtype=torch.bool)) for name, weight in masked.model.named_parameters()}
    )
    _trained(dense, n_steps=5)
    _trained(BuiltModel(model=masked.model, table=masked.table, masks=ones), n_steps=5)
    for name, weight in dense.model.named_parameters():
        assert torch.equal(weight, masked.model.get_parameter(name))


def _built(density: float) -> BuiltModel:
    rules = Parametrization(name="smupar", base=BASES["bytes-64"])
    return build_model(SHAPE, rules, seed=0, density=density, weight_decay=0.1, eps=1e-8)


def _trained(built: BuiltModel, n_steps: int) -> torch.optim.AdamW:
    optimizer = build_optimizer(built.model, built.table, betas=(0.9, 0.95))
    set_lr(optimizer, 1.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(n_steps):
        bytes_BT = torch.randint(0, 256, (8, 17), generator=generator)
        _, grad_norm = compute_gradient(
            built.model, built.masks, optimizer, (bytes_BT[:, :-1], bytes_BT[:, 1:]), clip=0.01
        )
        assert grad_norm > 0.01  # else clipping was not tested
        optimizer.step()
    return optimizer
