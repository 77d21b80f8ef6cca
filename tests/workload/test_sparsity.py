"""Shares of a density add up to the weight, and Sparse-Wide keeps the work of the dense model."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape
from wse_sim.workload.sparse_wide import sparse_wide
from wse_sim.workload.sparsity import erk_densities, exact_nonzeros, uniform_densities
from wse_sim.workload.transformer import linear_weights

DIMENSIONS = st.tuples(st.integers(1, 200), st.integers(1, 200))


@settings(max_examples=300)
@given(shapes=st.lists(DIMENSIONS, min_size=1, max_size=8), density=st.floats(0.05, 1.0))
def test_erk_counts_add_up_to_those_of_all_weights_together(shapes: list[tuple[int, int]], density: float) -> None:
    named = {str(index): shape for index, shape in enumerate(shapes)}
    n_weights = sum(map(math.prod, shapes))
    assume(density * n_weights >= 1)
    densities = erk_densities(named, density)
    assert all(0 <= share <= 1 for share in densities.values())
    counts = [int(densities[name] * math.prod(shape)) for name, shape in named.items()]
    assert sum(counts) == int(density * n_weights)


def test_erk_is_in_proportion_to_the_sum_over_the_product_of_the_shape() -> None:
    # 40x40: 80/1600 = 1/20; 80x40: 120/3200 = 3/80. Kept 80 x and 120 x of 4800 weights at 0.25: x = 6.
    assert erk_densities({"square": (40, 40), "wide": (80, 40)}, 0.25) == {"square": 480 / 1600, "wide": 720 / 3200}


def test_erk_leaves_what_would_pass_one_dense_and_gives_the_rest_to_the_others() -> None:
    # At 0.5 of 10_004 weights the 2x2 would keep more than it has.
    densities = erk_densities({"small": (2, 2), "large": (100, 100)}, 0.5)
    assert densities == {"small": 1.0, "large": 4998 / 10_000}


def test_what_rounding_leaves_over_goes_to_the_tensors_that_lost_most_by_it() -> None:
    # Sums of the shapes 29, 106, 45 of 180: 18 weights are wanted as 2.9, 10.6, 4.5, cut down to 2, 10, 4.
    shapes = {"a": (14, 15), "b": (53, 53), "c": (22, 23)}
    densities = erk_densities(shapes, 18.5 / (14 * 15 + 53 * 53 + 22 * 23))
    assert [int(densities[name] * math.prod(shape)) for name, shape in shapes.items()] == [3, 11, 4]


def test_equal_shapes_get_equal_shares_under_both_distributions() -> None:
    shapes = {"a": (64, 32), "b": (64, 32)}
    assert erk_densities(shapes, 0.25) == uniform_densities(shapes, 0.25) == {"a": 0.25, "b": 0.25}


@pytest.mark.parametrize(("density", "d_model"), [(0.5, 1092), (0.25, 1536)])
def test_sparse_wide_has_the_widths_of_the_published_configurations(density: float, d_model: int) -> None:
    # The dense baseline of both is 768 wide and has 12 heads.
    wide = sparse_wide(load_model("111m").shape, density)
    assert (wide.d_model, wide.n_heads, wide.d_ff) == (d_model, 12, 4 * d_model)


@pytest.mark.parametrize(("density", "d_head"), [(0.985, 130), (0.25, 256)])
def test_rotary_heads_of_a_sparse_wide_model_stay_even(density: float, d_head: int) -> None:
    wide = sparse_wide(load_model("llama-7b").shape, density)  # heads of 128: 128 / sqrt(0.985) = 128.97, made 130
    assert (wide.n_heads, wide.d_model) == (32, 32 * d_head)


def test_the_feed_forward_layer_of_a_sparse_wide_model_grows_as_its_width_to_the_nearest() -> None:
    shape = ModelShape(name="m", n_layers=1, d_model=64, n_heads=2, d_ff=172, vocab_size=10, seq_len=4)
    wide = sparse_wide(shape, 0.5)  # heads of 32 x sqrt(2) = 45.25; 172 x 90/64 = 241.875
    assert (wide.d_model, wide.d_ff) == (90, 242)


@settings(max_examples=50)
@given(model=st.sampled_from(["111m", "1.3b", "13b", "llama-7b"]), density=st.floats(0.05, 1.0))
def test_sparse_wide_keeps_the_non_zeros_of_the_linear_layers(model: str, density: float) -> None:
    dense = load_model(model).shape
    wide = sparse_wide(dense, density)
    # Rounding moves a head's width of 64 or more by at most 1 (2 where it must stay even), and weights twice as much.
    assert density * linear_weights(wide) == pytest.approx(linear_weights(dense), rel=0.035)
    assert wide.d_model % wide.n_heads == 0


def test_sparse_wide_of_a_dense_model_is_that_model() -> None:
    dense = load_model("111m").shape
    assert sparse_wide(dense, 1.0) is dense
    with pytest.raises(SpecError, match="density"):
        sparse_wide(dense, 0.0)


def test_erk_of_a_density_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="leaves none"):
        erk_densities({"a": (2, 2)}, 0.1)
    assert exact_nonzeros(4, 0.25) == 1
