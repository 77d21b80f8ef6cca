"""The table of a sweep as its page needs it: columns, of many rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from wse_sim.report.headline import unit_of_losses
from wse_sim.report.sweep_words import FILLED_IN, MEASURED_UNIT, heading, in_words, less_is_better, with_unit

Value = str | int | float | bool | None
Numbers = npt.NDArray[np.float64]

OK = "ok"


@dataclass(frozen=True, kw_only=True)
class SweepTable:
    """What was swept, and what came of it.

    Parameters
    ----------
    command, version :
        That began it; "" where nobody knows.
    keys :
        In the order in which they were given.
    words :
        By column, a cell for each row: keys, what was filled in, status and reason.
    numbers :
        By column, (n_rows,): figures; NaN where a row has none.
    n_whole :
        Rows of the whole table, of which these are some; None = these are all.
    """

    kind: Literal["simulated", "measured"]
    command: str
    version: str
    keys: tuple[str, ...]
    words: Mapping[str, Sequence[Value]]
    numbers: Mapping[str, Numbers]
    n_whole: int | None = None

    def __len__(self) -> int:
        return len(self.words["status"])

    @property
    def n_points(self) -> int:
        """Of the sweep."""
        return len(self) if self.n_whole is None else self.n_whole

    @cached_property
    def values(self) -> dict[str, list[Value]]:
        """The values of each key, in their order: of numbers the smallest first, else as they come."""
        return {key: _in_order(self.words[key]) for key in self.keys}

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """The keys that have more than one value."""
        return tuple(key for key, values in self.values.items() if len(values) > 1)

    @cached_property
    def is_ok(self) -> npt.NDArray[np.bool_]:
        """(n_rows,): whether a row has figures."""
        return np.array([status == OK for status in self.words["status"]], np.bool_)

    @cached_property
    def filled_in(self) -> tuple[str, ...]:
        """Columns that no key gives, in which rows differ all the same."""
        names = [name for name in FILLED_IN if name in self.words and name not in self.keys]
        ok = np.flatnonzero(self.is_ok).tolist()
        return tuple(name for name in names if len({self.words[name][row] for row in ok}) > 1)

    def shown(self, name: str, row: int) -> str:
        """A cell as people read it."""
        if name in self.words:
            return in_words(name, self.words[name][row], is_given=name in self.keys)
        number = float(self.numbers[name][row])
        return in_words(name, None if np.isnan(number) else number, is_given=False)

    def heading(self, name: str) -> str:
        """What a column is called; a loss with its unit."""
        return with_unit(name, self._measured_unit)

    @cached_property
    def _measured_unit(self) -> str:
        if self.kind != "measured":
            return ""  # a simulated sweep may have a million rows, and none with such a loss
        none = np.full(len(self), np.nan)
        losses, bits = (self.numbers.get(name, none).tolist() for name in MEASURED_UNIT)
        return unit_of_losses(zip(losses, bits, strict=True))

    def named(self, names: Sequence[str], row: int) -> str:
        """A row by some of its cells: num csx 4, density 0.25; those that it lacks are left out."""
        return ", ".join(f"{heading(n)} {self.shown(n, row)}" for n in names if self.words[n][row] is not None)

    def best_first(self, figure: str) -> list[int]:
        """The rows that have this figure, the best one first; equals stay in order."""
        numbers = self.numbers[figure] * (1.0 if less_is_better(figure) else -1.0)
        order = np.argsort(numbers, kind="stable")
        found: list[int] = order[~np.isnan(numbers[order])].tolist()
        return found


def _in_order(cells: Sequence[Value]) -> list[Value]:
    values = list(dict.fromkeys(cells))
    if any(isinstance(value, str | bool) for value in values):
        return values
    known = sorted(value for value in values if value is not None)
    return [*known, *([None] if None in values else [])]
