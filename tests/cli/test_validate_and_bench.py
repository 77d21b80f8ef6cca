"""`wse-sim validate` and `wse-sim bench`."""

import json
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from wse_sim.cli.app import main
from wse_sim.validation import ValidationRow


def row(name: str, error: float, *, used_to_fit: bool) -> ValidationRow:
    """A made-up row; 100 were published."""
    return ValidationRow(
        id=name,
        side="wafer",
        model="111m",
        system="cs2",
        num_systems=1,
        batch_size=120,
        seq_len=2048,
        release="r2",
        unit="samples/s",
        published=100.0,
        predicted=100.0 * (1 + error),
        error=error,
        used_to_fit=used_to_fit,
        source="made up",
    )


ROWS = [
    row("A", -0.02, used_to_fit=True),
    row("B", 0.25, used_to_fit=False),
    row("C", -0.05, used_to_fit=False),
]


@pytest.fixture(autouse=True)
def made_up_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wse_sim.validation.validate", lambda: ROWS)


def test_fitted_and_predicted_rows_are_summed_up_apart() -> None:
    content = json.loads(CliRunner().invoke(main, ["validate", "--json"]).stdout)
    assert [entry["id"] for entry in content["rows"]] == ["A", "B", "C"]
    assert content["errors"]["wafer fit"] == {"n_rows": 1, "mean_abs_error": 0.02, "max_abs_error": 0.02}
    assert content["errors"]["wafer predicted"]["max_abs_error"] == 0.25
    assert content["errors"]["wafer predicted"]["mean_abs_error"] == pytest.approx(0.15, rel=1e-12)
    assert any("working_bytes_per_activation" in name for name in content["fitted_constants"])


def test_the_table_shows_signed_errors_and_the_summary() -> None:
    text = CliRunner().invoke(main, ["validate"]).stdout
    for words in (
        "+25.0 %",
        "-2.0 %",
        "wafer predicted: 2 rows, mean |error| 15.0 %, largest 25.0 %",
        "fitted constants:",
    ):
        assert words in text


def test_markdown_has_a_line_per_row() -> None:
    lines = CliRunner().invoke(main, ["validate", "--markdown"]).stdout.splitlines()
    assert sum(line.startswith("| ") for line in lines) == 2 * 2 + len(ROWS)


def test_bench_engine_compares_the_two_engines() -> None:
    result = CliRunner().invoke(main, ["bench", "engine", "--runs", "1", "--json"])
    content = json.loads(result.stdout)
    assert [entry["engine"] for entry in content["engines"]] == ["reference", "compiled"]
    assert content["engines"][1]["ratio"] > 1


def test_bench_cli_times_whole_processes() -> None:
    with patch("wse_sim.cli.bench._COMMANDS", (("--help",),)):
        result = CliRunner().invoke(main, ["bench", "cli", "--runs", "1", "--json"])
    (process,) = json.loads(result.stdout)["processes"]
    assert process["command"] == "wse-sim --help"
    assert 0 < process["min_s"] == process["median_s"] == process["max_s"]
