"""The committed page and figure of the validation are what the simulator says today."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from wse_sim.calibration import Evidence
from wse_sim.files import json_text
from wse_sim.report.validation_figure import figure
from wse_sim.report.validation_page import SHOWN, page, shown_elsewhere
from wse_sim.spec.load import data_path

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NUMBER = re.compile(r"(?<![\w.,])[-+]?\d[\d,]*(?:\.\d+)?(?![\w.])")
REDO = "wse-sim validate --markdown --figure docs/results/validation.svg > docs/results/validation.md"


@pytest.fixture(scope="module")
def content(found: Evidence) -> dict[str, Any]:
    return found.as_dict()


def same_but_for_the_last_digit(text: str, other: str) -> bool:
    """Same words, and numbers that differ by one in the last digit shown at most: rounding at its edge."""
    if NUMBER.sub("#", text) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(text), NUMBER.findall(other), strict=True)
    return all(abs(_value(a) - _value(b)) <= 1.001 * max(_unit(a), _unit(b)) for a, b in pairs)


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _unit(number: str) -> float:
    """Of the last digit that is not a trailing zero of a rounded whole number."""
    whole, _, decimals = number.lstrip("+-").replace(",", "").partition(".")
    if decimals:
        return 10.0 ** -len(decimals)
    return 10.0 ** max(0, len(whole) - 4)  # rates are shown with four digits


@pytest.mark.parametrize(
    ("text", "other", "is_same"),
    [
        ("a | 1.24 | +0.1 %", "a | 1.25 | +0.2 %", True),
        ("a | 1.24 |", "a | 1.26 |", False),
        ("a | 41,820 |", "a | 41,830 |", True),
        ("a | 41,820 |", "a | 41,840 |", False),
        ("O1-128 (16 %)", "O1-256 (16 %)", False),
        ("mean 4.3 %", "largest 4.3 %", False),
    ],
)
def test_the_comparison_sees_changes(text: str, other: str, is_same: bool) -> None:
    assert same_but_for_the_last_digit(text, other) is is_same


def test_committed_page_is_what_the_command_prints(content: dict[str, Any]) -> None:
    committed = (RESULTS / "validation.md").read_text(encoding="utf-8").splitlines()
    fresh = page(content, "validation.svg").splitlines()
    assert len(committed) == len(fresh), REDO
    for old, new in zip(committed, fresh, strict=True):
        assert same_but_for_the_last_digit(old, new), f"{old!r} is now {new!r}: {REDO}"


def test_what_reports_show_is_true_today(content: dict[str, Any]) -> None:
    redo = f"wse-sim validate --shown wse_sim/data/validation/{SHOWN}"
    committed = data_path("validation", SHOWN).read_text(encoding="utf-8").splitlines()
    fresh = json_text(shown_elsewhere(content)).splitlines()
    assert len(committed) == len(fresh), redo
    for old, new in zip(committed, fresh, strict=True):
        assert same_but_for_the_last_digit(old, new), f"{old!r} is now {new!r}: {redo}"


def test_committed_figure_says_what_is_true_today(content: dict[str, Any]) -> None:
    titles = [
        ET.fromstring(svg).findtext("{http://www.w3.org/2000/svg}title") or ""  # noqa: S314 - our own file
        for svg in ((RESULTS / "validation.svg").read_text(encoding="utf-8"), figure(content))
    ]
    assert "throughput of 19 runs" in titles[0]
    assert same_but_for_the_last_digit(*titles), REDO


def test_the_figure_marks_every_wafer_row_twice_every_gpu_row_once_and_is_the_same_each_time(
    content: dict[str, Any],
) -> None:
    svg = figure(content)
    n_legend = len({(row["model"], row["system"]) for row in content["rows"] if row["side"] == "wafer"}) + 2
    n_wafer, n_gpu = (sum(row["side"] == side for row in content["rows"]) for side in ("wafer", "gpu"))
    markers = re.findall(r'<use [^>]*style="(?:fill: var\(--series-\d\)|fill-opacity: 0)', svg)
    assert len(markers) == 2 * n_wafer + n_gpu + n_legend
    assert svg == figure(content)
    assert "prefers-color-scheme: dark" in svg
    assert "#0101" not in svg


def test_every_row_and_constant_is_on_the_page(content: dict[str, Any]) -> None:
    text = page(content, "validation.svg")
    for row in content["rows"]:
        assert f"| {row['id']} |" in text
    for constant in content["fitted_constants"]:
        assert f"| {constant['name']} |" in text


def test_no_interval_of_a_share_goes_beyond_1(content: dict[str, Any]) -> None:
    shares = [c for c in content["fitted_constants"] if c["name"].endswith(("_fraction", "_efficiency"))]
    assert max(share["high"] for share in shares) == 1.0
