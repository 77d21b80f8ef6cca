"""The same command gives the same bytes, in print and on disk, but for named fields that a clock measures."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.campaigns import RecordFigures
from tests.determinism.commands import COMMANDS, Command, write_inputs
from tests.determinism.outputs import (
    ALONE,
    PRINTED,
    ROOT,
    call_cheap_ones,
    differences,
    environment,
    run_alone,
    run_cheap_ones,
)
from wse_sim.report.clock_fields import CLOCK_FIELDS, MACHINE_FIELDS
from wse_sim.report.fields import all_fields

TRAINED = ("dense", "proxy", "full", "swept")  # folders of runs


def is_one_of(where: str, fields: Iterable[str]) -> bool:
    """Whether a field, or one inside another document or around this one, is called so.

    Or `cpu_s`, of stream.jsonl, or `seconds`, of the document of one claim alone.
    """
    return any(f".{field}." in f".{where}." for field in (*fields, "cpu_s", "seconds"))


def unexplained(found: Iterable[tuple[str, str]], fields: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, where) for name, where in found if not is_one_of(where, fields)]


def test_fields_of_the_clock_are_fields() -> None:
    assert {*CLOCK_FIELDS, *MACHINE_FIELDS} <= {field.name for field in all_fields()}


def test_commands_give_the_same_bytes_in_another_process_folder_time_zone_and_locale(tmp_path: Path) -> None:
    folders = [tmp_path / "here" / "work", tmp_path / "deeper" / "wörk"]
    call_cheap_ones(folders[0], 1)
    run_cheap_ones(folders[1], 1)
    assert len(list((folders[0].with_name(PRINTED)).iterdir())) > 20
    found = list(differences(folders[0], folders[1]))
    found += differences(*(folder.with_name(PRINTED) for folder in folders))
    assert unexplained(found, CLOCK_FIELDS) == []
    assert {where.removeprefix("simulated.") for _, where in found} == {"engine.wall_s", "engine.events_per_s"}


@pytest.mark.campaign
def test_every_command_gives_the_same_bytes_in_three_processes(tmp_path: Path, record_figures: RecordFigures) -> None:
    """With one, two and three workers; the third on a machine that has been measured anew."""
    folders = [tmp_path / "here" / "work", tmp_path / "deeper" / "wörk", tmp_path / "x" / "y" / "z"]
    caches = [tmp_path / "cache", tmp_path / "cache", tmp_path / "another cache"]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        write_inputs(folder)
        for command in COMMANDS:
            if not (command.by_budget and caches[number] != caches[0]):
                run_alone(command, folder, number, caches[number])
    again, anew = (list(found_between(folders[0], folder)) for folder in folders[1:])
    anew = [(name, where) for name, where in anew if where != ALONE]
    assert unexplained(again, CLOCK_FIELDS) == []
    assert unexplained(anew, (*CLOCK_FIELDS, *MACHINE_FIELDS)) == []
    fields = (*CLOCK_FIELDS, *MACHINE_FIELDS)
    differing = {field for field in fields for _, where in [*again, *anew] if is_one_of(where, [field])}
    assert differing | {"choice.reasons"} == set(fields)  # in these runs nothing but fractions of seconds is expected
    figures = {
        "commands, each in three processes": len(COMMANDS),
        "files compared": sum(1 for path in folders[0].parent.rglob("*") if path.is_file()),
        "fields that differ, all named": len(differing),
        "differing bytes elsewhere": 0,
    }
    record_figures("determinism", {**figures, "reports made again elsewhere, the same bytes": remade(folders)})


def found_between(here: Path, there: Path) -> list[tuple[str, str]]:
    """In what they hold, and in what was printed beside them; not in what tells the time of a run in prose."""
    found = [*differences(here, there), *differences(here.with_name(PRINTED), there.with_name(PRINTED))]
    return [(name, where) for name, where in found if not (is_of_a_run(name) and where == "bytes")]


def is_of_a_run(name: str) -> bool:
    """Reports of runs show how long they took, here made again from the same figures in `remade`."""
    return name.endswith("report.html") and name.split("/")[0] in TRAINED


def remade(folders: list[Path]) -> int:
    """How many reports are the same bytes when they are made again, elsewhere, of the same runs."""
    reports = [path.relative_to(folders[0]) for run in TRAINED for path in folders[0].glob(f"{run}/**/report.html")]
    elsewhere = folders[1].with_name("copied")
    for run in TRAINED:
        shutil.copytree(folders[0] / run, elsewhere / run)
    for report in reports:
        before = (folders[0] / report).read_bytes()
        (elsewhere / report).unlink()
        run_alone(Command("", ("report", str(report.parent))), elsewhere, 1, folders[0].parents[1] / "cache")
        assert (elsewhere / report).read_bytes() == before, report
    return len(reports)


@pytest.mark.campaign
def test_tests_have_the_same_names_whenever_and_wherever_they_are_collected(record_figures: RecordFigures) -> None:
    """Or the workers of pytest-xdist, which collect each by itself, could not share them out."""

    def names(hash_seed: str) -> list[str]:
        program = [sys.executable, "-m", "pytest", "--collect-only", "-m", "campaign or not campaign"]
        environ = {**environment(0, Path.home() / ".cache"), "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(program, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
        return [line for line in done.stdout.splitlines() if "::" in line]

    first = names("0")
    time.sleep(1.1)  # names must not hang on the second in which they are made
    second = names("4242")
    assert len(first) > 4000
    assert first == second
    record_figures("determinism", {"tests collected twice": len(first), "names that differ": 0})
