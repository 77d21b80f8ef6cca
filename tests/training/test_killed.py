"""A run that is killed, whatever it is about, and resumed ends as one that was not, and no checkpoint is lost."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns import RecordFigures
from tests.release_check import ROOT

# Of the steps of a run most kills land in the first; a long run is what many kills need to be spread over.
FEW = {"n_kills": 3, "n_steps": 6}
MANY = {"dense": {"n_kills": 130, "n_steps": 40}, "streaming": {"n_kills": 70, "n_steps": 40}}
NONE_OF = ("differing bytes", "checkpoints lost", "half-written files left in the end")


def killed(folder: Path, executor: str, *, n_kills: int, n_steps: int, seed: int = 0) -> dict[str, Any]:
    """What a process that is not this one, whose threads a fork would lose, found."""
    folder.mkdir(exist_ok=True)
    words = [str(folder), executor, *map(str, (n_kills, n_steps, seed))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.killing", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_run_that_is_killed_a_few_times_ends_as_one_that_was_not(tmp_path: Path) -> None:
    found = killed(tmp_path, "dense", **FEW)
    assert found["kills"] >= FEW["n_kills"]
    assert found["runs that ended"] >= 1
    assert [found[name] for name in NONE_OF] == [0, 0, 0]


@pytest.mark.campaign
def test_a_run_that_is_killed_200_times_ends_as_one_that_was_not(tmp_path: Path, record_figures: RecordFigures) -> None:
    """The streamed one keeps its weights in a store on the disk."""
    found = {executor: killed(tmp_path / executor, executor, **how) for executor, how in MANY.items()}
    landed: Counter[str] = sum((Counter(each["landed"]) for each in found.values()), Counter())
    summed = {name: sum(each[name] for each in found.values()) for name in found["dense"] if name != "landed"}
    kills = {f"{executor}: kills": each["kills"] for executor, each in found.items()}
    record_figures("faults_in_training", summed | kills | {f"killed {place}": n for place, n in landed.items()})
    assert summed["kills"] >= 200
    assert [summed[name] for name in NONE_OF] == [0, 0, 0]
    assert summed["kills that left something half-written"] > 0
    assert landed.keys() >= {"in a step", "evaluating", "writing a checkpoint's tensors", "after the last step"}
