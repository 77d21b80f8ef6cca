"""Least squares over rows: the constants that bring predictions nearest to them, and what leaving rows out does."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wse_sim.progress import UNWATCHED, Watch

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
LogError = Callable[[Mapping[str, float]], float]

STEP = 1e-3  # of the finite differences, in the logarithm of a constant
_LARGEST_MOVE = 0.3  # of a logarithm in one iteration
_MOST_MOVES = 50
_TOLERANCE = 1e-4  # of a constant
# A direction in which rows have a smaller singular value is not fixed by them: relative noise of 5 % in each, which is
# little, would leave the constants uncertain by more than a factor of e.
LEAST_SINGULAR_VALUE = 0.05
_SHARES = ("_efficiency", "_fraction")  # names of what cannot exceed 1 end so


def most_of(name: str) -> float:
    """The largest value that the constant called `name` can have: a share is at most 1."""
    return 1.0 if name.endswith(_SHARES) else math.inf


class Row(Protocol):
    """A rate that was measured or published."""

    @property
    def id(self) -> str: ...

    @property
    def group(self) -> str:
        """Rows of one group share what the simulator does not know about them: they are not independent."""
        ...

    def near(self, constants: Mapping[str, float]) -> LogError:
        """log(predicted / published) as a function of constants by name; what is not named is as shipped.

        Choices between alternatives (a micro-batch, a layout) are those made at `constants`: across a change of them
        a slope would be a jump over a small step.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearFit:
    """A least-squares fit near its solution, where predictions are linear in the logarithms of the constants.

    Parameters
    ----------
    names : (n_constants,)
        Of the fitted constants.
    ids, groups : (n_rows,)
        Of the rows.
    errors : (n_rows,)
        log(predicted / published).
    slopes : (n_rows, n_constants)
        Change of an error with the logarithm of a constant.
    is_fitted : (n_rows,)
        Whether the fit sees the row.
    """

    names: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    errors: FloatArray
    slopes: FloatArray
    is_fitted: BoolArray

    def moves(self, kept: BoolArray | None = None) -> FloatArray:
        """(n_constants,): what the fit to the rows `kept`, or to all, adds to the logarithms of the constants.

        A constant that these rows do not fix stays where it is.
        """
        kept = self.is_fitted if kept is None else kept & self.is_fitted
        left, sizes, right = np.linalg.svd(self.slopes[kept], full_matrices=False)
        is_fixed = sizes > LEAST_SINGULAR_VALUE
        along = left.T[is_fixed] @ -self.errors[kept] / sizes[is_fixed]
        return np.asarray(right[is_fixed].T @ along, np.float64)

    def left_out_moves(self, labels: npt.NDArray[np.str_]) -> FloatArray:
        """(n_rows, n_constants): `moves` of the fit to all rows but those of the row's own label."""
        moves = np.empty_like(self.slopes)
        for label in np.unique(labels):
            moves[labels == label] = self.moves(labels != label)
        return moves

    def left_out_errors(self, labels: npt.NDArray[np.str_]) -> FloatArray:
        """(n_rows,): predicted / published - 1 by the fit to all rows but those of the row's own label.

        With the rows' ids as `labels` this is the textbook's residual over one less its leverage.
        """
        errors = self.errors + (self.slopes * self.left_out_moves(labels)).sum(axis=1)
        return np.asarray(np.expm1(errors), np.float64)

    def standard_errors(self) -> FloatArray:
        """(n_constants,): of the constants' logarithms.

        The jackknife over groups, which is the cluster-robust sandwich estimate with residuals of fits without the
        group (CV3), or that over rows, whichever is larger: a constant that a single group fixes does not move when
        another one is left out.

        Source: MacKinnon, Nielsen, Webb, Journal of Applied Econometrics 38(5), 2023.
        """
        return np.maximum(self._jackknife(self.groups), self._jackknife(self.ids))

    def largest_leverages(self, name: str, labels: npt.NDArray[np.str_]) -> dict[str, float]:
        """Labels of rows and their shares in fixing the constant called `name`, beside the others.

        The fewest labels that hold half.
        """
        weights = np.linalg.pinv(self.slopes[self.is_fitted])[self.names.index(name)] ** 2
        found, places = np.unique(labels[self.is_fitted], return_inverse=True)
        shares = np.bincount(places, weights / weights.sum())
        order = np.argsort(-shares, kind="stable")
        n_labels = 1 + int(np.searchsorted(np.cumsum(shares[order]), 0.5))
        return dict(zip(found[order[:n_labels]].tolist(), shares[order[:n_labels]].tolist(), strict=True))

    def _jackknife(self, labels: npt.NDArray[np.str_]) -> FloatArray:
        of_fitted = np.unique(labels[self.is_fitted])
        shifts = np.stack([self.moves(labels != label) for label in of_fitted]) - self.moves()
        return np.asarray(np.sqrt((len(shifts) - 1) / len(shifts) * (shifts**2).sum(axis=0)))


def linear_fit(
    rows: Sequence[Row],
    names: Sequence[str],
    constants: Mapping[str, float],
    is_fitted: Sequence[bool] | None = None,
    watch: Watch = UNWATCHED,
) -> LinearFit:
    """The fit of the constants `names` to `rows` near `constants`, which may have others too.

    Parameters
    ----------
    is_fitted :
        Whether the fit sees the row; None = all.
    watch :
        Hears of each row.
    """
    watch.begin(len(rows), "rows of a fit")
    errors, slopes = np.empty(len(rows)), np.empty((len(rows), len(names)))
    for i, row in enumerate(rows):
        log_error = row.near(constants)
        errors[i] = log_error(constants)
        for j, name in enumerate(names):
            stepped = {**constants, name: constants[name] * math.exp(STEP)}
            slopes[i, j] = (log_error(stepped) - errors[i]) / STEP
        watch.came()
    return LinearFit(
        names=tuple(names),
        ids=np.array([row.id for row in rows]),
        groups=np.array([row.group for row in rows]),
        errors=errors,
        slopes=slopes,
        is_fitted=np.ones(len(rows), bool) if is_fitted is None else np.array(is_fitted, bool),
    )


def solve(
    rows: Sequence[Row], names: Sequence[str], constants: Mapping[str, float], watch: Watch = UNWATCHED
) -> dict[str, float]:
    """The constants `names` that bring the predictions nearest to `rows`.

    Least squares of log(predicted / published), by Gauss-Newton in the logarithms of the constants. A move that does
    not bring the rows nearer, over a kink where one cost gives way to another, is tried again at half its length.

    Parameters
    ----------
    constants :
        Where it starts; those that are not in `names` stay.
    watch :
        Hears of each move.
    """
    watch.begin(_MOST_MOVES, "moves at most")
    here, largest = dict(constants), _LARGEST_MOVE
    fit = linear_fit(rows, names, here)
    for _ in range(_MOST_MOVES):
        move = fit.moves()
        length = float(np.abs(move).max(initial=0.0))
        if min(length, largest) < _TOLERANCE:
            break
        move = move * min(1.0, largest / length)
        there = {**here, **{name: here[name] * math.exp(by) for name, by in zip(names, move, strict=True)}}
        tried = linear_fit(rows, names, there)
        if _squares(tried) < _squares(fit):
            here, fit = there, tried
        else:
            largest = min(largest, length) / 2.0
        watch.came()
    return {name: here[name] for name in names}


def _squares(fit: LinearFit) -> float:
    return float(fit.errors @ fit.errors)
