"""Laws of the ratios between two sides."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.comparison.sides import compared
from wse_sim.comparison.ratios import ratios
from wse_sim.report.comparison import ClusterWay, Ratio

factors = st.floats(0.1, 10.0)


def ratio_fields(one: ClusterWay, other: ClusterWay) -> list[Ratio]:
    return [ratio for ratio in msgspec.structs.asdict(ratios(one, other)).values() if ratio is not None]


@given(factors, factors, st.floats(1.0, 3.0))
def test_ratios_are_reciprocal_when_the_sides_are_swapped(speed: float, price: float, spread: float) -> None:
    wafer, gpu = compared().wafer, compared().gpu
    changed = msgspec.structs.replace(
        gpu,
        tokens_per_s=speed * gpu.tokens_per_s,
        tokens_per_s_low=speed * gpu.tokens_per_s_low / spread,
        tokens_per_s_high=speed * gpu.tokens_per_s_high,
        cost_usd=price * gpu.cost_usd,
        cost_usd_low=price * gpu.cost_usd_low,
        cost_usd_high=price * gpu.cost_usd_high * spread,
    )
    swapped = ratio_fields(changed, wafer)
    for one, other in zip(ratio_fields(wafer, changed), swapped, strict=True):
        assert one.value == pytest.approx(1.0 / other.value, rel=1e-12)
        assert one.low == pytest.approx(1.0 / other.high, rel=1e-12)
        assert one.high == pytest.approx(1.0 / other.low, rel=1e-12)
        assert one.low <= one.value <= one.high


def test_a_side_over_itself_is_one() -> None:
    assert {ratio.value for ratio in ratio_fields(compared().wafer, compared().wafer)} == {1.0}


def test_ranges_add_in_quadrature() -> None:
    """The wafers' rate may halve, the GPUs' double: the ratio may fall to 2^-sqrt(2) of itself, and not rise."""
    one, other = (
        msgspec.structs.replace(way, tokens_per_s_low=way.tokens_per_s, tokens_per_s_high=way.tokens_per_s)
        for way in (compared().wafer, compared().gpu)
    )
    one = msgspec.structs.replace(one, tokens_per_s_low=one.tokens_per_s / 2)
    other = msgspec.structs.replace(other, tokens_per_s_high=other.tokens_per_s * 2)
    found = ratios(one, other)
    assert found.tokens_per_s.low == pytest.approx(found.tokens_per_s.value * 2.0 ** -math.sqrt(2.0), rel=1e-12)
    assert found.tokens_per_s.high == found.tokens_per_s.value
    assert found.run_time.high == pytest.approx(found.run_time.value * 2.0 ** math.sqrt(2.0), rel=1e-12)


def test_power_and_price_widen_their_ratios_only() -> None:
    found = ratios(compared().wafer, compared().gpu)
    assert found.energy is not None
    assert found.carbon is not None
    assert found.cost is not None
    assert found.run_time.high / found.run_time.value < found.energy.high / found.energy.value
    assert found.energy.value == pytest.approx(found.carbon.value, rel=1e-12)
    assert found.energy.high == pytest.approx(found.carbon.high, rel=1e-12)


def test_free_gpus_have_no_ratio_of_cost() -> None:
    free = msgspec.structs.replace(compared().gpu, cost_usd=0.0, cost_usd_low=0.0, cost_usd_high=0.0)
    assert ratios(compared().wafer, free).cost is None
    zero = ratios(free, compared().wafer).cost
    assert zero is not None
    assert (zero.value, zero.low, zero.high) == (0.0, 0.0, 0.0)
