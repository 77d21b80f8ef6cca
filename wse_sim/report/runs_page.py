"""Several runs beside each other as one HTML page that needs nothing but itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wse_sim.report import run_files
from wse_sim.report.figures import losses_by_time, losses_by_tokens
from wse_sim.report.headline import cluster
from wse_sim.report.html_sections import opening, origin_section, what_was_asked
from wse_sim.report.markup import figure, link, page, section, table
from wse_sim.report.pareto import Figure, Point, pareto
from wse_sim.report.quantities import duration, money, named_density
from wse_sim.report.tables import COMPARISON_COLUMNS, comparison_cells, measured_unit
from wse_sim.report.trust_sections import (
    OF_RUNS,
    assumed_of_summaries,
    assumed_section,
    sensitivity_section,
    validation_section,
)

Summary = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

_MOST_TORNADOES = 3
_LEAST_SPAN = 0.1  # of a loss: one seed moves it by about a hundredth
_CIRCLES = "Circles: validation text."
_PARETO = (
    "What each run reached here (measured) against what its full-size run takes (simulated). The line joins those that "
    "no other beats in both. The losses of small models rank choices; they are not those of the full size."
)


def render_comparison_report(out_dir: Path) -> str:
    """The page, from comparison.json in `out_dir` and run.jsonl of each run; the same files give the same bytes.

    Raises
    ------
    SpecError
        When there is no comparison, or a file cannot be read.
    """
    comparison = run_files.read_document(out_dir / run_files.COMPARISON)
    names = {str(row["run"]): f"{named_density(row['density'])}, {row['schedule']}" for row in comparison["rows"]}
    curves = {name: run_files.read_rows(run_files.folder_of(out_dir, run)) for run, name in names.items()}
    summaries: dict[str, Summary] = {names[str(row["run"])]: row.get("summary", {}) for row in comparison["rows"]}
    first: Summary = next(iter(summaries.values()), {})
    model = first.get("target", {}).get("model", "")
    heading = f"{model}: {len(names)} runs compared".removeprefix(": ")
    body = opening(heading, what_was_asked(first), version=comparison.get("version", ""))
    header, cells = comparison_cells(comparison)
    kinds = tuple(COMPARISON_COLUMNS.values())
    compared = table(header, cells, label="comparison of the runs", right=header[2:], kinds=kinds)
    body += section("Side by side", compared, _links(out_dir, names))
    body += _losses(curves)
    body += _fronts(summaries)
    body += sensitivity_section(dict(list(_simulations(summaries).items())[:_MOST_TORNADOES]))
    body += validation_section()
    body += assumed_section(assumed_of_summaries(summaries.values()), OF_RUNS)
    body += origin_section(comparison)
    return page("wse-sim comparison", body)


def _losses(curves: Mapping[str, Rows]) -> str:
    known = {name: rows for name, rows in curves.items() if rows}
    if not known:
        return ""
    parts = [figure(losses_by_tokens(known), f"Measured loss, running mean, against tokens seen here. {_CIRCLES}")]
    for key, words in (("wafer_s", "wafer cluster"), ("gpu_s", "GPU cluster")):
        timed = {name: rows for name, rows in known.items() if (rows[-1].get(key) or 0) > 0}
        if timed:
            caption = f"The same against the simulated time of each full-size run on the {words}. {_CIRCLES}"
            parts.append(figure(losses_by_time(timed, key, words), caption))
    return section("Loss", *parts)


def _fronts(summaries: Mapping[str, Summary]) -> str:
    name = f"validation loss here, {measured_unit(summaries.values())}"
    loss = Figure(name=name, in_words="{:.3f}".format, least_span=_LEAST_SPAN)
    axes = {
        "run_time_s": Figure(name="time of the full-size run", in_words=duration, is_time=True),
        "cost_usd": Figure(name="cost of the full-size run", in_words=money),
    }
    parts = []
    for key, figure_of in axes.items():
        points = {
            name: [Point(number, summary["simulated"][key], summary["measured"]["val_loss"])]
            for number, (name, summary) in enumerate(summaries.items())
            if _has_both(summary)
        }
        if len(points) > 1:
            named = list(summaries).__getitem__
            drawn = pareto(points, figure_of, loss, named_point=named, salt=f"pareto-{key}", is_joint=True)
            parts.append(figure(drawn, _PARETO))
    return section("Loss against time and cost", *parts) if parts else ""


def _has_both(summary: Summary) -> bool:
    return "simulated" in summary and summary.get("measured", {}).get("val_loss") is not None


def _simulations(summaries: Mapping[str, Summary]) -> dict[str, Summary]:
    """By cluster and density, for which the schedule plays no part."""
    simulations = [summary["simulated"] for summary in summaries.values() if "simulated" in summary]
    return {f"{cluster(found)}, {named_density(found['density'])}": found for found in simulations}


def _links(out_dir: Path, names: Mapping[str, str]) -> str:
    """The pages of the runs, by the names of their folders, where they have been written."""
    written = {run: name for run, name in names.items() if run_files.has_page(out_dir, run)}
    links = "; ".join(link(f"{run}/{run_files.REPORT}", name) for run, name in written.items())
    return f"<p>Pages of the runs: {links}</p>\n" if links else ""
