"""A run directory as one HTML page that needs nothing but itself."""

from collections.abc import Callable
from pathlib import Path

from wse_sim.files import write_atomically
from wse_sim.report import run_files
from wse_sim.report.comparison_page import render_written_comparison
from wse_sim.report.headline import cluster, title
from wse_sim.report.html_sections import (
    choice_section,
    headline_section,
    loss_section,
    opening,
    origin_section,
    step_section,
    what_was_asked,
)
from wse_sim.report.markup import page
from wse_sim.report.mask_section import mask_section
from wse_sim.report.plan_page import plan_page
from wse_sim.report.runs_page import render_comparison_report
from wse_sim.report.trust_sections import (
    OF_A_RUN,
    assumed_of_summaries,
    assumed_section,
    sensitivity_section,
    validation_section,
)
from wse_sim.spec.reading import as_written


def render_run_report(run_dir: Path) -> str:
    """The page of one run, or of a simulation alone, from the files in `run_dir`; the same files give the same bytes.

    Raises
    ------
    SpecError
        When there is no summary, or a file cannot be read.
    """
    summary = run_files.read_summary(run_dir)
    rows, trace = run_files.read_rows(run_dir), run_files.read_trace(run_dir)
    simulated = summary.get("simulated", {})
    body = opening(title(summary), what_was_asked(summary), version=summary.get("version", ""))
    body += headline_section(summary)
    body += loss_section(summary, rows)
    body += step_section(summary, trace)
    body += mask_section(summary)
    body += sensitivity_section({cluster(simulated): simulated} if simulated else {})
    body += choice_section(summary)
    body += validation_section()
    body += assumed_section(assumed_of_summaries([summary]), OF_A_RUN)
    body += origin_section(summary)
    return page(f"{title(summary)}: wse-sim {'run' if 'measured' in summary else 'simulate'}", body)


def write_report(run_dir: Path) -> Path:
    """Write report.html of what a command left in a folder, and return its path.

    A run, a simulation, a comparison of runs or of wafers with GPUs, or a plan.

    Raises
    ------
    SpecError
        When `run_dir` holds none of them, or the page cannot be written.
    """
    made = next((render for name, render in _PAGES.items() if (run_dir / name).is_file()), render_run_report)
    path = run_dir / run_files.REPORT
    with as_written(run_dir):
        content = made(run_dir).encode()
    write_atomically(path, content)
    return path


_PAGES: dict[str, Callable[[Path], str]] = {
    run_files.PLAN: lambda folder: plan_page(run_files.read_document(folder / run_files.PLAN)),
    run_files.COMPARISON: render_comparison_report,
    run_files.COMPARE: render_written_comparison,
}  # by the file that the folder holds; any other folder is a run's
