"""Leaving rows out of a linear fit: what the shortcuts of linear algebra must give, on made-up rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_sim.calibration.linear import LinearFit, LogError, solve

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
        is_fitted=np.ones(len(GROUPS), bool),
    )


def solved(linear: LinearFit) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of the fit to all rows, and the hat matrix."""
    return linear.errors + linear.slopes @ linear.moves(), linear.slopes @ np.linalg.pinv(linear.slopes)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_left_out_error_is_the_residual_over_one_less_the_leverage(seed: int) -> None:
    linear = made_up(seed)
    residuals, hat = solved(linear)
    expected = np.expm1(residuals / (1.0 - np.diag(hat)))
    np.testing.assert_allclose(linear.left_out_errors(linear.ids), expected, rtol=1e-8, atol=1e-10)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_left_out_groups_solve_with_their_block_of_the_hat_matrix(seed: int) -> None:
    linear = made_up(seed)
    residuals, hat = solved(linear)
    found = np.log1p(linear.left_out_errors(linear.groups))
    for group in np.unique(GROUPS):
        rows = linear.groups == group
        expected = np.linalg.solve(np.eye(rows.sum()) - hat[np.ix_(rows, rows)], residuals[rows])
        np.testing.assert_allclose(found[rows], expected, rtol=1e-6, atol=1e-9)


@settings(max_examples=50)
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


def test_rows_that_the_fit_does_not_see_change_nothing_and_are_predicted() -> None:
    linear = made_up(1)
    linear.is_fitted[:] = GROUPS != "d"
    seen = replace(
        linear,
        **{name: getattr(linear, name)[GROUPS != "d"] for name in ("ids", "groups", "errors", "slopes", "is_fitted")},
    )
    np.testing.assert_allclose(linear.moves(), seen.moves(), rtol=1e-12)
    np.testing.assert_allclose(linear.standard_errors(), seen.standard_errors(), rtol=1e-12)
    predicted = np.expm1(linear.errors + linear.slopes @ linear.moves())[GROUPS == "d"]
    for labels in (linear.ids, linear.groups):
        np.testing.assert_allclose(linear.left_out_errors(labels)[GROUPS == "d"], predicted, rtol=1e-12)


def test_a_direction_that_noise_would_drown_stays() -> None:
    """Two constants that go together but for 1 % of a slope: their sum moves, their difference does not."""
    slopes = np.array([[1.0, 1.0], [1.0, 1.01], [1.0, 0.99]])
    ids = np.array(["p", "q", "r"])
    linear = LinearFit(
        names=("x", "y"),
        ids=ids,
        groups=ids,
        errors=np.array([-0.2, -0.3, -0.1]),
        slopes=slopes,
        is_fitted=ids != "none",
    )
    moves = linear.moves()
    np.testing.assert_allclose(moves, [0.1, 0.1], atol=1e-3)


def test_the_labels_of_largest_leverage_by_hand() -> None:
    """One constant: a row's share is its slope squared over the sum, 9 : 4 : 1 : 0; a label's that of its rows."""
    linear = LinearFit(
        names=("x",),
        ids=np.array(["p", "q", "r", "s"]),
        groups=np.array(["one", "two", "one", "two"]),
        errors=np.zeros(4),
        slopes=np.array([[1.0], [3.0], [-2.0], [0.0]]),
        is_fitted=np.ones(4, bool),
    )
    assert linear.largest_leverages("x", linear.ids) == pytest.approx({"q": 9 / 14}, rel=1e-12)
    assert linear.largest_leverages("x", linear.groups) == pytest.approx({"two": 9 / 14}, rel=1e-12)


@dataclass(frozen=True)
class Power:
    """Predicts a x^b with the constants a and b; a group of its own."""

    x: float
    published: float

    @property
    def id(self) -> str:
        return f"{self.x:g}"

    group = id

    def near(self, constants: Mapping[str, float]) -> LogError:
        return lambda constants: math.log(constants["a"] * self.x ** constants["b"] / self.published)


@settings(max_examples=20)
@given(st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_the_search_finds_the_constants_that_made_the_rows(a: float, b: float) -> None:
    rows = [Power(x, a * x**b) for x in (0.2, 0.7, 1.5, 4.0)]
    assert solve(rows, ("a", "b"), {"a": 1.0, "b": 1.0}) == pytest.approx({"a": a, "b": b}, rel=1e-3)
    assert solve(rows, ("a",), {"a": 1.0, "b": b}) == pytest.approx({"a": a}, rel=1e-3)


def test_a_search_that_swings_about_a_kink_ends_at_it() -> None:
    """One row costs max(a, 1) and wants a = 0.8, the other min(a, 1) and wants 1.25: nothing is better than a = 1."""

    class Upper(Power):
        def near(self, constants: Mapping[str, float]) -> LogError:
            return lambda constants: math.log(max(constants["a"], 1.0) / 0.8)

    class Lower(Power):
        def near(self, constants: Mapping[str, float]) -> LogError:
            return lambda constants: math.log(min(constants["a"], 1.0) / 1.25)

    found = solve([Upper(1, 0.8), Lower(2, 1.25)], ("a",), {"a": 1.5})
    assert found["a"] == pytest.approx(1.0, rel=1e-3)
