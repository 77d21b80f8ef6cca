"""A plan as files: what a program reads, what a spreadsheet reads, and what a person reads."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import fields

from wse_sim.files import json_text, make_folder, write_atomically
from wse_sim.planning.planner import walls
from wse_sim.planning.result import PlanRow
from wse_sim.planning.search import Search
from wse_sim.report.plan_page import plan_page
from wse_sim.report.run_files import PLAN, REPORT
from wse_sim.report.spreadsheet import inert

FRONT, CANDIDATES = "front.csv", "candidates.csv"


def write_plan(out: Path, plan: Mapping[str, Any], search: Search, *, command: str = "") -> list[Path]:
    """Write all of it into the folder `out`, and return the paths.

    Parameters
    ----------
    command :
        That made it, which plan.json has too; "" where nobody knows.

    Raises
    ------
    SpecError
        When a file cannot be written.
    """
    header = [field.name for field in fields(PlanRow) if field.name != "missed"]
    columns = candidate_columns(search)
    written = {**plan, "command": command} if command else plan
    contents = {
        PLAN: json_text(written),
        FRONT: _csv(header, ([row[name] for name in header] for row in plan["front"])),
        CANDIDATES: _csv(list(columns), (_known(row) for row in zip(*columns.values(), strict=True))),
        REPORT: plan_page(written),
    }
    make_folder(out)
    paths = []
    for name, content in contents.items():
        path = out / name
        write_atomically(path, content.encode())
        paths.append(path)
    return paths


def candidate_columns(search: Search) -> dict[str, list[Any]]:
    """Every candidate with its figures and the wall or constraint that rejected it; NaN behind a wall."""
    tried, found, space = search.tried, search.found, search.space
    return {
        "system": [space.systems[place] for place in tried.system.tolist()],
        "num_csx": tried.num_csx.tolist(),
        "batch_size": tried.batch_size.tolist(),
        "microbatch": tried.microbatch.tolist(),
        "density": tried.density.tolist(),
        "schedule": [space.schedules[place] for place in tried.schedule.tolist()],
        "tokens_per_parameter": tried.tokens_per_parameter.tolist(),
        "step_time_s": found.step_s.tolist(),
        "wall_clock_s": found.wall_clock_s.tolist(),
        "cost_usd": found.cost_usd.tolist(),
        "energy_j": found.energy_j.tolist(),
        "loss": found.loss.tolist(),
        "rejected_by": walls(search),
    }


def _known(row: Sequence[Any]) -> list[Any]:
    """The cells of a row; none where there is no figure."""
    return ["" if value != value else value for value in row]


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([inert(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()
