"""`wse-sim bench plan`: what is measured and told. No test here depends on how fast a machine is."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.documents import call, printed, validator
from wse_sim.cli.plan_speed import FULL, closed_form_rate, closed_form_sweep_seconds, event_sweep_seconds, gpu_rate
from wse_sim.cli.plan_speed_page import goals, page

PAGE = Path(__file__).parents[2] / "docs" / "results" / "plan_speed.md"
GOALS = (
    "closed form, a configuration",
    "closed form, configurations on one core",
    "closed form, rows of a sweep's CSV",
    "plan, 109,696 candidates",
    "sweep, 1,000 steps by the event engine",
    "closed form, largest error where nothing contends",
)


def made_up() -> dict[str, Any]:
    """A content with round figures."""
    return {
        "machine": {"cpu": "Z80", "cpus": 1, "load_average": None, "python": "3", "wse-sim": "0"}
        | {"numba": "0", "numpy": "2", "simpy": "4"},
        "runs": 2,
        "closed_form": {"configurations": 1000, "cpu_s": 0.02, "configurations_per_s": 5e4},
        "closed_form_sweep": {"rows": 100_000, "wall_s": 9.0, "cpu_s": 5.0},
        "gpus": {"jobs": 2, "layouts": 40, "cpu_s": 0.5, "layouts_per_s": 80.0, "jobs_per_s": 4.0},
        "event_sweep": {"points": 1000, "processes": 1, "wall_s": 11.0, "cpu_s": 10.0}
        | {"points_where_nothing_contends": 700, "largest_closed_form_error": 0.004}
        | {"largest_closed_form_error_of_all": 0.05},
        "plan": {"candidates": 109_696, "wall_s": 4.0, "cpu_s": 3.0},
    }


def test_goals_are_held_against_what_was_measured() -> None:
    found = [(row["goal"], row["measured"], row["is_met"]) for row in goals(made_up())]
    assert found == [
        (GOALS[0], 1 / 5e4, False),
        (GOALS[1], 5e4, False),
        (GOALS[2], 2e4, True),
        (GOALS[3], 4.0, True),
        (GOALS[4], 11.0, False),
        (GOALS[5], 0.004, True),
    ]


def test_page_has_a_row_for_every_goal_and_every_rate() -> None:
    content = made_up()
    text = page({**content, "goals": goals(content)})
    assert text.startswith("# Speed of plans and sweeps\n\nMade by `wse-sim bench plan --runs 2 --markdown >")
    assert f"| {GOALS[4]} | ≤ 10.0 s | 11.0 s | NO |" in text
    assert f"| {GOALS[2]} | ≥ 20,000/s | 20,000/s | yes |" in text
    assert "| layouts of jobs on GPUs | 40 | 500 ms | – | 80.0 |" in text
    assert "contention below 0.9 in 700 of 1,000, largest error there 0.4 %, in all 5.0 %" in text


def test_committed_page_has_a_row_for_every_goal_and_says_where_it_was_measured() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert tuple(rows[2 : 2 + len(GOALS)]) == GOALS
    assert "Measured: best of " in text
    assert " CPUs" in text


def test_quick_measures_all_and_quotes_no_goal() -> None:
    result = call("bench", "plan", "--quick", "--runs", "1", "--json")
    content = json.loads(result.stdout)
    validator("bench-plan").validate(content)
    assert (content["kind"], content["goals"]) == ("measured", [])
    assert content["machine"]["cpus"] >= 1
    assert content["plan"]["candidates"] > 1000
    assert result.stderr.startswith("1/1 rounds  ")


def test_as_much_is_measured_as_was_asked_for() -> None:
    assert closed_form_rate(1000).configurations == 1000
    assert closed_form_sweep_seconds(1000).rows == 1000
    gpus = gpu_rate()
    assert gpus.layouts_per_s * gpus.cpu_s == pytest.approx(gpus.layouts, rel=1e-12)
    sweep = event_sweep_seconds(20)
    assert sweep.points == 20
    assert 0 < sweep.points_where_nothing_contends <= 20
    assert 0 < sweep.largest_closed_form_error < 0.01
    assert sweep.cpu_s > 0


def test_a_full_plan_has_more_than_a_hundred_thousand_candidates() -> None:
    assert printed("plan", "--model", "2.7b", "--max-cost", "200k", *FULL.plan)["n_candidates"] == 109_696
