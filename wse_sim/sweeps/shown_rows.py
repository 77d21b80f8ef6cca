"""Which rows of a long table its page shows: some taken at random, the best of all, and all that nothing beats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.report.sweep_page import BEST_BY, N_BEST, PAIRS, TRAINED
from wse_sim.report.sweep_words import less_is_better
from wse_sim.sweeps.journal import Identity
from wse_sim.sweeps.keys import Value
from wse_sim.sweeps.table import read_blocks

MOST = 50_000
_AT_ONCE = 20_000  # rows

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def shown_rows(table: Path, identity: Identity) -> npt.NDArray[np.bool_] | None:
    """(n_rows,): whether the page shows a row; None where it shows all.

    The table is read a part at a time, so that memory does not grow with it.

    Raises
    ------
    SpecError
        When it cannot be read.
    """
    n_rows = identity.n_points
    if n_rows <= MOST:
        return None
    is_shown = np.zeros(n_rows, np.bool_)
    is_shown[np.random.default_rng(0).choice(n_rows, MOST, replace=False, shuffle=False)] = True
    best = {by: _Best(by) for by in BEST_BY[identity.kind]}
    fronts = [_Fronts(*pair) for pair in PAIRS[identity.kind]]
    trained = TRAINED if identity.kind == "simulated" else ()
    names = dict.fromkeys((*best, *(name for pair in PAIRS[identity.kind] for name in pair)))
    first = 0
    for words, numbers in read_blocks(table, words=trained, numbers=tuple(names), n_at_once=_AT_ONCE):
        if names.keys() - numbers.keys():
            raise SpecError(f"{table}: is not as the sweep left it; remove it, and the sweep can be run anew")
        rows = np.arange(first, first + len(next(iter(numbers.values()))))
        first += len(rows)
        for by, of in best.items():
            of.see(rows, numbers[by])
        groups = _groups(list(words.values()), len(rows))
        for front in fronts:
            front.see(rows, groups, numbers)
    for kept in (*(of.rows for of in best.values()), *(front.rows for front in fronts)):
        is_shown[kept[kept < n_rows]] = True
    return is_shown


class _Best:
    """The first rows by a figure of those that were seen."""

    def __init__(self, by: str) -> None:
        self._sign = 1.0 if less_is_better(by) else -1.0
        self.rows, self._numbers = np.empty(0, np.int64), np.empty(0)

    def see(self, rows: Rows, numbers: Numbers) -> None:
        all_rows, all_numbers = np.append(self.rows, rows), np.append(self._numbers, self._sign * numbers)
        first = np.argsort(all_numbers, kind="stable")[:N_BEST]
        first = first[~np.isnan(all_numbers[first])]
        self.rows, self._numbers = all_rows[first], all_numbers[first]


class _Fronts:
    """The rows of each group that no other row of it beats in two figures; of equals the first."""

    def __init__(self, x: str, y: str) -> None:
        self._names = (x, y)
        self._signs = np.array([1.0 if less_is_better(name) else -1.0 for name in self._names])
        self._kept: dict[tuple[Value | None, ...], tuple[Rows, Numbers]] = {}

    @property
    def rows(self) -> Rows:
        return np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in self._kept.values())])

    def see(self, rows: Rows, groups: dict[tuple[Value | None, ...], Rows], numbers: dict[str, Numbers]) -> None:
        points = np.stack([numbers[name] for name in self._names], axis=1) * self._signs
        is_there = ~np.isnan(points).any(axis=1)
        for group, places in groups.items():
            here = places[is_there[places]]
            known_rows, known = self._kept.get(group, (np.empty(0, np.int64), np.empty((0, 2))))
            all_rows, all_points = np.append(known_rows, rows[here]), np.concatenate([known, points[here]])
            front = _front(all_points)
            self._kept[group] = (all_rows[front], all_points[front])


def _front(points: Numbers) -> Rows:
    """The places of (n, 2) points that no other is less than in both, in the order of the first figure."""
    order = np.lexsort((points[:, 1], points[:, 0]))  # equals stay in order
    y = points[order, 1]
    is_on = np.ones(len(y), np.bool_)
    is_on[1:] = y[1:] < np.minimum.accumulate(y)[:-1]
    return order[is_on]


def _groups(columns: Sequence[Sequence[Value | None]], n_rows: int) -> dict[tuple[Value | None, ...], Rows]:
    """The places of rows that have the same values, together."""
    if not columns:
        return {(): np.arange(n_rows)}
    places: dict[tuple[Value | None, ...], list[int]] = {}
    for place, values in enumerate(zip(*columns, strict=True)):
        places.setdefault(values, []).append(place)
    return {values: np.array(of, np.int64) for values, of in places.items()}
