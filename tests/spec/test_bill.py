"""What a run takes: hand-worked numbers, laws over any prices, and arrays as well as numbers."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.spec.bill import Bill, bill, bill_with_ends
from wse_sim.spec.economics import Economics
from wse_sim.spec.sourced import Sourced

HOUR_S = 3600.0
AMOUNTS = ("it_energy_j", "facility_energy_j", "carbon_kg", "rental_usd", "purchase_usd", "total_usd")
UNIT = {"power_w": 10_000.0, "rental_usd_per_h": 20.0, "purchase_usd": 876_000.0}
ROUND = Economics(
    usd_per_kwh=0.1, pue=1.5, kg_per_kwh=0.4, amortisation_years=5.0, utilisation=0.5, upkeep_per_year=0.1
)
INPUTS = tuple(UNIT)
PRICES = ("usd_per_kwh", "pue", "kg_per_kwh", "upkeep_per_year")


def amounts(lowest: float, highest: float) -> st.SearchStrategy[float]:
    return st.floats(lowest, highest, allow_nan=False)


ECONOMICS = st.builds(
    Economics,
    usd_per_kwh=amounts(0, 2),
    pue=amounts(1, 3),
    kg_per_kwh=amounts(0, 2),
    amortisation_years=amounts(0.1, 20),
    utilisation=amounts(0.01, 1),
    upkeep_per_year=amounts(0, 1),
    price_basis=st.sampled_from(("rental", "purchase")),
)
RUNS = st.fixed_dictionaries(
    {
        "time_s": amounts(0, 1e9),
        "n_units": st.integers(0, 2048).map(float),
        "power_w": amounts(0, 1e5),
        "rental_usd_per_h": amounts(0, 1e3),
        "purchase_usd": amounts(0, 1e7),
    }
)


def of(run: Bill, name: str) -> float:
    return float(getattr(run, name))


def test_a_bill_worked_by_hand() -> None:
    """Two units for ten hours: 200 kWh, 300 kWh with the facility, 20 unit-hours of 4,380 used ones a year."""
    paid = bill(ROUND, time_s=10 * HOUR_S, n_units=2, **UNIT)
    assert paid.it_energy_j == pytest.approx(200 * 3.6e6, rel=1e-15)
    assert paid.facility_energy_j == pytest.approx(300 * 3.6e6, rel=1e-15)
    assert paid.carbon_kg == pytest.approx(300 * 0.4, rel=1e-15)
    assert paid.rental_usd == pytest.approx(20 * 20, rel=1e-15)
    assert paid.amortisation_usd == pytest.approx(20 / 4380 * 876_000 / 5, rel=1e-15)
    assert paid.electricity_usd == pytest.approx(300 * 0.1, rel=1e-15)
    assert paid.upkeep_usd == pytest.approx(20 / 4380 * 876_000 * 0.1, rel=1e-15)


@pytest.mark.parametrize(("basis", "price"), [("rental", "rental_usd_per_h"), ("purchase", "purchase_usd")])
def test_ends_are_the_bills_at_the_ends_of_power_and_of_the_price_that_is_paid(basis: Any, price: str) -> None:
    economics = replace(ROUND, price_basis=basis)
    constants = {
        name: Sourced(value=value, low=value / 2, high=3 * value, kind="published", source="a test", as_of=name)
        for name, value in UNIT.items()
    }
    run = {"time_s": 10 * HOUR_S, "n_units": 2}
    found, paid = bill_with_ends(economics, constants, **run), bill(economics, **run, **UNIT)
    assert (found.energy_j, found.carbon_kg, found.cost_usd) == (paid.it_energy_j, paid.carbon_kg, paid.total_usd)
    assert (found.energy_j_low, found.energy_j_high) == (paid.it_energy_j / 2, 3 * paid.it_energy_j)
    ends = [bill(economics, **run, **{**UNIT, price: UNIT[price] * factor}).total_usd for factor in (0.5, 3)]
    assert [found.cost_usd_low, found.cost_usd_high] == ends
    assert found.price_as_of == price
    assert found.usd_per_unit_h == pytest.approx(paid.total_usd / 20, rel=1e-12)


def test_the_total_is_of_the_chosen_basis_and_the_sum_of_its_parts() -> None:
    rented = bill(ROUND, time_s=10 * HOUR_S, n_units=2, **UNIT)
    bought = bill(replace(ROUND, price_basis="purchase"), time_s=10 * HOUR_S, n_units=2, **UNIT)
    assert rented.parts_usd == {"rental": rented.total_usd}
    assert list(bought.parts_usd) == ["amortisation", "electricity", "upkeep"]
    assert sum(bought.parts_usd.values()) == bought.total_usd == bought.purchase_usd == rented.purchase_usd


@given(economics=ECONOMICS, run=RUNS, share=amounts(0, 1))
def test_a_bill_adds_up_over_time_and_over_systems(economics: Economics, run: dict, share: float) -> None:
    whole = bill(economics, **run)
    for key in ("time_s", "n_units"):
        parts = [bill(economics, **{**run, key: run[key] * of_it}) for of_it in (share, 1 - share)]
        for name in AMOUNTS:
            total = sum(of(part, name) for part in parts)
            assert math.isclose(total, of(whole, name), rel_tol=1e-9, abs_tol=1e-9), (key, name)


@given(economics=ECONOMICS, run=RUNS)
def test_no_time_or_no_system_costs_nothing(economics: Economics, run: dict) -> None:
    for key in ("time_s", "n_units"):
        assert {of(bill(economics, **{**run, key: 0.0}), name) for name in AMOUNTS} == {0.0}


@given(economics=ECONOMICS, run=RUNS, more=amounts(1, 3))
def test_nothing_falls_as_power_prices_or_factors_rise(economics: Economics, run: dict, more: float) -> None:
    at_first = bill(economics, **run)
    dearer = [bill(economics, **{**run, key: run[key] * more}) for key in INPUTS]
    dearer += [bill(replace(economics, **{name: getattr(economics, name) * more}), **run) for name in PRICES]
    for changed in dearer:
        for name in AMOUNTS:
            assert of(changed, name) >= of(at_first, name) * (1 - 1e-12), name


@given(economics=ECONOMICS, run=RUNS)
def test_a_purchase_spread_over_for_ever_leaves_electricity_and_upkeep(economics: Economics, run: dict) -> None:
    at = [bill(replace(economics, amortisation_years=years), **run) for years in (1.0, 10.0, 1e3, math.inf)]
    costs = [paid.purchase_usd for paid in at]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == at[0].electricity_usd + at[0].upkeep_usd


@given(economics=ECONOMICS, run=RUNS)
def test_carbon_is_the_facilitys_energy_times_the_factor(economics: Economics, run: dict) -> None:
    paid = bill(economics, **run)
    assert paid.carbon_kg == paid.facility_energy_j / 3.6e6 * economics.kg_per_kwh
    assert bill(replace(economics, kg_per_kwh=0.0), **run).carbon_kg == 0


@given(economics=ECONOMICS, run=RUNS)
def test_at_a_pue_of_one_the_facility_takes_what_its_systems_take(economics: Economics, run: dict) -> None:
    paid = bill(replace(economics, pue=1.0), **run)
    assert paid.facility_energy_j == paid.it_energy_j


@given(economics=ECONOMICS, run=RUNS)
def test_a_system_that_is_used_half_as_much_costs_twice_its_price_per_hour(economics: Economics, run: dict) -> None:
    full, half = (bill(replace(economics, utilisation=of_all), **run) for of_all in (1.0, 0.5))
    assert half.amortisation_usd == pytest.approx(2 * full.amortisation_usd, rel=1e-12)
    assert half.upkeep_usd == pytest.approx(2 * full.upkeep_usd, rel=1e-12)
    assert half.electricity_usd == full.electricity_usd


@pytest.mark.parametrize("basis", ["rental", "purchase"])
def test_an_array_of_runs_gives_each_runs_own_bill(basis: str) -> None:
    economics = replace(ROUND, price_basis=basis)
    rng = np.random.default_rng(0)
    time_s, n_units = rng.uniform(0, 1e6, 50), rng.integers(1, 64, 50).astype(float)
    power_w, price = rng.uniform(1e3, 3e4, 50), rng.uniform(1e4, 3e6, 50)
    paid = bill(economics, time_s=time_s, n_units=n_units, power_w=power_w, rental_usd_per_h=20.0, purchase_usd=price)

    def alone(i: int) -> Bill:
        return bill(
            economics,
            time_s=float(time_s[i]),
            n_units=float(n_units[i]),
            power_w=float(power_w[i]),
            rental_usd_per_h=20.0,
            purchase_usd=float(price[i]),
        )

    for name in AMOUNTS:
        assert getattr(paid, name).tolist() == [of(alone(i), name) for i in range(50)], name
