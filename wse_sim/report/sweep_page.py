"""A sweep as one HTML page that needs nothing but itself, bounded in size however many rows it has."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from wse_sim.report.html_sections import opening
from wse_sim.report.markup import command_line, facts, figure, link, page, paragraph, section, table, text, wordy
from wse_sim.report.pareto import MAX_POINTS, MAX_ROWS, MOST_GROUPS, Figure, Point, pareto
from wse_sim.report.quantities import counted, percent
from wse_sim.report.run_files import REPORT
from wse_sim.report.sweep_effects import effects, effects_plot
from wse_sim.report.sweep_table import SweepTable, Value
from wse_sim.report.sweep_words import CONTENTION, MAIN_FIGURES, heading, in_words, less_is_better
from wse_sim.report.trust_sections import OF_RUNS, Constants, assumed_section, validation_section
from wse_sim.schedule.estimate import NOTHING_CONTENDS
from wse_sim.units import J_PER_KWH

N_BEST = 15  # rows of a table of the best
_MOST_VALUES = 12  # of a key, in words
_MOST_REASONS, _MOST_SHARES = 20, 60  # rows of these tables
_NUMBER = re.compile(r"\d[\d,.]*")
_MOVED = {"simulated": ("tokens_per_s", "cost_usd"), "measured": ("measured_val_loss", "simulated_run_time_s")}
BEST_BY = {"simulated": ("tokens_per_s", "cost_usd"), "measured": ("measured_val_loss",)}
PAIRS = {
    "simulated": (("run_time_s", "cost_usd"), ("tokens_per_s", "energy_j")),
    "measured": (("simulated_run_time_s", "measured_val_loss"), ("simulated_cost_usd", "measured_val_loss")),
}
TRAINED = ("model", "density", "sparsity", "sparse_wide", "sparsity_algorithm", "tokens", "seq_len")
_EFFECT_CAPTION = (
    "Pairs of points that differ in this key alone: geometric mean of the ratio (dot), least and largest (line). A key "
    "without such pairs is left out."
)


def sweep_page(swept: SweepTable, assumed: Constants, written: Callable[[str], bool]) -> str:
    """The page; the same table gives the same bytes.

    Parameters
    ----------
    written :
        Whether the run in the folder of this name has a page, to link to.
    """
    models = [str(model) for model in swept.values.get("model", ())]
    title = f"Sweep over {', '.join(map(heading, swept.varied)) or 'one point'}"
    lead = f"{', '.join(models[:_MOST_VALUES])} · {counted(swept.n_points, 'point')} · {_feasible(swept)}"
    body = opening(title, lead, version=swept.version)
    body += section("What was swept", facts(_axes(swept)), *_taken(swept), *_trust(swept))
    if swept.is_ok.any():
        body += section("The best points", *_best(swept, written))
    if swept.is_ok.sum() > 1:
        body += section("What nothing beats", *_fronts(swept))
        body += section("What moves the answer", *_effects(swept))
    body += _failures(swept)
    body += validation_section() + assumed_section(assumed, OF_RUNS)
    if swept.command:
        body += section("To do it again", command_line(swept.command))
    return page(f"{title}: wse-sim sweep", body)


def _feasible(swept: SweepTable) -> str:
    n_ok = int(swept.is_ok.sum())
    share = percent(n_ok / len(swept))
    return f"{n_ok:,} with figures ({share})" if len(swept) == swept.n_points else f"{share} with figures"


def _taken(swept: SweepTable) -> list[str]:
    """How the rows were taken that the page shows, in a sentence; none where it shows all."""
    if len(swept) == swept.n_points:
        return []
    said = f"The table has {swept.n_points:,} rows. This page shows {len(swept):,} of them: rows taken at random, the "
    said += "best ones of all, and all that nothing beats. What it counts, it counts among these."
    return [paragraph(said)]


def _axes(swept: SweepTable) -> Iterator[tuple[str, str]]:
    for key, values in swept.values.items():
        shown = [in_words(key, value, is_given=True) for value in values if value is not None]
        if len(shown) > _MOST_VALUES:
            shown = [f"{len(shown):,} values from {shown[0]} to {shown[-1]}"]
        yield heading(key), ", ".join(shown)


def _trust(swept: SweepTable) -> list[str]:
    """How far figures in closed form can be trusted, in a sentence; none where there are none."""
    contention = swept.numbers.get(CONTENTION, np.array([]))
    n_priced, n_crowded = int((~np.isnan(contention)).sum()), int((contention >= NOTHING_CONTENDS).sum())
    if not n_priced:
        return []
    said = (
        f"{counted(n_priced, 'point')} priced in closed form, which is the event engine's to 1 % where contention is "
    )
    where = f"all but {n_crowded:,}: simulate those that matter" if n_crowded else "all of them"
    return [paragraph(f"{said}below {NOTHING_CONTENDS:g}, in {where}.")]


def _best(swept: SweepTable, written: Callable[[str], bool]) -> Iterator[str]:
    names = (*swept.varied, *swept.filled_in)
    figures = [name for name in MAIN_FIGURES[swept.kind] if name in swept.numbers]
    kinds = [_kind(swept, name) for name in figures]
    for by in BEST_BY[swept.kind]:
        rows = swept.best_first(by)[:N_BEST]
        header = (*map(heading, names), *map(swept.heading, figures))
        cells = [tuple(swept.shown(name, row) for name in (*names, *figures)) for row in rows]
        word = "least" if less_is_better(by) else "most"
        yield f"<h3>By {text(word)} {text(heading(by))}</h3>\n"
        label = f"the best {len(rows)} points by {heading(by)}"
        yield table(header, cells, label=label, right=header[len(names) :], kinds=(*("" for _ in names), *kinds))
    if "run" in swept.words:
        yield _links(swept, written)


def _kind(swept: SweepTable, name: str) -> str:
    """The word for a column: that which its name begins with, else that of the whole table."""
    first = name.partition("_")[0]
    return first if first in ("measured", "simulated", "projected") else swept.kind


def _links(swept: SweepTable, written: Callable[[str], bool]) -> str:
    runs = [str(swept.words["run"][row]) for row in swept.best_first(BEST_BY[swept.kind][0])[:N_BEST]]
    links = "; ".join(link(f"{run}/{REPORT}", run) for run in runs if written(run))
    return f"<p>Pages of the runs: {links}</p>\n" if links else ""


def _fronts(swept: SweepTable) -> Iterator[str]:
    """The Pareto fronts; the second only where it is not the first in other units."""
    first, second = PAIRS[swept.kind]
    trained = _trained(swept)
    others = [name for name in (*swept.varied, *swept.filled_in) if name not in trained]
    groups = _groups(swept, trained)
    is_joint = len(groups) == 1 and int(swept.is_ok.sum()) <= MOST_GROUPS  # so few that each has a name in the legend
    if is_joint:
        groups = {swept.named(others, row): [row] for of in groups.values() for row in of}
    caption = "The points that no other beats in both figures are joined"
    caption += f", for each {', '.join(map(heading, trained))} alone: these train different models." if trained else "."
    if len(swept) > MAX_POINTS:
        caption += f" About {MAX_POINTS:,} of {swept.n_points:,} points are drawn, evenly taken; fronts are of all."
    if int(swept.is_ok.sum()) > MAX_ROWS:
        caption += " The table has those on the fronts."
    is_same = swept.kind == "simulated" and _is_proportional(swept, "cost_usd", "energy_j")
    for x, y in (first,) if is_same else (first, second):
        x_values, y_values = ((swept.numbers[name] / _unit(name)).tolist() for name in (x, y))
        points = {name: [Point(row, x_values[row], y_values[row]) for row in rows] for name, rows in groups.items()}
        drawn = pareto(
            points,
            _figure(swept, x),
            _figure(swept, y),
            named_point=lambda row: swept.named(others, row),
            salt=f"pareto-{x}",
            is_joint=is_joint,
        )
        yield figure(drawn, caption)
    if is_same:
        yield paragraph("Energy is in proportion to cost in this table, and so is its front.")


def _trained(swept: SweepTable) -> list[str]:
    """The keys by which points train different models; of runs that were trained none, they compete in their losses."""
    if swept.kind == "measured":
        return []
    ok = np.flatnonzero(swept.is_ok).tolist()
    varied = [name for name in TRAINED if name in swept.varied]
    return [name for name in varied if len({swept.words[name][row] for row in ok}) > 1]


def _groups(swept: SweepTable, trained: Sequence[str]) -> dict[str, list[int]]:
    """Rows with figures by what they train."""
    columns = [swept.words[name] for name in trained]
    rows: dict[tuple[Value, ...], list[int]] = {}
    for row in np.flatnonzero(swept.is_ok).tolist():
        rows.setdefault(tuple(column[row] for column in columns), []).append(row)
    return {swept.named(trained, of[0]): of for of in rows.values()}


def _unit(name: str) -> float:
    """What the values of a column are divided by for an axis, whose ticks are round then."""
    return J_PER_KWH if name.endswith("_j") else 1.0


def _figure(swept: SweepTable, name: str) -> Figure:
    return Figure(
        name=swept.heading(name),
        in_words=lambda value: in_words(name, value * _unit(name), is_given=False),
        more_is_better=not less_is_better(name),
        is_time=name.endswith("_time_s"),
    )


def _is_proportional(swept: SweepTable, one: str, other: str) -> bool:
    ratios = (swept.numbers[one] / swept.numbers[other])[swept.is_ok]
    return bool(np.ptp(ratios) < 1e-6 * ratios.max())


def _effects(swept: SweepTable) -> Iterator[str]:
    left_out: set[str] = set(swept.varied)
    for name in _MOVED[swept.kind]:
        found = effects(swept, name) if swept.varied else []
        if found:
            yield figure(effects_plot(found, name), _EFFECT_CAPTION)
        left_out -= {of.key for of in found}
    if left_out:
        names = ", ".join(heading(key) for key in swept.varied if key in left_out)
        yield paragraph(f"Not shown, because no two points differ in one of them alone, or they move least: {names}.")


def _failures(swept: SweepTable) -> str:
    failed = np.flatnonzero(~swept.is_ok).tolist()
    if not failed:
        return section("What does not fit", paragraph("Every point has figures."))
    header = ("status", "points", "the first, and why")
    return section(
        "What does not fit",
        wordy(table(header, _reasons(swept, failed), label="points without figures, by reason", right=("points",))),
        "<h3>Points with figures, by value</h3>\n",
        table(
            ("key", "value", "points", "with figures"),
            list(_shares(swept))[:_MOST_SHARES],
            label="share of points with figures, by value of each key",
            right=("points", "with figures"),
        ),
    )


def _reasons(swept: SweepTable, failed: Sequence[int]) -> list[tuple[str, str, str]]:
    """The kinds of reasons, which differ in more than their numbers, the most frequent first."""
    kind_of = {row: (swept.words["status"][row], _NUMBER.sub("#", str(swept.words["reason"][row]))) for row in failed}
    first: dict[tuple[Value, str], int] = {}
    for row, kind in kind_of.items():
        first.setdefault(kind, row)
    counted_kinds = Counter(kind_of.values()).most_common(_MOST_REASONS)
    return [
        (str(kind[0]), f"{n:,}", f"{swept.named(swept.varied, first[kind])}: {swept.words['reason'][first[kind]]}")
        for kind, n in counted_kinds
    ]


def _shares(swept: SweepTable) -> Iterator[tuple[str, str, str, str]]:
    """Per value of each key how many points there are, and the share that has figures; evenly taken of many values."""
    for key in swept.varied:
        cells = swept.words[key]
        n_all = Counter(cells)
        n_ok = Counter(cell for cell, is_ok in zip(cells, swept.is_ok.tolist(), strict=True) if is_ok)
        values: Sequence[Value] = swept.values[key]
        for value in values[:: -(-len(values) // _MOST_VALUES)]:
            yield (
                heading(key),
                in_words(key, value, is_given=True),
                f"{n_all[value]:,}",
                percent(n_ok[value] / n_all[value]),
            )
