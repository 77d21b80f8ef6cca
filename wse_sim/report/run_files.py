"""The files of a run directory, read for a report."""

import math
import shlex
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError
from wse_sim.files import is_in_folder, json_text, require_folder
from wse_sim.run_lock import holder
from wse_sim.spec.ranges import check_number
from wse_sim.spec.reading import as_written, read_json, read_lines, read_toml

SUMMARY, ROWS, TRACE, REPORT = "summary.json", "run.jsonl", "trace.json", "report.html"
COMPARISON, COMPARE, PLAN = "comparison.json", "compare.json", "plan.json"
SIMULATION = "simulation.json"
_AMOUNTS = ("params", "n_layers", "d_model", "batch_size", "seq_len", "tokens", "n_steps", "steps")
TARGET, RUNS = "target.toml", "runs.toml"  # of one run that was begun, of several


def read_document(path: Path) -> dict[str, Any]:
    """Content of a JSON file that a command wrote.

    Raises
    ------
    SpecError
        When it cannot be read, or has NaN or a number too large, which no command writes.
    """
    content = read_json(path)
    _require_finite(content, path)
    return content


def read_summary(run_dir: Path) -> dict[str, Any]:
    """Content of summary.json of a run, or of simulation.json, which has the parts of it that a simulation knows.

    Raises
    ------
    SpecError
        When `run_dir` holds neither; a run writes it when it ends. When a size of the run cannot be.
    """
    for name in (SUMMARY, SIMULATION):
        if (run_dir / name).is_file():
            content = read_json(run_dir / name)
            if not isinstance(content.get("measured", content.get("simulated")), dict):
                raise SpecError(f"{run_dir / name}: has neither what was measured nor what was simulated")
            for part in ("target", "measured", "simulated"):
                _require_amounts(content.get(part), f"{run_dir / name}: {part}")
            _require_finite(content, run_dir / name)
            return content
    require_folder(run_dir)
    if at_work := holder(run_dir):
        raise SpecError(
            f"{run_dir}: the run has not ended, there is no {SUMMARY} in it yet: {at_work} is at work there"
        )
    go_on = f"wse-sim train --resume {shlex.quote(str(run_dir))}"
    if (run_dir / RUNS).is_file():
        if (run_dir / COMPARISON).is_file():
            require_one_run(run_dir)
        open_ends = [run.name for run in runs_in(run_dir) if not (run / SUMMARY).is_file()]
        which = f"these have not ended: {', '.join(open_ends)}" if open_ends else "they were not compared yet"
        raise SpecError(f"{run_dir}: holds several runs, {which}; to go on: {go_on}")
    if (run_dir / TARGET).is_file():
        raise SpecError(f"{run_dir}: the run has not ended, there is no {SUMMARY} in it yet; to go on: {go_on}")
    if (run_dir / ROWS).is_file():
        raise SpecError(
            f"{run_dir}: a run without a simulated part, which a Python program trained: {ROWS} in it has the losses; "
            "`wse-sim train` makes runs that have a page"
        )
    raise SpecError(f"{run_dir}: there is no {SUMMARY} in it: give the folder of a finished run")


def _require_finite(content: dict[str, Any], path: Path) -> None:
    try:
        json_text(content)
    except ValueError:
        raise SpecError(f"{path}: has NaN or a number above 1.8e308, which no command writes") from None


def _next_step(row: dict[str, Any], before: int, path: Path) -> int:
    loss, step = row["loss"], row["step"]
    if loss < 0:
        raise SpecError(f"{path}: the loss of step {step} is {loss}: it must be at least 0")
    if not isinstance(step, int) or step <= before:
        raise SpecError(f"{path}: step {step!r} comes after step {before}: steps must be whole numbers that grow")
    check_number("n_steps", step, f"{path}: a step")
    return step


def _require_amounts(part: object, where: str) -> None:
    for name in _AMOUNTS:
        value = part.get(name, 1) if isinstance(part, dict) else 1
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise SpecError(f"{where}.{name} is {value!r}: it must be a positive number")


def runs_in(folder: Path) -> list[Path]:
    """The folders of the runs that were asked for together in a folder; itself where it holds none such.

    Raises
    ------
    SpecError
        When what the folder says of them cannot be read.
    """
    path = folder / RUNS
    if not path.is_file():
        return [folder]
    names = read_toml(path).get("runs")
    if not isinstance(names, list) or not names:
        raise SpecError(f"{path}: runs is {names!r}, it must be the names of folders")
    return [folder_of(folder, name) for name in names]


def require_one_run(folder: Path) -> None:
    """Raise SpecError when a folder holds several runs; the message names theirs."""
    runs = runs_in(folder)
    if runs != [folder]:
        raise SpecError(f"{folder}: holds several runs: name the folder of one of them: {', '.join(map(str, runs))}")


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
        When a line is no row, its loss is below 0, or its step is none or not above the one before; the message says
        which.
    """
    path = run_dir / ROWS
    with as_written(path):
        rows = read_lines(path, dict[str, Any]) if path.exists() else []
        known = [row for row in rows if row.get("loss") is not None and math.isfinite(row["loss"])]
        before = 0
        for row in known:
            before = _next_step(row, before, path)
    return known


def read_trace(run_dir: Path) -> dict[str, Any]:
    """Content of trace.json; empty where there is none."""
    path = run_dir / TRACE
    return read_json(path) if path.exists() else {}
