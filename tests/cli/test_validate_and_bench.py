"""`wse-sim validate` and `wse-sim bench`."""

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.cli.documents import call, printed, screen
from wse_sim.calibration import Evidence, FittedConstant
from wse_sim.validation import ValidationRow


def row(name: str, error: float, **changes: Any) -> ValidationRow:
    """A made-up row; 100 were published."""
    given: dict[str, Any] = {
        "id": name,
        "group": "made up",
        "side": "wafer",
        "model": "111m",
        "system": "cs2",
        "num_systems": 1,
        "batch_size": 120,
        "seq_len": 2048,
        "release": "r2",
        "unit": "samples/s",
        "published": 100.0,
        "predicted": 100.0 * (1 + error),
        "error": error,
        "used_to_fit": True,
        "source": "made up",
    }
    return ValidationRow(**{**given, **changes})


ROWS = [
    row("A", -0.02, error_without_row=-0.03, error_without_group=-0.12),
    row("B", 0.25, used_to_fit=False),
    row("C", -0.05, used_to_fit=False),
    row(
        "source D", -0.01, side="gpu", system="h100", group="source", error_without_row=-0.015, error_without_group=0.04
    ),
    row("source E", 0.125, side="gpu", system="h100", group="source", used_to_fit=False, error_without_group=0.14),
]
CONSTANT = FittedConstant(
    side="wafer",
    name="csx.made_up",
    meaning="nothing",
    value=2.0,
    low=1.5,
    high=2.5,
    fixed_by="",
    leverages={"A": 0.75},
)
shown = partial(screen, "validate")


@pytest.fixture(autouse=True)
def made_up_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wse_sim.calibration.evidence", lambda watch: Evidence(rows=ROWS, constants=[CONSTANT]))


def test_fitted_predicted_and_left_out_rows_are_summed_up_apart() -> None:
    content = printed("validate")
    assert [entry["id"] for entry in content["rows"]] == ["A", "B", "C", "source D", "source E"]
    assert content["errors"]["wafer fit"] == {
        "n_rows": 1,
        "mean_error": -0.02,
        "mean_abs_error": 0.02,
        "max_abs_error": 0.02,
    }
    assert content["errors"]["wafer predicted"]["max_abs_error"] == 0.25
    assert content["errors"]["wafer predicted"]["mean_abs_error"] == pytest.approx(0.15, rel=1e-12)
    assert content["errors"]["wafer without the row"]["mean_abs_error"] == 0.03
    assert content["errors"]["wafer without its group"]["mean_abs_error"] == 0.12
    assert content["fitted_constants"][0]["name"] == "csx.made_up"


def test_the_tables_show_signed_errors_constants_and_the_summary() -> None:
    text = shown()
    for words in (
        "+25.0 %",
        "-2.0 %",
        "-3.0 %",
        "-12.0 %",
        "1.50 – 2.50",
        "A (75 %)",
        "wafer predicted: 2 rows, mean |error| 15.0 %, largest 25.0 %",
    ):
        assert words in text
    assert "D" not in text.split()
    assert "D" in shown("--gpu-rows").split()
    assert "gpu without its group: 2 rows, mean |error| 9.0 %, largest 14.0 %" in text


def test_markdown_has_a_line_per_row_and_names_what_is_missed() -> None:
    text = shown("--markdown")
    n_tables, n_sources = 5, 1
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 * n_tables + len(ROWS) + n_sources + 1
    assert "- as shipped: B +25.0 %\n" in text
    assert "- fitted without the row: none\n" in text
    assert "- fitted without its group: A -12.0 %\n" in text
    assert "| source | 2 | 1 | +5.8 % | 6.8 % | 12.5 % | 9.0 % |\n" in text
    assert "- source, 1 of 2: E +12.5 %\n" in text


def test_figure_is_written_and_linked(tmp_path: Path) -> None:
    path = tmp_path / "drawn.svg"
    assert "](drawn.svg)" in shown("--markdown", "--figure", str(path))
    assert "mean error 10.7 %, largest 25.0 %" in path.read_text(encoding="utf-8")


def test_figure_that_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    result = call("validate", "--figure", tmp_path / "missing" / "drawn.svg")
    assert result.exit_code != 0
    assert "cannot be written" in result.stderr


def test_bench_cli_times_whole_processes() -> None:
    with patch("wse_sim.cli.bench._COMMANDS", (("--help",),)):
        (process,) = printed("bench", "cli", "--runs", "1")["processes"]
    assert process["command"] == "wse-sim --help"
    assert 0 < process["min_s"] == process["median_s"] == process["max_s"]
