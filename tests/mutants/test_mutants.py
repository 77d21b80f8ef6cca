"""The tests notice when a formula changes."""

import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.campaigns import ROOT, RecordFigures
from tests.mutants.changes import mutants_of

LEAST_KILLED = 0.9
EQUIVALENT = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text(encoding="utf-8"))

SOURCE = '''
"""Squares of 1 and 2."""

Number: TypeAlias = int | float
__all__ = ["halved"]


def halved(x: int | None = None, *, by: float = 2.0) -> float | None:
    """Half of x, 1/2 of it."""
    if by <= 0:
        raise SpecError(f"by is {by - 1}: at least {1 + 1}", x + 1)
    first: int | None = x
    return f"{first + 1}" if first == "a" else -by
'''


def named(verdict: dict[str, str]) -> tuple[str, str, str]:
    return verdict["file"], verdict["line"], verdict["becomes"]


def test_mutants_are_of_what_is_computed_and_not_of_texts_and_types(tmp_path: Path) -> None:
    (tmp_path / "halved.py").write_text(SOURCE, encoding="utf-8")
    mutants = mutants_of(tmp_path / "halved.py", "halved.py")
    assert {(mutant.line_number, mutant.becomes) for mutant in mutants} == {
        (8, "def halved(x: int | None = None, *, by: float = 3.0) -> float | None:"),
        (8, "def halved(x: int | None = None, *, by: float = 1.0) -> float | None:"),
        (10, "if by < 0:"),
        (10, "if by == 0:"),
        (10, "if not by <= 0:"),
        (10, "if by <= 1:"),
        (10, "if by <= -1:"),
        (13, 'return f"{first + 1}" if first != "a" else -by'),
        (13, 'return f"{first + 1}" if not first == "a" else -by'),
        (13, 'return f"{first + 1}" if first == "a" else +by'),
    }


def test_what_is_called_equivalent_is_of_a_line_that_is_there_and_has_a_reason() -> None:
    """That it is a mutant which survives is for the campaign to say."""
    for file, listed in EQUIVALENT.items():
        lines = {line.strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines()}
        assert all(one.keys() == {"line", "becomes", "why"} for one in listed)
        assert {one["line"] for one in listed} <= lines


@pytest.mark.campaign
def test_nine_of_ten_mutants_of_the_formulas_are_killed(tmp_path: Path, record_figures: RecordFigures) -> None:
    """Of all, those that mean the same as the source included; one that runs for ever never passes, and is killed."""
    into = tmp_path / "verdicts"
    subprocess.run([sys.executable, "-m", "tests.mutants", "--into", into], cwd=ROOT, check=True)
    verdicts = [json.loads(line) for line in into.read_text(encoding="utf-8").splitlines()]
    survived = {named(verdict) for verdict in verdicts if verdict["outcome"] == "survived"}
    equivalent = {(file, one["line"], one["becomes"]) for file, listed in EQUIVALENT.items() for one in listed}
    assert equivalent <= survived
    figures = {}
    for group in dict.fromkeys(verdict["group"] for verdict in verdicts):
        of_group = [verdict for verdict in verdicts if verdict["group"] == group]
        n = Counter(verdict["outcome"] for verdict in of_group)
        n_equivalent = sum(v["outcome"] == "survived" and named(v) in equivalent for v in of_group)
        n_killed = n["killed"] + n["timed out"]
        share = n_killed / len(of_group)
        assert share >= LEAST_KILLED, group
        figures[group] = (
            f"{len(of_group)} mutants, {n_killed} killed ({share:.1%}), of which {n['timed out']} timed out; "
            f"{n['survived']} survived, of which {n_equivalent} are equivalent"
        )
    record_figures("mutants", figures)
