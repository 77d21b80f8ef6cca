"""Leaving rows out of a linear fit: what the shortcuts of linear algebra must give, on made-up rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_sim.calibration import LinearFit

GROUPS = np.array(["a", "a", "a", "b", "b", "c", "c", "d", "d", "d"])
NAMES = ("x", "y", "z")


def made_up(seed: int) -> LinearFit:
    rng = np.random.default_rng(seed)
    return LinearFit(
        names=NAMES,
        ids=np.array([f"{group}-{i}" for i, group in enumerate(GROUPS)]),
        groups=GROUPS,
        errors=rng.normal(0.0, 0.1, len(GROUPS)),
        slopes=rng.normal(0.0, 1.0, (len(GROUPS), len(NAMES))),
    )


def solved(linear: LinearFit) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of the fit to all rows, and the hat matrix."""
    return linear.errors + linear.slopes @ linear.moves(), linear.slopes @ np.linalg.pinv(linear.slopes)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_left_out_error_is_the_residual_over_one_less_the_leverage(seed: int) -> None:
    linear = made_up(seed)
    residuals, hat = solved(linear)
    expected = np.expm1(residuals / (1.0 - np.diag(hat)))
    np.testing.assert_allclose(linear.left_out_errors(linear.ids), expected, rtol=1e-8, atol=1e-10)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_left_out_groups_solve_with_their_block_of_the_hat_matrix(seed: int) -> None:
    linear = made_up(seed)
    residuals, hat = solved(linear)
    found = np.log1p(linear.left_out_errors(linear.groups))
    for group in np.unique(GROUPS):
        rows = linear.groups == group
        expected = np.linalg.solve(np.eye(rows.sum()) - hat[np.ix_(rows, rows)], residuals[rows])
        np.testing.assert_allclose(found[rows], expected, rtol=1e-6, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_standard_errors_are_not_below_the_cluster_robust_sandwich(seed: int) -> None:
    """(G - 1) / G of (J'J)^-1 (sum over groups of J_g' e_g e_g' J_g) (J'J)^-1, e_g of the fit without the group."""
    linear = made_up(seed)
    left_out = np.log1p(linear.left_out_errors(linear.groups))
    scores = np.stack([linear.slopes[linear.groups == g].T @ left_out[linear.groups == g] for g in np.unique(GROUPS)])
    bread = np.linalg.inv(linear.slopes.T @ linear.slopes)
    sandwich = np.sqrt((len(scores) - 1) / len(scores) * np.diag(bread @ scores.T @ scores @ bread))
    assert (linear.standard_errors() >= sandwich * (1 - 1e-6)).all()


def test_a_constant_that_one_group_fixes_keeps_its_value_without_it_and_still_has_a_standard_error() -> None:
    linear = made_up(0)
    linear.slopes[GROUPS != "a", 2] = 0.0
    assert abs(linear.moves(GROUPS != "a")[2]) < 1e-12
    assert linear.standard_errors()[2] > 0.01


def test_the_rows_of_largest_leverage_by_hand() -> None:
    """One constant: a row's share is its slope squared over the sum, 9 : 4 : 1 : 0."""
    linear = LinearFit(
        names=("x",),
        ids=np.array(["p", "q", "r", "s"]),
        groups=np.array(["p", "q", "r", "s"]),
        errors=np.zeros(4),
        slopes=np.array([[1.0], [3.0], [-2.0], [0.0]]),
    )
    found = linear.largest_leverages("x")
    assert list(found) == ["q"]
    np.testing.assert_allclose(list(found.values()), [9 / 14], rtol=1e-12)
