"""`wse-sim validate`: the simulator against published throughput."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables

if TYPE_CHECKING:
    from wse_sim.validation import ValidationRow

_HEADERS = {
    "wafer": ("id", "model", "system", "batch", "published", "predicted", "error", "used"),
    "gpu": ("id", "batch", "published", "predicted", "error", "used"),  # the id names model and system
}
_UNITS = {"wafer": "sequences/s", "gpu": "tokens/s per GPU"}
_RIGHT = ("batch", "published", "predicted", "error")


@click.command("validate")
@json_option
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@click.option("--gpu-rows", is_flag=True, help="Print the GPU rows too, not only their summary.")
def command(*, as_json: bool, markdown: bool, gpu_rows: bool) -> None:
    """Hold the simulator against published throughput: every row with its signed error.

    `fit` marks rows on which a constant was fitted; only the `predicted` ones are evidence.
    """
    from wse_sim.validation import validate

    rows = validate()
    if as_json:
        content = {"rows": [asdict(row) for row in rows], "errors": _errors(rows), "fitted_constants": _fitted()}
        print_json(content)
    elif markdown:
        click.echo("\n".join(_markdown(rows)))
    else:
        from wse_sim.report.tables import plain_table

        for side, header in _HEADERS.items():
            if side == "gpu" and not gpu_rows:
                continue
            title = f"{side}: published and simulated {_UNITS[side]}"
            print_tables(plain_table(header, _cells(rows, side), title=title, right=_RIGHT), "")
        print_tables(*_summary(rows))


def _cells(rows: "Sequence[ValidationRow]", side: str) -> list[tuple[str, ...]]:
    from wse_sim.report.quantities import signed_percent, significant

    cells = []
    for row in rows:
        named = {
            "id": row.id,
            "model": row.model,
            "system": f"{row.num_systems} {row.system}",
            "batch": str(row.batch_size),
            "published": significant(row.published, 4),
            "predicted": significant(row.predicted, 4),
            "error": signed_percent(row.error),
            "used": "fit" if row.used_to_fit else "predicted",
        }
        if row.side == side:
            cells.append(tuple(named[name] for name in _HEADERS[side]))
    return cells


def _errors(rows: "Sequence[ValidationRow]") -> dict[str, dict[str, Any]]:
    """Number of rows, mean and largest error of fitted and predicted rows, by side."""
    from wse_sim.validation import accuracy

    errors = {}
    for side in dict.fromkeys(row.side for row in rows):
        for name, is_fit in (("fit", True), ("predicted", False)):
            chosen = [row for row in rows if row.side == side and row.used_to_fit is is_fit]
            if chosen:
                errors[f"{side} {name}"] = asdict(accuracy(chosen))
    return errors


def _summary(rows: "Sequence[ValidationRow]") -> list[str]:
    from wse_sim.report.quantities import percent

    lines = [
        f"{name}: {e['n_rows']} rows, mean |error| {percent(e['mean_abs_error'])}, "
        f"largest {percent(e['max_abs_error'])}"
        for name, e in _errors(rows).items()
    ]
    return [*lines, f"fitted constants: {', '.join(_fitted()) or 'none'}"]


def _fitted() -> list[str]:
    """Constants of the data whose kind is `calibrated`."""
    import msgspec

    from wse_sim.gpu.spec import gpu_names, load_gpu, training_constants
    from wse_sim.spec.cluster import SYSTEMS, load_cluster
    from wse_sim.spec.sourced import Sourced

    found = {f"{system} {name}" for system in SYSTEMS for name in load_cluster(system, 1).named("calibrated")}
    parts = {"gpu": training_constants(), **{name: load_gpu(name) for name in gpu_names()}}
    for owner, part in parts.items():
        for name, value in msgspec.structs.asdict(part).items():
            if isinstance(value, Sourced) and value.kind == "calibrated":
                found.add(f"{owner} {name}")
    return sorted(found)


def _markdown(rows: "Sequence[ValidationRow]") -> list[str]:
    lines = []
    for side, header in _HEADERS.items():
        ruler = ["---:" if name in _RIGHT else "---" for name in header]
        cells = [header, ruler, *_cells(rows, side)]
        lines += [f"### {side}: published and simulated {_UNITS[side]}", ""]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells]
        lines += [""]
    return [*lines, *(f"- {line}" for line in _summary(rows))]
