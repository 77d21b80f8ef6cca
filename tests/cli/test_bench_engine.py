"""`wse-sim bench engine`: what is compared, timed and told. No test here depends on how fast a machine is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.documents import call, printed, screen, validator
from tests.watching import Heard
from wse_sim.cli import engine_speed
from wse_sim.cli.engine_speed import SMALL_STEP, Contestant, best_rows, check_agreement, step, with_ratios
from wse_sim.cli.engine_speed_page import goals
from wse_sim.engine.max_plus import max_plus_step_ends_ps, run_max_plus

TWINS = Path(__file__).parent.parent / "benchmarks"
QUICK = ["bench", "engine", "--quick", "--runs", "1"]
ENGINES = {"DES", "max-plus", "max-plus, fast-forward", "DES, recording", "max-plus, recording"}


@pytest.fixture(autouse=True)
def one_call_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_speed, "_LEAST_S", 1e-9)


def test_twins_are_measured_where_they_are() -> None:
    result = call(*QUICK, "--twins", TWINS, "--json")
    content = json.loads(result.stdout)
    validator("bench-engine").validate(content)
    rows = {row["engine"]: row for row in content["engines"]}
    assert content["kind"] == "measured"
    assert content["machine"]["cpus"] >= 1
    assert {"reference (SimPy)", "lean SimPy", "DES kernel", "max-plus kernel"} | ENGINES <= set(rows)
    assert rows["DES"]["tasks"] == content["step"]["tasks"] == 2 * content["simpy_step"]["tasks"]
    assert rows["DES"]["tasks_per_s"] * rows["DES"]["cpu_s"] == pytest.approx(content["step"]["tasks"], rel=1e-12)
    assert rows["max-plus kernel"]["times_reference"] > 1
    assert rows["lean SimPy"]["times_lean"] == 1
    said = [line.split("  ")[0] for line in result.stderr.splitlines()]
    assert "15/15 engines compared" in said  # after others, where compiling takes long
    assert said[-1] == "1/1 rounds"


def test_nothing_is_made_up_without_twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = screen(*QUICK, "--markdown")
    assert {line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")} == {
        *("engine", "---", "reference (SimPy)"),
        *ENGINES,
    }
    assert "Without lean SimPy and C++: they need --twins tests/benchmarks of a checkout, and g++." in text


def test_folder_without_twins_is_refused(tmp_path: Path) -> None:
    result = call(*QUICK, "--twins", tmp_path)
    assert result.exit_code != 0
    assert "has no kernels.py" in result.output


def test_full_adds_growth_and_memory_that_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = printed(*QUICK, "--full")
    validator("bench-engine").validate(content)
    assert [row["engine"] for row in content["growth"]] == ["DES", "DES", "max-plus", "max-plus"]
    assert [row["tasks"] > 90_000 for row in content["growth"]] == [False, True, False, True]
    for row in content["memory"]:
        assert row["one_step_bytes"] > 10_000
        assert row["bytes_per_further_step"] < 32


def test_disagreement_about_the_end_of_a_step_is_found() -> None:
    program = step(SMALL_STEP, 12)
    ends_ps = max_plus_step_ends_ps(program)
    check_agreement(
        [fake("a", program, ends_ps), fake("b", program, ends_ps), fake("c", step(SMALL_STEP, 24), ends_ps)]
    )
    with pytest.raises(AssertionError, match="the end of a step: b"):
        check_agreement([fake("a", program, ends_ps), fake("b", program, ends_ps + 1)])


def test_disagreement_about_a_finish_time_is_found() -> None:
    program = step(SMALL_STEP, 12)
    finish = run_max_plus(program)
    later = replace(finish, up=np.where(np.arange(finish.up.shape[1]) == 7, finish.up + 1, finish.up))
    with pytest.raises(AssertionError, match="a finish time: b"):
        check_agreement([fake("a", program, finish), fake("b", program, later)])


def test_contestants_take_turns_and_the_best_call_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    program = step(SMALL_STEP, 12)
    now_s, turns = 0.0, []

    def contestant(name: str, call_s: list[float]) -> Contestant:
        def work() -> Any:
            nonlocal now_s
            turns.append(name)
            now_s += call_s.pop(0)

        return Contestant(name, program, lambda: work)

    monkeypatch.setattr(engine_speed.time, "thread_time", lambda: now_s)
    heard = Heard()
    rows = best_rows([contestant("a", [3.0, 1.0, 2.0]), contestant("b", [4.0, 6.0, 5.0])], 3, heard)
    assert turns == ["a", "b"] * 3
    assert (heard.begun, heard.n_came) == ([(3, "rounds", 0)], 3)
    assert [row["cpu_s"] for row in rows] == [1.0, 4.0]
    assert [row["tasks_per_s"] for row in rows] == [program.n_tasks, program.n_tasks / 4]


def fake(name: str, program: Any, result: Any) -> Contestant:
    return Contestant(name, program, lambda: lambda: result)


def made_up() -> dict[str, Any]:
    """A content with round figures: recording costs 25 %, C++ is twice as fast, the longest run 1.5 times as slow."""
    tasks_per_s = {
        "reference (SimPy)": 1,
        "lean SimPy": 5,
        "DES": 400,
        "max-plus": 4000,
        "max-plus, fast-forward": 8000,
    }
    tasks_per_s |= {"DES kernel": 500, "DES kernel in C++": 1000, "DES kernel, recording": 400}
    rows = [{"engine": name, "tasks": 40, "cpu_s": 40 / r, "tasks_per_s": r} for name, r in tasks_per_s.items()]
    growth = [{"engine": "DES", "tasks": n, "cpu_s": s, "tasks_per_s": n / s} for n, s in ((10, 20), (100, 300))]
    memory = [{"engine": "DES", "one_step_bytes": 1000, "bytes_per_further_step": 8.0}]
    return {"engines": with_ratios(rows), "growth": growth, "memory": memory}


def test_goals_are_held_against_what_was_measured() -> None:
    assert [(row["goal"], row["measured"], row["is_met"]) for row in goals(made_up())] == [
        ("DES against the reference", 400.0, True),
        ("DES against lean SimPy", 80.0, False),
        ("DES kernel against C++", 0.5, False),
        ("max-plus against DES", 10.0, True),
        ("DES, the step", 0.1, False),
        ("max-plus, the step", 0.01, False),
        ("max-plus, fast-forward, the step", 0.005, False),
        ("DES kernel, recording, against DES kernel", pytest.approx(0.25, rel=1e-12), False),
        ("DES, time per task of the longest run over the shortest", 1.5, False),
        ("DES, memory of a further step", 8.0, True),
    ]
