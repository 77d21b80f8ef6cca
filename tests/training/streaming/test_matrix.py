"""Non-zeros lie where the dense matrix has them, and come from the draws that the dense model takes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.build import centred
from models.masks import packed, philox, random_mask
from training.streaming.kernels import CHUNK_WORDS, LANES
from training.streaming.matrix import (
    Workers,
    draw_live,
    full_layout,
    layout_of,
    padded,
    random_layout,
    unpacked_layout,
)

# Less than a word, words and a rest, rows that are no words, and more than one chunk.
SHAPES = [(3, 5), (7, 33), (64, 64), (300, 1000), (CHUNK_WORDS, 2 * LANES + 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.07, 0.25, 0.9])
def test_random_layout_is_the_random_mask_of_the_dense_model(shape: tuple[int, int], density: float) -> None:
    mask = random_mask(3, "blocks.0.mlp.up.weight", shape, density)
    layout = random_layout(3, "blocks.0.mlp.up.weight", shape, density)
    assert np.array_equal(layout.mask(), mask)
    assert layout.n_live == np.count_nonzero(mask)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32), st.floats(0.0, 1.0))
@settings(max_examples=50)
def test_layouts_come_back_from_the_checkpoints_form_as_they_went(n: int, m: int, seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((n, m)) < density
    layout = layout_of(mask)
    assert np.array_equal(layout.mask(), mask)
    assert np.array_equal(layout.packed(), packed(mask))
    assert np.array_equal(unpacked_layout(packed(mask), mask.shape).words, layout.words)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_expanding_is_indexing_and_gathering_is_its_reverse(
    shape: tuple[int, int], dtype: torch.dtype, n_threads: int
) -> None:
    workers = Workers(n_threads)
    mask = torch.from_numpy(np.random.default_rng(0).random(shape) < 0.3)
    layout = layout_of(mask.numpy())
    values = torch.randn(layout.n_live, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(shape).masked_scatter_(mask, values).to(dtype)
    dense = torch.full((padded(layout.n_weights),), torch.nan, dtype=dtype)
    layout.expand(values, dense, workers)
    assert torch.equal(dense[: layout.n_weights].view(shape), expected)
    gathered = torch.full((layout.n_live,), torch.nan)
    layout.gather(dense, gathered, workers)
    assert torch.equal(gathered, expected[mask].float())
    workers.close()


def test_gathering_writes_nothing_beyond_the_live_numbers() -> None:
    """Whole words are written where there is room for them; beside the last live number there is none."""
    layout = layout_of(np.random.default_rng(0).random((64, 1025)) < 0.3)
    memory = torch.full((layout.n_live + LANES,), 7.0)
    layout.gather(torch.ones(padded(layout.n_weights)), memory[: layout.n_live], Workers(1))
    assert torch.equal(memory, torch.cat([torch.ones(layout.n_live), torch.full((LANES,), 7.0)]))


@pytest.mark.parametrize("shape", SHAPES)
def test_full_layout_has_every_weight(shape: tuple[int, int]) -> None:
    assert full_layout(shape).mask().all()
    assert full_layout(shape).n_live == shape[0] * shape[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_live_weights_are_drawn_as_the_dense_model_draws_them(shape: tuple[int, int]) -> None:
    layout = random_layout(1, "blocks.1.mlp.up.weight", shape, 0.25)
    values = torch.empty(layout.n_live)
    draw_live(1, "blocks.1.mlp.up.weight", layout, values)
    draws = philox(1, "init", "blocks.1.mlp.up.weight").random_raw(layout.n_weights)
    assert torch.equal(values, centred(draws)[torch.from_numpy(layout.mask().ravel().copy())])
