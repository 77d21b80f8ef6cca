"""A run directory as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wse_sim.files import write_atomically
from wse_sim.report import run_files
from wse_sim.report.comparison_page import render_written_comparison
from wse_sim.report.figures import losses_by_time
from wse_sim.report.headline import title
from wse_sim.report.html_sections import (
    assumed_section,
    choice_section,
    headline_section,
    loss_section,
    opening,
    origin_section,
    step_section,
    what_was_asked,
)
from wse_sim.report.markup import figure, page, section, table, text
from wse_sim.report.plan_page import plan_page
from wse_sim.report.tables import COMPARISON_COLUMNS, comparison_cells
from wse_sim.spec.reading import read_json


def render_run_report(run_dir: Path) -> str:
    """The page of one run, from the files in `run_dir`; the same files give the same bytes.

    Raises
    ------
    SpecError
        When there is no summary, or a file cannot be read.
    """
    summary = run_files.read_summary(run_dir)
    rows, trace = run_files.read_rows(run_dir), run_files.read_trace(run_dir)
    body = opening(title(summary), what_was_asked(summary), version=summary.get("version", ""))
    body += headline_section(summary)
    body += loss_section(summary, rows)
    body += step_section(summary, trace)
    body += choice_section(summary)
    body += assumed_section(summary)
    body += origin_section(summary)
    return page(f"{title(summary)}: wse-sim run", body)


def render_comparison_report(out_dir: Path) -> str:
    """The page of several runs beside each other, from comparison.json in `out_dir` and run.jsonl of each run.

    Raises
    ------
    SpecError
        When there is no comparison, or a file cannot be read.
    """
    comparison = read_json(out_dir / run_files.COMPARISON)
    runs = {str(row["run"]): run_files.read_rows(out_dir / str(row["run"])) for row in comparison["rows"]}
    timed = {name: rows for name, rows in runs.items() if rows and (rows[-1].get("wafer_s") or 0) > 0}
    first: Mapping[str, Any] = next((row.get("summary", {}) for row in comparison["rows"]), {})
    model = first.get("target", {}).get("model", "")
    body = opening(f"{model}: {len(runs)} runs compared".removeprefix(": "), "", version=comparison.get("version", ""))
    header, cells = comparison_cells(comparison)
    kinds = tuple(COMPARISON_COLUMNS.values())
    compared = table(header, cells, label="comparison of the runs", right=header[2:], kinds=kinds)
    names = {row["run"]: f"density {row['density']:g}, {row['schedule']}" for row in comparison["rows"]}
    body += section("Side by side", compared, _links(out_dir, names))
    if timed:
        caption = (
            "Measured loss, running mean, against the simulated time of each full-size run. Circles: validation text."
        )
        named = {names[run]: rows for run, rows in timed.items()}
        body += section("Loss against time", figure(losses_by_time(named), caption))
    if "simulated" in first:
        body += assumed_section(first)
    body += origin_section(comparison)
    return page("wse-sim comparison", body)


def write_report(run_dir: Path) -> Path:
    """Write report.html of a run, of a comparison of runs or of wafers with GPUs, or of a plan, and return its path.

    Raises
    ------
    SpecError
        When `run_dir` holds none of them, or the page cannot be written.
    """
    if (run_dir / run_files.PLAN).is_file():
        content = plan_page(read_json(run_dir / run_files.PLAN))
    elif (run_dir / run_files.COMPARISON).is_file():
        content = render_comparison_report(run_dir)
    elif (run_dir / run_files.COMPARE).is_file():
        content = render_written_comparison(run_dir)
    else:
        content = render_run_report(run_dir)
    path = run_dir / run_files.REPORT
    write_atomically(path, content.encode())
    return path


def _links(out_dir: Path, names: Mapping[str, str]) -> str:
    """The pages of the runs, by the names of their folders, where they have been written."""
    written = {run: name for run, name in names.items() if (out_dir / run / run_files.REPORT).is_file()}
    links = "; ".join(f'<a href="{text(run)}/{run_files.REPORT}">{text(name)}</a>' for run, name in written.items())
    return f"<p>Pages of the runs: {links}</p>\n" if links else ""
