"""The range of a throughput, from the ranges of whatever constants it hangs on."""

import math

import pytest

from wse_sim.report.sensitivity import sensitivities, tokens_per_s_range
from wse_sim.spec.sourced import Sourced


def constant(value: float, low: float | None = None, high: float | None = None) -> Sourced:
    return Sourced(value=value, low=low, high=high, kind="assumed", source="a test")


CONSTANTS = {
    "part.rate": constant(100.0, 50.0, 200.0),
    "part.loss": constant(1.0, high=2.0),
    "part.fixed": constant(7.0),
    "part.power_w": constant(1.0, 0.5, 2.0),
}


def rate(name: str = "", value: float = 0.0) -> float:
    """A throughput that is a product: its rate over its loss."""
    values = {known: c.value for known, c in CONSTANTS.items()} | ({name: value} if name else {})
    return values["part.rate"] / values["part.loss"]


def test_constants_with_a_range_are_ranked_and_power_is_left_out() -> None:
    found = sensitivities(CONSTANTS, rate(), rate)
    assert [s.constant for s in found] == ["part.rate", "part.loss"]
    assert (found[0].tokens_per_s_at_low, found[0].tokens_per_s_at_high) == (50.0, 200.0)
    assert (found[1].tokens_per_s_at_low, found[1].tokens_per_s_at_high) == (100.0, 50.0)


def test_losses_and_gains_add_in_quadrature() -> None:
    """Two constants that halve the rate leave 2^-sqrt(2) of it, one that doubles it leaves 2."""
    low, high = tokens_per_s_range(rate(), sensitivities(CONSTANTS, rate(), rate))
    assert low == pytest.approx(100.0 * 2.0 ** -math.sqrt(2.0), rel=1e-12)
    assert high == pytest.approx(200.0, rel=1e-12)


def test_without_ranges_there_is_none() -> None:
    assert tokens_per_s_range(3.0, []) == (3.0, 3.0)
