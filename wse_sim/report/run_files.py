"""The files of a run directory, read for a report."""

import math
import shlex
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError
from wse_sim.files import is_in_folder, require_folder
from wse_sim.run_lock import holder
from wse_sim.spec.reading import read_json, read_lines, read_toml

SUMMARY, ROWS, TRACE, REPORT = "summary.json", "run.jsonl", "trace.json", "report.html"
COMPARISON, COMPARE, PLAN = "comparison.json", "compare.json", "plan.json"
SIMULATION = "simulation.json"
TARGET, RUNS = "target.toml", "runs.toml"  # of one run that was begun, of several


def read_summary(run_dir: Path) -> dict[str, Any]:
    """Content of summary.json of a run, or of simulation.json, which has the parts of it that a simulation knows.

    Raises
    ------
    SpecError
        When `run_dir` holds neither; a run writes it when it ends.
    """
    for name in (SUMMARY, SIMULATION):
        if (run_dir / name).is_file():
            content = read_json(run_dir / name)
            if not isinstance(content.get("measured", content.get("simulated")), dict):
                raise SpecError(f"{run_dir / name}: has neither what was measured nor what was simulated")
            return content
    require_folder(run_dir)
    if at_work := holder(run_dir):
        raise SpecError(
            f"{run_dir}: the run has not ended, there is no {SUMMARY} in it yet: {at_work} is at work there"
        )
    go_on = f"wse-sim train --resume {shlex.quote(str(run_dir))}"
    if (run_dir / RUNS).is_file():
        open_ends = [name for name in read_toml(run_dir / RUNS)["runs"] if not (run_dir / name / SUMMARY).is_file()]
        which = f"these have not ended: {', '.join(open_ends)}" if open_ends else "they were not compared yet"
        raise SpecError(f"{run_dir}: holds several runs, {which}; to go on: {go_on}")
    if (run_dir / TARGET).is_file():
        raise SpecError(f"{run_dir}: the run has not ended, there is no {SUMMARY} in it yet; to go on: {go_on}")
    raise SpecError(f"{run_dir}: there is no {SUMMARY} in it: give the folder of a finished run")


def folder_of(out_dir: Path, run: object) -> Path:
    """The folder of a run that a file in `out_dir` names.

    Raises
    ------
    SpecError
        When the name leads out of `out_dir`.
    """
    name = str(run)
    if not is_in_folder(name) or "\\" in name:
        raise SpecError(f"{out_dir}: a run is called {name!r}; the name of a folder in it would be right")
    return out_dir / name


def has_page(out_dir: Path, run: object) -> bool:
    """Whether such a run has a page to link to; errors as for `folder_of`."""
    return (folder_of(out_dir, run) / REPORT).is_file()


def read_rows(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of run.jsonl that have a loss; a last line that was cut off is left out.

    Raises
    ------
    SpecError
        When a line is not JSON; the message says which.
    """
    path = run_dir / ROWS
    rows = read_lines(path, dict[str, Any]) if path.is_file() else []
    return [row for row in rows if row.get("loss") is not None and math.isfinite(row["loss"])]


def read_trace(run_dir: Path) -> dict[str, Any]:
    """Content of trace.json; empty where there is none."""
    path = run_dir / TRACE
    return read_json(path) if path.is_file() else {}
