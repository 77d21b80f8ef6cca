"""`wse_sim.sweep`: many configurations, simulated or trained, as one table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

from wse_sim import defaults
from wse_sim.api.asking import asks
from wse_sim.api.notebook import frame, table_html
from wse_sim.api.parameters import Names, SweepParameters
from wse_sim.api.values import read_whole
from wse_sim.errors import SpecError, choose
from wse_sim.processes.on_ray import on_ray
from wse_sim.processes.pool import Spread
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.markup import paragraph
from wse_sim.spec.written import split_at_commas
from wse_sim.sweeps.closed_form import closed_form_sweep, price_points
from wse_sim.sweeps.journal import TABLE
from wse_sim.sweeps.keys import Point, Value, Vocabulary, simulated_vocabulary
from wse_sim.sweeps.points import grid_points, read_points
from wse_sim.sweeps.run import best_first, run_sweep
from wse_sim.sweeps.shown import best_section, common_keys, failures
from wse_sim.sweeps.simulated import assumed_constants, on_cores, simulate_points, simulated_sweep
from wse_sim.sweeps.sweep import Evaluate, Kind, Row, Sweep

if TYPE_CHECKING:
    from pandas import DataFrame

Engine = Literal["event", "closed-form"]
Executor = Literal["local", "ray"]
Cells = dict[str, Value | None]

ENGINES: tuple[Engine, ...] = get_args(Engine)
EXECUTORS: tuple[Executor, ...] = get_args(Executor)
TRAIN_KEYS = ("schedule", "peak_lr", "mode", "steps", "budget")
_RUNS = Path("runs/sweep")
_TABLE_SUFFIXES = (".csv", ".gz", ".jsonl")
_SORT_BY: Mapping[Kind, str] = {"simulated": "tokens_per_s", "measured": "measured_val_loss"}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SweepResult:
    """Many configurations, and what came of each.

    Parameters
    ----------
    found :
        A row for each point of the sweep, in their order.
    table :
        The file that holds them, if there is one.
    """

    sweep: Sweep
    found: Sequence[Row]
    table: Path | None

    @property
    def kind(self) -> Kind:
        """The word for all results."""
        return self.sweep.kind

    @property
    def n_points(self) -> int:
        return len(self.found)

    @property
    def n_ok(self) -> int:
        return self._n("ok")

    @property
    def n_infeasible(self) -> int:
        return self._n("infeasible")

    @property
    def n_diverged(self) -> int:
        return self._n("diverged")

    @property
    def rows(self) -> list[Cells]:
        """Of the table: keys, results, status and reason by column."""
        return [self.sweep.cells(row) for row in self.found]

    @property
    def assumed(self) -> list[str]:
        """Names of the constants behind simulated rows for which nothing better than an assumption is known."""
        return list(assumed_constants(self.sweep, self.found)) if self.kind == "simulated" else []

    def best_first(self, sort_by: str | None = None) -> list[Cells]:
        """The rows that have this figure, the best one first.

        Raises
        ------
        SpecError
            When there is no such column.
        """
        return [self.sweep.cells(row) for row in best_first(self.sweep, self.found, sort_by or _SORT_BY[self.kind])]

    def to_dict(self) -> dict[str, Any]:
        """What `wse-sim sweep --json` prints."""
        is_simulated = self.kind == "simulated"
        return {
            "kind": self.kind,
            "n_points": self.n_points,
            "n_ok": self.n_ok,
            "n_infeasible": self.n_infeasible,
            **({"assumed": self.assumed} if is_simulated else {"n_diverged": self.n_diverged}),
            "rows": self.rows,
        }

    def to_frame(self) -> "DataFrame":
        """A row for each point; units are in the names of the columns.

        Raises
        ------
        SpecError
            When pandas is not installed.
        """
        return frame(self.rows)

    def _n(self, status: str) -> int:
        return sum(row.status == status for row in self.found)

    def __repr__(self) -> str:
        return f"<sweep of {self.n_points:,} points, {self.n_ok:,} of them ok, {self.kind}>"

    def _repr_html_(self) -> str:
        sort_by = _SORT_BY[self.kind]
        best = best_first(self.sweep, self.found, sort_by)
        said = "".join(map(paragraph, (common_keys(self.sweep, best), *failures(self.sweep, self.found))))
        if not best:
            return said
        section = best_section(self.sweep, best, sort_by)
        return table_html(section.title, section.header, section.rows, section.right) + said


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A sweep, what works it out, and where its table goes."""

    sweep: Sweep
    evaluate: Evaluate
    table: Path | None
    sort_by: str

    def run(self, watch: Watch = UNWATCHED, *, command: str = "") -> SweepResult:
        """Work out what is missing of it; `watch` hears how far it is, and `command` is kept beside the table."""
        found = run_sweep(self.sweep, self.evaluate, self.table, watch, command=command)
        return SweepResult(sweep=self.sweep, found=found, table=self.table)


@asks(SweepParameters, defaults.SWEEP)
def sweep(
    model: Names | None = None,
    *,
    file: str | PathLike[str] | None = None,
    set: Mapping[str, object] | None = None,  # as --set of the command
    train: bool = defaults.SWEEP["train"],
    out: str | PathLike[str] | None = None,
    engine: str = defaults.SWEEP["engine"],
    executor: str = defaults.SWEEP["executor"],
    processes: int | None = None,
    watch: Watch = UNWATCHED,
    **keys: Unpack[SweepParameters],
) -> SweepResult:
    """Simulate, or train, many configurations: a row for each combination of the values of the keys.

    Parameters
    ----------
    model, keys :
        The keys of `wse-sim sweep`, by the same names: a value, several values, or a text such as "1,2,4".
    file :
        A .toml or .csv of points, in place of keys.
    set :
        Any other key: constants such as `{"csx.io_bytes_per_s": [75e9, 150e9]}`; with `train` its options.
    train :
        Train each point here, as `train` does.
    out :
        Table to write, and to go on with; with `train` a folder.
    engine :
        "event" simulates each point; "closed-form" prices thousands at once.
    executor, processes :
        "local" with so many processes, or "ray".
    watch :
        Hears how far it is.

    Raises
    ------
    SpecError
        When the input is wrong. That a point hits a wall is no error: its row says so.
    """
    given = {"model": model, **keys, **(set or {})}
    lists = {name: _values(name, value) for name, value in given.items() if value is not None}
    job = job_of(
        lists,
        file=None if file is None else Path(file),
        train=train,
        out=None if out is None else Path(out),
        engine=engine,
        executor=executor,
        processes=read_whole("processes", processes),
    )
    return job.run(watch)


def job_of(
    lists: Mapping[str, list[Any]],
    *,
    file: Path | None,
    train: bool,
    out: Path | None,
    engine: str,
    executor: str,
    processes: int | None,
) -> Job:
    """The sweep over these lists of values, ready to run.

    Raises
    ------
    SpecError
        When the input is wrong.
    """
    for_training = [name for name in TRAIN_KEYS if name in lists]
    if for_training and not train:
        raise SpecError(f"{for_training[0]} is for runs that are trained: give --train too")
    is_on_ray = choose(executor, EXECUTORS, "executor") == "ray"
    if is_on_ray and processes is not None:
        raise SpecError("--processes is for --executor local: Ray has its own number of CPUs")
    is_closed_form = choose(engine, ENGINES, "engine") == "closed-form"
    if is_closed_form and train:
        raise SpecError("--engine closed-form is for points that are simulated: leave it out, or --train")
    if train:
        return _trained(file, lists, out, n_processes=processes, is_on_ray=is_on_ray)
    points = _points(file, lists, simulated_vocabulary())
    spread: Spread = on_ray if is_on_ray else partial(on_cores, n_processes=processes)
    return Job(
        sweep=closed_form_sweep(points) if is_closed_form else simulated_sweep(points),
        evaluate=partial(price_points if is_closed_form else simulate_points, spread=spread),
        table=out,
        sort_by=_SORT_BY["simulated"],
    )


def _trained(
    file: Path | None, lists: Mapping[str, list[Any]], out: Path | None, *, n_processes: int | None, is_on_ray: bool
) -> Job:
    from training.sweep import train_points, trained_sweep, trained_vocabulary  # torch takes seconds

    folder = _RUNS if out is None else out
    if folder.suffix in _TABLE_SUFFIXES:
        raise SpecError(f"--out {folder}: with --train it is a folder, which gets {TABLE} and a folder for each run")
    trained = trained_sweep(_points(file, lists, trained_vocabulary()))
    return Job(
        sweep=trained,
        evaluate=partial(train_points, sweep=trained, out=folder, n_workers=n_processes, is_on_ray=is_on_ray),
        table=folder / TABLE,
        sort_by=_SORT_BY["measured"],
    )


def _points(file: Path | None, lists: Mapping[str, list[Any]], vocabulary: Vocabulary) -> Sequence[Point]:
    if file is None:
        return grid_points(lists, vocabulary)
    if lists:
        raise SpecError(f"keys come from {file} or from options, not from both, and {next(iter(lists))} is given too")
    return read_points(file, vocabulary)


def _values(name: str, value: object) -> list[Any]:
    if isinstance(value, str):
        return split_at_commas(value, name)
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, PathLike) else [value]
    return [str(one) if isinstance(one, PathLike) else one for one in several]
