"""The page of a sweep, from the table that it left and what stands beside it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wse_sim.errors import SpecError
from wse_sim.files import write_atomically
from wse_sim.report import run_files
from wse_sim.report.sweep_page import sweep_page
from wse_sim.report.sweep_table import SweepTable
from wse_sim.report.sweep_words import CONTENTION, FILLED_IN, MAIN_FIGURES, MEASURED_UNIT
from wse_sim.report.trust_sections import Constants, assumed_of_summaries
from wse_sim.spec.reading import as_written, read_json
from wse_sim.sweeps.journal import TABLE, Identity, identity_of
from wse_sim.sweeps.keys import Point, means_something_on_gpus, simulated_vocabulary
from wse_sim.sweeps.shown_rows import shown_rows
from wse_sim.sweeps.simulated import assumed_constants_of
from wse_sim.sweeps.sweep import STATUS
from wse_sim.sweeps.table import read_columns


def sweep_of(path: Path) -> Path | None:
    """The table that `path` names, as itself or as the folder of a sweep that trained; None where it names none."""
    if path.is_dir():
        return path / TABLE if identity_of(path / TABLE) is not None else None
    return path if path.is_file() or identity_of(path) is not None else None


def write_sweep_page(table: Path) -> Path:
    """Write the page of a table and return its path: `sweep.csv.html`, or report.html beside the runs of a folder.

    Raises
    ------
    SpecError
        When the table cannot be read, or is not whole yet.
    """
    identity = identity_of(table)
    if identity is None:
        raise SpecError(f"{table}: is no table of a sweep: there is no {table.name}.sweep.json beside it")
    swept = read_sweep(table, identity)
    is_trained = swept.kind == "measured"
    folder = table.parent
    assumed = _assumed_of_runs(folder, swept) if is_trained else assumed_constants_of(_points(swept))
    with as_written(table):
        content = sweep_page(swept, assumed, lambda run: is_trained and run_files.has_page(folder, run))
    path = folder / run_files.REPORT if is_trained else table.with_name(f"{table.name}.html")
    write_atomically(path, content.encode())
    return path


def read_sweep(table: Path, identity: Identity) -> SweepTable:
    """The columns that the page shows.

    Raises
    ------
    SpecError
        As `write_sweep_page`.
    """
    if not table.is_file():
        raise SpecError(f"{table}: is not there yet: finish the sweep first, with the command that began it")
    is_read = shown_rows(table, identity)
    n_read = identity.n_points if is_read is None else int(is_read.sum())
    figures = (*MAIN_FIGURES[identity.kind], CONTENTION, *MEASURED_UNIT)
    others = dict.fromkeys((*FILLED_IN, "run", *STATUS))
    words, numbers = read_columns(
        table,
        words=tuple(dict.fromkeys((*identity.keys, *others))),
        numbers=[n for n in dict.fromkeys(figures) if n not in identity.keys],
        is_read=is_read,
    )
    missing = {*identity.keys, *STATUS} - words.keys()
    if missing or len(words[STATUS[0]]) != n_read:
        raise SpecError(f"{table}: is not as the sweep left it; remove it, and the sweep can be run anew")
    return SweepTable(
        kind=identity.kind,
        command=identity.command,
        version=identity.version,
        keys=identity.keys,
        words=words,
        numbers=numbers,
        n_whole=identity.n_points,
    )


def _points(swept: SweepTable) -> list[Point]:
    """The points with figures as far as assumed constants hang on them, each kind of point once."""
    rows = np.flatnonzero(swept.is_ok).tolist()
    gpu, system = (swept.words.get(name, [None] * len(swept)) for name in ("gpu", "system"))
    constants = [key for key in swept.keys if "." in key]
    kinds: dict[tuple[object, ...], Point] = {}
    for row in rows:
        given = [key for key in constants if swept.words[key][row] is not None]
        if gpu[row] is None:
            kind = (system[row], *given)
        else:
            kind = (gpu[row], swept.words["gpu_software"][row] if "gpu_software" in swept.words else None, *given)
        if kind not in kinds:
            kinds[kind] = _point(swept, row, is_on_gpus=gpu[row] is not None)
    return list(kinds.values())


def _point(swept: SweepTable, row: int, *, is_on_gpus: bool) -> Point:
    """A point as it was given; of one on GPUs without what is of wafers, which the table has filled in."""
    names = [key for key in swept.keys if not is_on_gpus or means_something_on_gpus(key)]
    given = {name: swept.words[name][row] for name in names if swept.words[name][row] is not None}
    if not is_on_gpus:
        given.setdefault("system", swept.words["system"][row])
    return simulated_vocabulary().point(given)


def _assumed_of_runs(folder: Path, swept: SweepTable) -> Constants:
    """Behind the runs of a folder, by their summaries."""
    return assumed_of_summaries(_summaries(folder, [str(run) for run in swept.words["run"] if run is not None]))


def _summaries(folder: Path, runs: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    paths = (run_files.folder_of(folder, run) / run_files.SUMMARY for run in runs)
    return (read_json(path) for path in paths if path.is_file())
