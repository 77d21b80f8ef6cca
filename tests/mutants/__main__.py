"""Run the mutants; see the package."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.changes import mutants_of
from tests.mutants.forks import Outcome
from tests.mutants.rooms import ROOMS
from tests.mutants.trial import verdicts

_RECORDS = "tests/mutants/test_records.py::test_records_are_frozen_and_made_by_keyword[{}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant."""

    group: str
    file: str
    line_number: int
    line: str
    becomes: str
    outcome: Outcome
    cpu_s: float


def tried(group: str, file: str, tests: list[str], n_jobs: int) -> Iterator[Verdict]:
    """What became of each mutant of a file, `n_jobs` at a time, as they end."""
    for mutant, outcome, cpu_s in verdicts(file, [*tests, _RECORDS.format(file)], mutants_of(Path(file), file), n_jobs):
        named = {name: getattr(mutant, name) for name in ("file", "line_number", "line", "becomes")}
        yield Verdict(group=group, outcome=outcome, cpu_s=cpu_s, **named)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Mutants of the formulas.")
    parser.add_argument("groups", nargs="*", help="of rooms.toml; all if none is named")
    parser.add_argument("--of", default="", help="only files whose path has this in it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument("--into", type=Path, help="a file for all verdicts, a line of JSON for each")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # several trials share the CPUs
    for group, files in ROOMS.items():
        for file, tests in files.items():
            if (asked.groups and group not in asked.groups) or asked.of not in file:
                continue
            found = []
            for verdict in tried(group, file, tests, asked.jobs):
                found.append(verdict)
                if asked.into:
                    with asked.into.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(asdict(verdict)) + "\n")
                if verdict.outcome == "survived":
                    print(f"{file}:{verdict.line_number}\n  - {verdict.line}\n  + {verdict.becomes}")
            n_killed = sum(verdict.outcome != "survived" for verdict in found)
            print(f"{file}: {n_killed} of {len(found)} killed in {sum(v.cpu_s for v in found):.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
