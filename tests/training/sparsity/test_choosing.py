"""Counts are exact, ties go by position, and what is kept, dropped and grown is what the algorithms say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.masks import random_mask
from training.sparsity.balance import Balance, balance_of
from training.sparsity.choosing import checkerboard, drop_and_grow, highest, start_mask
from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.algorithms import RigL

ONE = Balance()
BALANCES = st.sampled_from([ONE, Balance("in", 2), Balance("in", 4), Balance("out", 3)])
SHAPE = (6, 8)


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), n_before=st.integers(1, 48), n_live=st.integers(1, 48), drop=st.floats(0.0, 1.0),
       balance=BALANCES, coarse=st.booleans())  # fmt: skip
def test_after_an_update_exactly_n_live_weights_live(
    seed: int, n_before: int, n_live: int, drop: float, balance: Balance, coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    mask = highest(rng.random(SHAPE), n_before, balance)
    # Coarse numbers make ties, zeros among them.
    weight, growth = (np.round(rng.normal(size=SHAPE) * (1 if coarse else 1e6)).astype(np.float32) for _ in range(2))
    after = drop_and_grow(mask, weight * mask, np.abs(growth), n_live, drop, balance)
    assert np.count_nonzero(after) == n_live
    assert np.array_equal(balance.rows(after).sum(axis=1), balance.counts(n_live))
    if n_live == n_before:
        assert np.count_nonzero(mask & ~after) == np.count_nonzero(after & ~mask)
        assert np.count_nonzero(mask & ~after) <= drop * n_live


def test_the_smallest_weights_go_and_the_largest_gradients_come() -> None:
    mask = np.array([[True, True, True, True, False, False, False, False]])
    weight = np.array([[0.5, -0.1, 0.3, -0.9, 0, 0, 0, 0]], dtype=np.float32)
    growth = np.array([[9.0, 9.0, 9.0, 9.0, 0.1, 0.4, 0.3, 0.2]], dtype=np.float32)
    # Half of four go: -0.1 and 0.3. Both have the largest gradient of all that do not stay, so both come back.
    assert np.array_equal(drop_and_grow(mask, weight, growth, 4, 0.5, ONE), mask)
    growth[0, 1:3] = 0.0
    expected = np.array([[True, False, False, True, False, True, True, False]])
    assert np.array_equal(drop_and_grow(mask, weight, growth, 4, 0.5, ONE), expected)


def test_ties_go_to_the_first_places() -> None:
    mask = np.array([[False, True, True, True, False, False]])
    same = np.zeros((1, 6), dtype=np.float32)
    # Of three equal weights one goes, the last; of four equal candidates the first comes.
    assert drop_and_grow(mask, same, same, 3, 0.34, ONE).tolist() == [[True, True, True, False, False, False]]


@given(n_out=st.integers(1, 24), n_in=st.integers(1, 24), share=st.floats(0.0, 1.0))
def test_a_checkerboard_is_exact_and_even(n_out: int, n_in: int, share: float) -> None:
    n_live = max(1, int(share * n_out * n_in))
    mask = checkerboard((n_out, n_in), n_live)
    assert mask.sum() == n_live
    # Equal distances along the flattened rows: no row is off the mean by a whole weight.
    assert np.abs(mask.sum(axis=1) - n_live / n_out).max() < 1


def test_checkerboard_of_a_half_is_one_and_of_a_quarter_has_even_columns() -> None:
    assert checkerboard((4, 4), 8).tolist() == [[(row + column) % 2 == 1 for column in range(4)] for row in range(4)]
    assert set(checkerboard((16, 16), 64).sum(axis=0)) == {4}


def test_start_masks_are_exact_and_what_they_are_called() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    magnitude = start_mask("topk", weight, 32, seed=0, name="w", balance=ONE)
    assert np.abs(weight[magnitude]).min() > np.abs(weight[~magnitude]).max()
    drawn = start_mask("random", weight, 32, seed=3, name="w", balance=ONE)
    assert np.array_equal(drawn, random_mask(3, "w", (8, 16), 0.25))
    zeros = start_mask("from_zeros", weight * magnitude, 32, seed=0, name="w", balance=ONE)
    assert np.array_equal(zeros, magnitude)
    with pytest.raises(SpecError, match=r"finds 32 weights of w .* keeps 33"):
        start_mask("from_zeros", weight * magnitude, 33, seed=0, name="w", balance=ONE)


@pytest.mark.parametrize(("side", "axis"), [("in", 1), ("out", 0)])
def test_balanced_groups_hold_as_many_weights_each(side: str, axis: int) -> None:
    balance = Balance(side, 4)  # type: ignore[arg-type]
    mask = highest(np.random.default_rng(0).random((8, 16)), 32, balance)
    assert [part.sum() for part in np.split(mask, 4, axis=axis)] == [8, 8, 8, 8]
    tensor = np.arange(128).reshape(8, 16)
    assert np.array_equal(balance.tensor(balance.rows(tensor), (8, 16)), tensor)


def test_groups_that_do_not_divide_a_dimension_are_refused() -> None:
    with pytest.raises(SpecError, match="balance_in_groups is 3, it must divide the 16 channels of w"):
        balance_of(RigL(balance_in_groups=3), "w", (8, 16))
