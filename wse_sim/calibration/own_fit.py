"""The fit of a few constants to a user's own runs: before, after, and with each run left out."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from wse_sim.calibration.linear import LEAST_SINGULAR_VALUE, FloatArray, LinearFit, linear_fit, most_of, solve
from wse_sim.calibration.own_rows import OwnRuns
from wse_sim.errors import SpecError, choose
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.validation import Accuracy, accuracy

_MOST_APART = 10.0  # a measured and a simulated rate: more is another unit, not another efficiency
# Standard errors that hold 95 % with as many rows more than constants, from one on (Student's t); two with more rows.
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRow:
    """One measured run; errors are simulated / measured - 1.

    Parameters
    ----------
    error_before, error_after :
        With the constants as they were, and fitted to all rows.
    error_left_out :
        With those fitted to all other rows: what the fit says of a run that it has not seen.
    """

    line: int
    label: str
    measured: float
    error_before: float
    error_after: float
    error_left_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnConstant:
    """A constant that was to be fitted.

    Parameters
    ----------
    low, high :
        95 % interval; None where no row is left to say.
    held :
        Why it was not fitted but kept as it was; "" where it was fitted.
    """

    name: str
    before: float
    after: float
    low: float | None
    high: float | None
    held: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Constants fitted to measured runs.

    Parameters
    ----------
    notes :
        What to know before trusting it.
    """

    runs: OwnRuns
    rows: list[OwnRow]
    constants: list[OwnConstant]
    notes: list[str]

    @property
    def fitted(self) -> dict[str, OwnConstant]:
        return {constant.name: constant for constant in self.constants if not constant.held}

    @property
    def errors(self) -> dict[str, Accuracy]:
        """Of all rows, before, after and left out."""
        return {
            "before": accuracy(row.error_before for row in self.rows),
            "after": accuracy(row.error_after for row in self.rows),
            "left_out": accuracy(row.error_left_out for row in self.rows),
        }

    def as_dict(self) -> dict[str, Any]:
        """What `wse-sim calibrate --json` prints."""
        measurements = self.runs.measurements
        return {
            "side": measurements.side,
            "base": self.runs.base_name,
            "measurements": {"path": measurements.path, "sha256": measurements.sha256, "n_rows": len(self.rows)},
            "unit": self.runs.unit,
            "rows": [asdict(row) for row in self.rows],
            "constants": [asdict(constant) for constant in self.constants],
            "errors": {name: asdict(found) for name, found in self.errors.items()},
            "notes": self.notes,
        }


def calibrate(runs: OwnRuns, free: Sequence[str] | None = None, watch: Watch = UNWATCHED) -> Calibration:
    """The constants `free` that bring the simulator nearest to the measured runs.

    Constants are freed in their order: one that the rows do not fix, or cannot tell from those before it, is held.

    Parameters
    ----------
    free :
        Names of constants; None = the usual ones of the side.
    watch :
        Hears of the moves of a fit.

    Raises
    ------
    SpecError
        When a name is unknown, a rate is ten times as high or low as the simulated one, or the rows fix none of the
        constants.
    """
    names = _free_names(runs, runs.usual if free is None else free)
    start = {name: runs.constants[name].value for name in names}
    errors = _start_errors(runs, start)
    fitted, held, fit = _fit(runs, start, watch)
    near_start = _seen_from(start, fit, fitted)
    rows = _rows(runs, start, errors, fit.errors, near_start)
    constants = _constants(start, fitted, held, near_start)
    return Calibration(runs=runs, rows=rows, constants=constants, notes=_notes(runs, rows, constants))


def _free_names(runs: OwnRuns, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise SpecError(f"no constant is free: name some of {', '.join(runs.constants)}, or leave --free out")
    for name in names:
        choose(name, runs.constants, "constant to free")
        if runs.constants[name].value <= 0:
            raise SpecError(f"{name} is {runs.constants[name].value:g}: only a constant above 0 can be fitted")
    return tuple(dict.fromkeys(names))


def _start_errors(runs: OwnRuns, start: dict[str, float]) -> list[float]:
    """log(simulated / measured) of each row; refuses rates that must be in another unit."""
    errors = []
    for line, row, measured in zip(runs.measurements.lines, runs.rows, runs.measured, strict=True):
        errors.append(row.near(start)(start))
        simulated = measured * math.exp(errors[-1])
        if not 1 / _MOST_APART < measured / simulated < _MOST_APART:
            with runs.measurements.at(line):
                raise SpecError(
                    f"measured {measured:.4g} {runs.unit}, simulated {simulated:.4g}: no efficiency explains a factor "
                    f"of {_MOST_APART:g}; is the rate in another unit, or that of one system or GPU of many?"
                )
    return errors


def _fit(runs: OwnRuns, start: dict[str, float], watch: Watch) -> tuple[dict[str, float], dict[str, str], LinearFit]:
    """Fitted constants, why the others are held, and the fit near the fitted ones.

    What the rows fix is found out at the start; one that they turn out not to fix at the solution is held from then on.
    """
    dropped: dict[str, str] = {}
    while True:
        tried = {name: value for name, value in start.items() if name not in dropped}
        held = _held(linear_fit(runs.rows, tuple(tried), tried)) | dropped
        free = {name: value for name, value in tried.items() if name not in held}
        if not free:
            raise SpecError(f"{runs.measurements.path}: {'; '.join(f'{name}: {why}' for name, why in held.items())}")
        found = solve(runs.rows, tuple(free), free, watch)
        fit = linear_fit(runs.rows, tuple(found), found)
        lost = _held(fit)
        if not lost:
            return found, held, fit
        dropped |= lost


def _held(linear: LinearFit) -> dict[str, str]:
    """Constants that the rows do not fix, and why."""
    kept: list[int] = []
    held: dict[str, str] = {}
    for i, name in enumerate(linear.names):
        if np.linalg.norm(linear.slopes[:, i]) <= LEAST_SINGULAR_VALUE:
            held[name] = "these rows hardly depend on it"
        elif len(kept) == len(linear.ids):
            held[name] = f"{_count(len(kept), 'row')} cannot fix more than {_count(len(kept), 'constant')}"
        elif np.linalg.svd(linear.slopes[:, [*kept, i]], compute_uv=False).min() <= LEAST_SINGULAR_VALUE:
            held[name] = f"these rows do not tell it from {', '.join(linear.names[j] for j in kept)}"
        else:
            kept.append(i)
    return held


def _seen_from(start: dict[str, float], linear: LinearFit, here: dict[str, float]) -> LinearFit:
    """A fit near `here` as one near `start`: a constant that the rows left do not fix is where it started."""
    back = np.log([start[name] / here[name] for name in linear.names])
    return replace(linear, errors=linear.errors + linear.slopes @ back)


def _rows(
    runs: OwnRuns, start: dict[str, float], before: Sequence[float], after: FloatArray, near_start: LinearFit
) -> list[OwnRow]:
    """`before` and `after` are log(simulated / measured) of each row."""
    found = []
    moves = near_start.left_out_moves(near_start.ids)
    for i, row in enumerate(runs.rows):
        left_out = {name: start[name] * math.exp(move) for name, move in zip(near_start.names, moves[i], strict=True)}
        found.append(
            OwnRow(
                line=runs.measurements.lines[i].number,
                label=runs.labels[i],
                measured=runs.measured[i],
                error_before=math.expm1(before[i]),
                error_after=math.expm1(after[i]),
                error_left_out=math.expm1(row.near(left_out)(left_out)),
            )
        )
    return found


def _constants(
    start: dict[str, float], fitted: dict[str, float], held: dict[str, str], near_start: LinearFit
) -> list[OwnConstant]:
    spreads = dict(zip(near_start.names, np.exp(_half_widths(near_start)).tolist(), strict=True))
    found = []
    for name, before in start.items():
        after, spread = fitted.get(name, before), spreads.get(name, math.inf)
        largest = max(after, most_of(name))
        low, high = (after / spread, min(after * spread, largest)) if spread < math.inf else (None, None)
        found.append(OwnConstant(name=name, before=before, after=after, low=low, high=high, held=held.get(name, "")))
    return found


def _half_widths(linear: LinearFit) -> FloatArray:
    """(n_constants,): of the 95 % intervals of the logarithms, infinite where there are no more rows than constants.

    By the larger of the jackknife's standard error and the textbook's, which takes the scatter of all rows for equal.
    """
    n_left = len(linear.ids) - len(linear.names)
    if n_left == 0:
        return np.full(len(linear.names), np.inf)
    residuals = linear.errors + linear.slopes @ linear.moves()
    textbook = np.sqrt(residuals @ residuals / n_left * np.diag(np.linalg.inv(linear.slopes.T @ linear.slopes)))
    n_errors = _STUDENT[n_left - 1] if n_left <= len(_STUDENT) else 2.0
    return np.asarray(n_errors * np.maximum(textbook, linear.standard_errors()), np.float64)


def _notes(runs: OwnRuns, rows: Sequence[OwnRow], constants: Sequence[OwnConstant]) -> list[str]:
    fitted = [constant for constant in constants if not constant.held]
    n_left = len(rows) - len(fitted)
    notes = []
    if any(runs.measurements.sha256 in constant.source for constant in runs.constants.values()):
        notes.append(f"{runs.base_name} was calibrated on these very rows: it has seen what is left out here")
    if n_left == 0:
        notes.append("as many constants as rows: the error after the fit says nothing, and no interval can be given")
    before, left_out = (
        accuracy(getattr(row, name) for row in rows).mean_abs_error for name in ("error_before", "error_left_out")
    )
    if left_out >= before:
        notes.append(
            "runs that the fit has not seen are missed by as much as before it: this calibration brings nothing"
        )
    for constant in fitted:
        low, high = runs.constants[constant.name].ends
        if constant.after > most_of(constant.name):
            notes.append(
                f"{constant.name} is above 1, which nothing reaches: the rows hold something that the model lacks"
            )
        elif low < high and not low <= float(f"{constant.after:.3g}") <= high:  # as it is shown
            notes.append(
                f"{constant.name} was known to lie between {low:.3g} and {high:.3g}: the rows are unlike those that "
                "said so, or hold something that the model lacks"
            )
    return [*notes, *runs.doubts]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
