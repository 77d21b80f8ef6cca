"""How energy, carbon and money are counted: the data, the user's file over it, and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.cluster import SYSTEMS, load_cluster
from wse_sim.spec.economics import Economics, Grid, load_economics, priced

OURS = """
default_grid = "dam"

[pue]
value = 1.1
kind = "assumed"
source = "our hall"

[grid.Dam]
place = "our dam"
value = 0.01
kind = "assumed"
source = "our dam"

[units.cs2.rental_usd_per_h]
value = 60
kind = "published"
source = "our contract"
as_of = "2026-06"

[units.cs2.purchase_usd]
value = 1e6
kind = "published"
source = "our offer"
"""


def write(folder: Path, text: str) -> str:
    path = folder / "ours.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_grid_of_the_data_has_a_place_and_a_year() -> None:
    grids = [c for c in load_economics().constants.values() if isinstance(c, Grid)]
    assert len(grids) >= 6
    for grid in grids:
        assert grid.place
        assert grid.as_of is not None
        assert 0 < grid.value < 1.2  # a lignite plant's


def test_clean_grids_are_below_the_world_and_coals_above() -> None:
    kg = {
        name: load_economics().with_choices(grid=name).kg_per_kwh for name in ("norway", "eu", "us", "world", "india")
    }
    assert list(kg.values()) == sorted(kg.values())


def test_every_system_has_a_dated_price_for_rent_and_for_purchase() -> None:
    for system in SYSTEMS:
        constants = load_cluster(system, 1).constants
        assert all(constants[name].as_of for name in ("csx.usd_per_hour", "csx.purchase_usd"))
        assert constants["csx.power_w"].ends[1] > constants["csx.power_w"].value


def test_a_grid_is_a_name_in_any_case_or_a_number() -> None:
    economics = load_economics()
    assert economics.grid_in_words == "United States, 2024"
    assert economics.with_choices(grid="EU").grid_in_words == "European Union, 2024"
    assert economics.with_choices(grid="0.35").kg_per_kwh == 0.35
    assert economics.with_choices(grid="0").grid_in_words == "as given"


def test_a_bill_says_how_it_was_counted() -> None:
    chosen = load_economics().with_choices(price_basis="purchase", grid="0.35", pue=1.2)
    assert chosen.terms == {"price_basis": "purchase", "pue": 1.2, "kg_per_kwh": 0.35, "grid": "as given"}


def test_what_is_not_chosen_stays() -> None:
    economics = load_economics()
    assert economics.with_choices() == economics
    chosen = economics.with_choices(price_basis="purchase", usd_per_kwh=0.2, pue=1.2)
    assert replace(chosen, price_basis="rental", usd_per_kwh=economics.usd_per_kwh, pue=economics.pue) == replace(
        economics, constants=chosen.constants
    )
    assert set(economics.constants) - set(chosen.constants) == {"usd_per_kwh", "pue"}  # not the data's any more


def test_only_constants_that_a_bill_uses_are_called_assumed(tmp_path: Path) -> None:
    economics = load_economics(write(tmp_path, OURS))
    assert economics.assumed == ["economics.grid.dam", "economics.pue"]
    assert economics.with_choices(grid="eu", pue=1.3).assumed == []
    assert economics.with_choices(price_basis="purchase", grid="eu", pue=1.3).assumed == ["economics.utilisation"]


def test_a_users_file_takes_the_place_of_what_it_names_alone(tmp_path: Path) -> None:
    ours, data = load_economics(write(tmp_path, OURS)), load_economics()
    assert (ours.pue, ours.kg_per_kwh, ours.grid_in_words) == (1.1, 0.01, "our dam")
    assert (ours.usd_per_kwh, ours.utilisation) == (data.usd_per_kwh, data.utilisation)
    assert ours.with_choices(grid="us").kg_per_kwh == data.kg_per_kwh
    assert load_economics(write(tmp_path, "")) == data


def test_a_users_price_of_a_system_replaces_the_datas_with_its_source(tmp_path: Path) -> None:
    ours, plain = load_economics(write(tmp_path, OURS)), load_cluster("cs2", 4)
    cluster = priced(plain, ours)
    assert (cluster.csx.usd_per_hour, cluster.csx.purchase_usd) == (60, 1e6)
    assert cluster.csx.power_w == plain.csx.power_w
    assert cluster.constants["csx.usd_per_hour"].source == "our contract"
    assert plain.constants["csx.usd_per_hour"].value == plain.csx.usd_per_hour != 60  # nobody wrote to it
    assert priced(load_cluster("cs3", 4), ours) == load_cluster("cs3", 4)
    assert {name: constant.value for name, constant in ours.known("cs2").items()} == {
        "rental_usd_per_h": 60,
        "purchase_usd": 1e6,
    }
    assert ours.known("h100") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[puee]\nvalue = 1",
            r"ours\.toml: unknown key 'puee': did you mean 'pue'\? known are default_grid, usd_per_kwh",
        ),
        ("[pue]\nvalue = 1.2", r"ours\.toml: key 'pue': .*missing required field `kind`"),
        ("[pue]\nvalue = 0.9\nkind = 'assumed'\nsource = 'x'", r"ours\.toml: pue is 0\.9: it must be at least 1"),
        ("[utilisation]\nvalue = 0\nkind = 'assumed'\nsource = 'x'", "utilisation is 0.0: it must be at least 1e-06"),
        ("grid = 5", r"ours\.toml: key 'grid'"),
        ("[grid.home]\nvalue = 1\nkind = 'assumed'\nsource = 'x'", "missing required field `place`"),
        ("default_grid = 'uss'", r"ours\.toml: unknown grid or number of kg per kWh 'uss': did you mean 'us'"),
        (
            "[units.cs4.power_w]\nvalue = 1\nkind = 'assumed'\nsource = 'x'",
            r"unknown system or GPU in .*\[units\] 'cs4'",
        ),
        ("[units.cs3.power]\nvalue = 1\nkind = 'assumed'\nsource = 'x'", "unknown key .*power'.*power_w"),
        (
            "[units.cs3.power_w]\nvalue = -1\nkind = 'assumed'\nsource = 'x'",
            "power_w is -1: it must be a number at least 0",
        ),
        (
            "[units.cs3.power_w]\nvalue = inf\nkind = 'assumed'\nsource = 'x'",
            "power_w is inf: it must be a number at least 0, at most",
        ),
        ("x = = 1", r"ours\.toml: is not TOML"),
    ],
)
def test_a_mistake_in_a_users_file_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_economics(write(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("usd_per_kwh", -0.1, "usd_per_kwh is -0.1: it must be at least 0"),
        ("usd_per_kwh", math.nan, "usd_per_kwh is nan"),
        ("upkeep_per_year", math.inf, "upkeep_per_year is inf"),
        ("pue", 0.5, "pue is 0.5: it must be at least 1"),
        ("pue", math.inf, "pue is inf: it must be at least 1"),
        ("pue", 1e308, "pue is 1e.308: it must be at least 1 and at most 10"),
        ("usd_per_kwh", 1e308, "usd_per_kwh is 1e.308: it must be at least 0 and at most 1000"),
        ("kg_per_kwh", 350.0, "grid is 350.0: it must be 0 to 10 kg per kWh, not grams"),
        ("kg_per_kwh", -0.5, "grid is -0.5: it must be 0 to 10 kg per kWh"),
        ("kg_per_kwh", 10.5, "grid is 10.5: it must be 0 to 10 kg per kWh"),
        ("amortisation_years", 0.0, "amortisation_years is 0.0: it must be at least 0.001"),
        ("amortisation_years", -1.0, "amortisation_years is -1.0: it must be at least 0.001"),
        ("utilisation", -0.5, "utilisation is -0.5: it must be at least 1e-06 and at most 1"),
        ("utilisation", 1.1, "utilisation is 1.1: it must be at least 1e-06 and at most 1"),
        ("price_basis", "lease", "price_basis is 'lease': it must be rental or purchase"),
    ],
)
def test_a_value_out_of_its_range_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        replace(load_economics(), **{name: value})


def test_the_ends_of_the_ranges_are_taken() -> None:
    ends = {"usd_per_kwh": 0.0, "upkeep_per_year": 0.0, "pue": 1.0, "kg_per_kwh": 10.0, "utilisation": 1.0}
    taken = replace(load_economics(), **ends, amortisation_years=math.inf)
    assert {name: getattr(taken, name) for name in ends} == ends


@pytest.mark.parametrize("usd_per_h", [0, 0.5])
def test_a_system_may_cost_little_or_nothing(tmp_path: Path, usd_per_h: float) -> None:
    ours = load_economics(write(tmp_path, OURS.replace("value = 60", f"value = {usd_per_h}")))
    assert priced(load_cluster("cs2", 1), ours).csx.usd_per_hour == usd_per_h


def test_a_planner_needs_no_data_file() -> None:
    bare = Economics(usd_per_kwh=0.1, pue=1.2, kg_per_kwh=0.4, amortisation_years=4, utilisation=1, upkeep_per_year=0)
    assert (bare.assumed, bare.known("cs3"), bare.grid_in_words) == ([], {}, "as given")
