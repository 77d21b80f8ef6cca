"""What a person sees of a sweep: how far it is, on stderr, and its best rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from wse_sim.report.quantities import duration, significant
from wse_sim.report.sweep_words import FILLED_IN, MAIN_FIGURES, heading, in_words
from wse_sim.report.tables import plain_table
from wse_sim.sweeps.run import Watch
from wse_sim.sweeps.sweep import Row, Sweep

if TYPE_CHECKING:
    from wse_sim.sweeps.keys import Value

_N_BEST = 10
_N_LINES, _LEAST_S = 10, 1.0  # of progress, where there is no terminal, and the time between two
_MOST_COLUMNS, _LEAST_FIGURES = 8, 3  # a table is as wide as a terminal
_CONTENTION = "contention"  # says how far a row in closed form can be trusted


@contextmanager
def sweep_progress(n_points: int, console: Console) -> Iterator[Watch]:
    """A bar where `console` is a terminal, a line for every tenth where it is not."""
    if not console.is_terminal:
        yield _Lines(n_points, console)
        return
    with Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} points"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[pace]}"),
        console=console,
        transient=True,
    ) as progress:
        bar = _Bar(n_points, progress)
        yield bar
    if bar.pace.n_new:
        console.print(f"{n_points:,} points, {bar.pace}")


class _Pace:
    """Points that came since the sweep went on, and the time that they took."""

    def __init__(self, n_points: int) -> None:
        self.n_points, self.n_known, self.n_new = n_points, 0, 0
        self.started_s = monotonic()

    @property
    def n_done(self) -> int:
        return self.n_known + self.n_new

    @property
    def elapsed_s(self) -> float:
        return max(1e-9, monotonic() - self.started_s)

    def __str__(self) -> str:
        """Rate, and the time that is left."""
        rate = self.n_new / self.elapsed_s
        if not rate:
            return ""
        words = f"{significant(rate)} points/s" if rate >= 1 else f"{duration(1 / rate)} a point"
        left = self.n_points - self.n_done
        return f"{words}, about {duration(left / rate)} left" if left else f"{words}, {duration(self.elapsed_s)}"


class _Lines:
    def __init__(self, n_points: int, console: Console) -> None:
        self.pace, self.console = _Pace(n_points), console
        self.n_said, self.said_s = 0, 0.0

    def begin(self, n_known: int) -> None:
        self.pace.n_known = self.n_said = n_known
        if n_known:
            self.console.print(f"{n_known:,} of {self.pace.n_points:,} points are there already", soft_wrap=True)

    def came(self, rows: Sequence[Row]) -> None:
        self.pace.n_new += len(rows)
        n_done, n_points = self.pace.n_done, self.pace.n_points
        is_due = n_done * _N_LINES // n_points > self.n_said * _N_LINES // n_points
        if is_due and (n_done == n_points or self.pace.elapsed_s - self.said_s > _LEAST_S):
            self.n_said, self.said_s = n_done, self.pace.elapsed_s
            self.console.print(f"{n_done:,} of {n_points:,} points, {self.pace}", soft_wrap=True)


class _Bar:
    def __init__(self, n_points: int, progress: Progress) -> None:
        self.pace, self.progress = _Pace(n_points), progress
        self.task = progress.add_task("", total=n_points, pace="")

    def begin(self, n_known: int) -> None:
        self.pace.n_known = n_known
        self.progress.update(self.task, completed=n_known)

    def came(self, rows: Sequence[Row]) -> None:
        self.pace.n_new += len(rows)
        self.progress.update(self.task, completed=self.pace.n_done, pace=str(self.pace))


def best_table(sweep: Sweep, best: Sequence[Row], sort_by: str) -> Table:
    """The first of the rows that are sorted by `sort_by`: what all of them differ in, and their main figures."""
    names = (*sweep.varied, *(name for name, values in _filled_in(sweep, best).items() if len(values) > 1))
    n_figures = max(_LEAST_FIGURES, _MOST_COLUMNS - len(names))
    trust = (_CONTENTION,) if _CONTENTION in sweep.results else ()
    figures = tuple(dict.fromkeys((sort_by, *trust, *MAIN_FIGURES[sweep.kind])))[:n_figures]
    header = (*(name for name in names if name != sort_by), *figures)
    shown = [sweep.cells(row) for row in best[:_N_BEST]]
    cells = [tuple(_shown(sweep, name, row[name]) for name in header) for row in shown]
    numbers = tuple(name for name in header if all(not isinstance(row[name], str) for row in shown))
    words = {name: heading(name) for name in header}
    title = f"{sweep.kind}: the best {len(shown)} of {len(best):,} by {sort_by}"
    return plain_table(tuple(words.values()), cells, title=title, right=[words[name] for name in numbers])


def common_keys(sweep: Sweep, best: Sequence[Row]) -> Text:
    """The keys that are the same for all points, and what was filled in for all of these rows alike."""
    common = {name: sweep.points[0][name] for name in sweep.keys if name not in sweep.varied}
    filled_in = {name: next(iter(values)) for name, values in _filled_in(sweep, best).items() if len(values) == 1}
    given, found = (
        ", ".join(f"{name} {_shown(sweep, name, value)}" for name, value in of.items() if value is not None)
        for of in (common, filled_in)
    )
    return Text("; ".join(part for part in (given, f"filled in: {found}" if found else "") if part))


def _filled_in(sweep: Sweep, rows: Sequence[Row]) -> dict[str, set["Value | None"]]:
    """The values that rows have of what no point gives."""
    names = [name for name in FILLED_IN if name in sweep.results and name not in sweep.keys]
    return {name: {row.results.get(name) for row in rows} for name in names}


def failures(sweep: Sweep, rows: Sequence[Row]) -> Iterator[Text]:
    """A sentence for each status but ok: how many rows have it, and why the first one does."""
    for status in dict.fromkeys(row.status for row in rows if row.status != "ok"):
        such = [row for row in rows if row.status == status]
        yield Text(f"{status}: {len(such):,} of {len(rows):,} points, the first because {such[0].reason}")


def content_of(sweep: Sweep, rows: Sequence[Row], **others: Any) -> dict[str, Any]:
    """The sweep as one JSON object."""
    n_of = {status: sum(row.status == status for row in rows) for status in ("ok", "infeasible", "diverged")}
    if sweep.kind == "simulated":
        del n_of["diverged"]
    return {
        "kind": sweep.kind,
        "n_points": len(rows),
        **{f"n_{status}": n for status, n in n_of.items()},
        **others,
        "rows": [sweep.cells(row) for row in rows],
    }


def _shown(sweep: Sweep, name: str, value: "Value | None") -> str:
    return in_words(name, value, is_given=name in sweep.keys)
