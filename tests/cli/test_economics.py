"""Energy, carbon and cost as a user asks for them."""

from functools import partial
from pathlib import Path

import pytest

from tests.cli.documents import call, printed
from wse_sim.spec.cluster import load_cluster

SIMULATE = ("simulate", "--model", "111m")
simulated = partial(printed, *SIMULATE)


def test_by_default_energy_is_the_systems_and_cost_their_rent() -> None:
    content, csx = simulated(), load_cluster("cs2", 1).csx
    assert content["energy_j"] == content["run_time_s"] * content["num_csx"] * csx.power_w
    assert content["cost_usd"] == content["run_time_s"] / 3600 * content["num_csx"] * csx.usd_per_hour
    assert content["cost_parts_usd"] == {"rental": content["cost_usd"]}
    assert (content["price_basis"], content["price_as_of"]) == ("rental", "2026-04")
    assert content["energy_j_low"] < content["energy_j"] < content["energy_j_high"]


def test_carbon_is_energy_times_pue_times_the_grid() -> None:
    content = simulated("--grid", "0.5", "--pue", "1.25")
    assert content["facility_energy_j"] == content["energy_j"] * 1.25
    assert content["carbon_kg"] == pytest.approx(content["energy_j"] / 3.6e6 * 1.25 * 0.5, rel=1e-12)
    assert (content["grid"], content["kg_per_kwh"], content["pue"]) == ("as given", 0.5, 1.25)


def test_neither_prices_nor_grids_change_the_step() -> None:
    plain = simulated()
    other = simulated("--price-basis", "purchase", "--grid", "india", "--electricity-usd-per-kwh", "0.3", "--pue", "2")
    changed = {name for name in plain if plain[name] != other[name] and name != "engine"}
    assert changed == {
        *("facility_energy_j", "pue", "carbon_kg", "kg_per_kwh", "grid"),
        *("cost_usd", "cost_usd_low", "cost_usd_high", "cost_parts_usd", "usd_per_unit_h"),
        *("price_basis", "price_as_of", "assumed", "assumed_constants"),
    }


def test_a_purchase_is_paid_in_parts_and_names_what_it_assumes() -> None:
    content = simulated("--price-basis", "purchase")
    assert list(content["cost_parts_usd"]) == ["amortisation", "electricity", "upkeep"]
    assert content["cost_usd"] == pytest.approx(sum(content["cost_parts_usd"].values()), rel=1e-12)
    assert "economics.utilisation" in content["assumed"]
    assert "economics.utilisation" not in simulated()["assumed"]


def test_a_users_file_sets_prices_power_and_grid(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        "default_grid = 'norway'\n[units.cs2.power_w]\nvalue = 30000\nkind = 'assumed'\nsource = 'our meter'\n",
        encoding="utf-8",
    )
    content = simulated("--economics", str(path))
    assert content["grid"] == "Norway, 2024"
    assert content["energy_j"] == content["run_time_s"] * content["num_csx"] * 30_000
    assert "csx.power_w" in content["assumed"]
    assert simulated("--economics", str(path), "--grid", "us")["grid"] == "United States, 2024"


def test_the_table_says_what_carbon_and_cost_stand_on() -> None:
    rented = " ".join(call(*SIMULATE).stdout.split())
    assert "at 0.384 kg/kWh (United States, 2024), PUE 1.44" in rented
    assert "rental at $81.00 per system and hour; price of 2026-04" in rented
    assert "systems alone, at least" in rented
    bought = " ".join(call(*SIMULATE, "--price-basis", "purchase", "--grid", "0.35").stdout.split())
    assert "at 0.35 kg/kWh (as given)" in bought
    assert "purchase: amortisation $" in bought


def test_explain_prints_the_constants_with_dates_and_sources() -> None:
    content = printed("explain", "economics")["constants"]
    assert content["grid.us"]["as_of"] == "2024"
    assert "Ember" in content["grid.us"]["source"]
    assert "as of" in call("explain", "economics").stdout
    assert printed("explain", "economics.pue")["constants"] == {"pue": content["pue"]}
    assert "as of" not in call("explain", "operations").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SIMULATE, "--grid", "uss"), "unknown grid or number of kg per kWh 'uss': did you mean 'us'?"),
        ((*SIMULATE, "--grid", "350"), "grid is 350.0: it must be 0 to 10 kg per kWh, not grams"),
        ((*SIMULATE, "--pue", "0.9"), "pue is 0.9: it must be at least 1"),
        ((*SIMULATE, "--electricity-usd-per-kwh", "0.1"), "rent has electricity in it: use --price-basis purchase"),
        (
            (*SIMULATE, "--price-basis", "purchase", "--electricity-usd-per-kwh", "-1"),
            "usd_per_kwh is -1.0: it must be at least 0",
        ),
        ((*SIMULATE, "--economics", "/no/such.toml"), "/no/such.toml: cannot be read"),
        (("explain", "economics.pued"), "unknown constant of carbon and money 'pued': did you mean 'pue'?"),
    ],
)
def test_wrong_input_exits_2_with_one_message(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
