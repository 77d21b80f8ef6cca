"""A sweep as people read it: its best rows, what all points have in common, and what failed."""

from collections import Counter
from collections.abc import Iterator, Sequence

from wse_sim.report.headline import unit_of_losses
from wse_sim.report.sweep_words import CONTENTION, FILLED_IN, MAIN_FIGURES, MEASURED_UNIT, in_words, with_unit
from wse_sim.report.tables import Section
from wse_sim.sweeps.keys import Value
from wse_sim.sweeps.sweep import Row, Sweep

N_BEST = 10
_MOST_COLUMNS, _LEAST_FIGURES = 8, 3  # a table is as wide as a terminal


def best_section(sweep: Sweep, best: Sequence[Row], sort_by: str) -> Section:
    """The first of the rows that are sorted by `sort_by`: what all of them differ in, and their main figures."""
    names = (*sweep.varied, *(name for name, values in _filled_in(sweep, best).items() if len(values) > 1))
    n_figures = max(_LEAST_FIGURES, _MOST_COLUMNS - len(names))
    trust = (CONTENTION,) if CONTENTION in sweep.results else ()
    figures = tuple(dict.fromkeys((sort_by, *trust, *MAIN_FIGURES[sweep.kind])))[:n_figures]
    header = (*(name for name in names if name != sort_by), *figures)
    shown = [sweep.cells(row) for row in best[:N_BEST]]
    cells = [tuple(_shown(sweep, name, row[name]) for name in header) for row in shown]
    numbers = tuple(name for name in header if all(not isinstance(row[name], str) for row in shown))
    measured = best if sweep.kind == "measured" else ()
    unit = unit_of_losses([row.results.get(name) for name in MEASURED_UNIT] for row in measured)
    words = {name: with_unit(name, unit) for name in header}
    title = f"{sweep.kind}: the best {len(shown)} of {len(best):,} by {sort_by}"
    return Section(title=title, header=tuple(words.values()), rows=cells, right=tuple(words[name] for name in numbers))


def common_keys(sweep: Sweep, best: Sequence[Row]) -> str:
    """The keys that are the same for all points, and what was filled in for all of these rows alike."""
    common = {name: sweep.points[0][name] for name in sweep.keys if name not in sweep.varied}
    filled_in = {name: next(iter(values)) for name, values in _filled_in(sweep, best).items() if len(values) == 1}
    given, found = (
        ", ".join(f"{name} {_shown(sweep, name, value)}" for name, value in of.items() if value is not None)
        for of in (common, filled_in)
    )
    return "; ".join(part for part in (given, f"filled in: {found}" if found else "") if part)


def _filled_in(sweep: Sweep, rows: Sequence[Row]) -> dict[str, set[Value | None]]:
    """The values that rows have of what no point gives."""
    names = [name for name in FILLED_IN if name in sweep.results and name not in sweep.keys]
    return {name: {row.results.get(name) for row in rows} for name in names}


def failures(sweep: Sweep, rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for each status but ok: how many rows have it, and why the first one does."""
    n_of, first = Counter[str](), dict[str, str]()
    for row in rows:
        n_of[row.status] += 1
        first.setdefault(row.status, row.reason)
    for status, reason in first.items():
        if status != "ok":
            yield f"{status}: {n_of[status]:,} of {len(rows):,} points, the first because {reason}"


def _shown(sweep: Sweep, name: str, value: Value | None) -> str:
    return in_words(name, value, is_given=name in sweep.keys)
