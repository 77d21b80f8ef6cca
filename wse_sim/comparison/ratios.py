"""The wafers' figures over the GPUs', with the range that the constants of both sides leave."""

import math
from collections.abc import Sequence

from wse_sim.report.comparison import ClusterWay, Ratio, Ratios

Range = tuple[float, float, float]  # the figure, and the ends between which its constants leave it


def ratios(one: ClusterWay, other: ClusterWay) -> Ratios:
    """Each figure of `one` over that of `other`, for the same work.

    Rates of both sides are uncertain in all of them, power in energy and carbon, prices in cost. The grid's emissions
    and PUE are the same on both sides.
    """
    of_one, of_other = _rate(one), _rate(other)
    slower: tuple[list[Range], list[Range]] = ([of_other], [of_one])
    energy = _with(slower, _energy(one), _energy(other))
    cost = _with(slower, _cost(one), _cost(other))
    return Ratios(
        tokens_per_s=_ratio(one.tokens_per_s / other.tokens_per_s, [of_one], [of_other]),
        run_time=_ratio(one.run_time_s / other.run_time_s, *slower),
        wall_clock=_ratio(one.wall_clock_s / other.wall_clock_s, *slower),
        energy=_ratio(one.energy_j / other.energy_j, *energy) if other.energy_j else None,
        carbon=_ratio(one.carbon_kg / other.carbon_kg, *energy) if other.carbon_kg else None,
        cost=_ratio(one.cost_usd / other.cost_usd, *cost) if other.cost_usd else None,
    )


def scaled(ratio: Ratio, factor: float) -> Ratio:
    """`ratio` and its range, times `factor`."""
    return Ratio(value=ratio.value * factor, low=ratio.low * factor, high=ratio.high * factor)


def _ratio(value: float, with_it: Sequence[Range], against_it: Sequence[Range]) -> Ratio:
    """A ratio that grows with figures, and falls with others, each of which has a range of its own.

    Changes are added in quadrature as logarithms, as in `report.sensitivity`.
    """
    up = [_log(high, at) for at, _, high in with_it] + [_log(at, low) for at, low, _ in against_it]
    down = [_log(at, low) for at, low, _ in with_it] + [_log(high, at) for at, _, high in against_it]
    return Ratio(value=value, low=value * math.exp(-math.hypot(*down)), high=value * math.exp(math.hypot(*up)))


def _log(larger: float, smaller: float) -> float:
    """Of their ratio; 0 where one is 0: a price of nothing has no range."""
    return math.log(larger / smaller) if smaller > 0 else 0.0


def _with(slower: tuple[list[Range], list[Range]], one: Range, other: Range) -> tuple[list[Range], list[Range]]:
    with_it, against_it = slower
    return [*with_it, one], [*against_it, other]


def _rate(way: ClusterWay) -> Range:
    return way.tokens_per_s, way.tokens_per_s_low, way.tokens_per_s_high


def _energy(way: ClusterWay) -> Range:
    return way.energy_j, way.energy_j_low, way.energy_j_high


def _cost(way: ClusterWay) -> Range:
    return way.cost_usd, way.cost_usd_low, way.cost_usd_high
