"""Fits a law of the loss to rows: many seeded starts, the best kept, and how many of them agree on it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
from scipy.optimize import OptimizeResult, least_squares, minimize

from wse_sim.errors import SpecError
from wse_sim.laws.form import Floats, Form, LawT, Residual

N_STARTS = 25  # Frantar et al.
_SAME = 1e-4  # relative difference of objectives below which two starts have found the same law
_SMALLEST = 1e-15  # tolerance that double precision can meet
_ZERO = 1e-20  # objective of losses without noise
_TOLERANCE, _LOOSE = 1e-8, 1e-4  # of the gradient, where the objective is of the order of 1
_PATIENCE, _GAIN = 50, 1e-8  # a search that has gained no larger part of the objective in so many iterations is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit(Generic[LawT]):
    """A law with the coefficients that fit best.

    Parameters
    ----------
    theta :
        The coefficients in the scaled inputs: where a fit to almost the same rows starts best.
    scales :
        What the inputs were divided by.
    objective :
        Mean over the rows of half the square of the residual, or of its Huber function.
    residual_std, largest_residual :
        Of measured over predicted loss - 1; the standard deviation is the population's.
    n_agreeing :
        Starts, of `n_starts`, that ended at the same objective. One alone is no evidence of a minimum.
    """

    form: Form[LawT]
    law: LawT
    theta: Floats
    scales: Floats
    objective: float
    residual_std: float
    largest_residual: float
    n_rows: int
    n_starts: int
    n_agreeing: int


def fit(
    form: Form[LawT],
    inputs: Sequence[Floats],
    losses: Floats,
    *,
    residual: Residual | None = None,
    n_starts: int = N_STARTS,
    seed: int = 0,
) -> Fit[LawT]:
    """The law of this form that fits the rows best.

    Parameters
    ----------
    inputs :
        One array (n_rows,) for each of `form.inputs`.
    residual :
        In place of the form's own.

    Raises
    ------
    SpecError
        When there are not more rows than coefficients, or a row is not positive and finite.
    """
    x, y = _checked(form, inputs, losses)
    scales = np.where(form.is_scaled, np.exp(np.log(x).mean(axis=1)), 1.0)
    problem = _Problem(form=form, x=x / scales[:, None], y=y, residual=residual or form.residual)
    rng = np.random.default_rng(seed)
    found = [problem.solve(rng.uniform(size=form.n_coefficients)) for _ in range(n_starts)]
    objectives = np.array([objective for _, objective in found])
    theta, objective = found[int(objectives.argmin())]
    relative = y / problem.value(theta) - 1.0
    return Fit(
        form=form,
        law=form.law(theta, scales),
        theta=theta,
        scales=scales,
        objective=objective,
        residual_std=float(relative.std()),
        largest_residual=float(np.abs(relative).max()),
        n_rows=y.size,
        n_starts=n_starts,
        n_agreeing=int((objectives <= objective * (1.0 + _SAME) + _ZERO).sum()),
    )


def refit(fitted: Fit[LawT], inputs: Sequence[Floats], losses: Floats) -> LawT:
    """The law that fits other losses at the same inputs best, looked for from where `fitted` ended."""
    x = np.asarray(inputs, float) / fitted.scales[:, None]
    # A replicate tells how far the law moves: three digits of that do.
    problem = _Problem(form=fitted.form, x=x, y=losses, residual=fitted.form.residual, tolerance=_LOOSE)
    theta, _ = problem.solve(fitted.theta)
    return fitted.form.law(theta, fitted.scales)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem(Generic[LawT]):
    """Rows to fit. Positive coefficients are looked for as their logarithms, so that they stay positive."""

    form: Form[LawT]
    x: Floats
    y: Floats
    residual: Residual
    tolerance: float = _TOLERANCE

    def solve(self, start: Floats) -> tuple[Floats, float]:
        """Coefficients that a start leads to, and the objective there (infinite where it leads nowhere)."""
        positive = np.array(self.form.is_positive)
        free = np.where(positive, np.log(np.where(positive, start, 1.0)), start)
        with np.errstate(all="ignore"):  # a step too far overflows, is seen as infinitely bad, and is taken back
            if self.form.huber_delta is None:
                free = self._least_squares(free)
            else:
                free = self._bfgs(free, self.form.huber_delta)
            objective = self._objective(free)[0]
            return self._theta(free), objective if np.isfinite(objective) else np.inf

    def value(self, theta: Floats) -> Floats:
        return self.form.value_and_slopes(theta, self.x)[0]

    def _least_squares(self, free: Floats) -> Floats:
        if not np.isfinite(self._residuals(free)[0]).all():
            return free
        tolerance = max(self.tolerance**2, _SMALLEST)
        solved = least_squares(
            lambda z: self._residuals(z)[0],
            free,
            jac=lambda z: self._residuals(z)[1].T,
            xtol=tolerance,
            ftol=tolerance,
            gtol=tolerance,
        )
        return np.asarray(solved.x)

    def _bfgs(self, free: Floats, delta: float) -> Floats:
        # In units of delta^2 the objective is of the order of 1. The objective as it is lies below 1e-5, and so does
        # its gradient everywhere: optimizers whose tolerance is 1e-5 stop where they happen to be.
        def scaled(z: Floats) -> tuple[float, Floats]:
            objective, gradient = self._objective(z)
            return objective / delta**2, gradient / delta**2

        # Rows that do not determine a coefficient leave it a valley without an end: thousands of iterations along it
        # change nothing.
        recent: deque[float] = deque(maxlen=_PATIENCE)

        def stop_in_a_valley(intermediate_result: OptimizeResult) -> None:
            objective = float(intermediate_result.fun)
            if len(recent) == _PATIENCE and recent[0] - objective <= _GAIN * objective:
                raise StopIteration
            recent.append(objective)

        options = {"gtol": self.tolerance, "maxiter": 5000}
        found = minimize(scaled, free, jac=True, method="BFGS", options=options, callback=stop_in_a_valley)
        return np.asarray(found.x)

    def _objective(self, free: Floats) -> tuple[float, Floats]:
        r, slopes = self._residuals(free)
        if not np.isfinite(r).all():
            return np.inf, np.zeros_like(free)
        delta = self.form.huber_delta or np.inf
        size = np.abs(r)
        huber = np.where(size <= delta, 0.5 * r**2, delta * (size - 0.5 * delta) if delta < np.inf else 0.0)
        return float(huber.mean()), np.asarray((slopes * np.clip(r, -delta, delta)).mean(axis=1))

    def _residuals(self, free: Floats) -> tuple[Floats, Floats]:
        """Residuals (n_rows,) and their derivatives (n_coefficients, n_rows) by the free coefficients."""
        theta = self._theta(free)
        value, slopes = self.form.value_and_slopes(theta, self.x)
        slopes = slopes * np.where(self.form.is_positive, theta, 1.0)[:, None]
        if self.residual == "loss":
            return value - self.y, slopes
        return np.log(value) - np.log(self.y), slopes / value

    def _theta(self, free: Floats) -> Floats:
        return np.where(self.form.is_positive, np.exp(free), free)


def _checked(form: Form[LawT], inputs: Sequence[Floats], losses: Floats) -> tuple[Floats, Floats]:
    x, y = np.asarray(inputs, float), np.asarray(losses, float)
    if x.shape != (len(form.inputs), y.size):
        raise SpecError(f"law {form.name}: needs {len(form.inputs)} inputs of {y.size} rows, not {x.shape}")
    if y.size <= form.n_coefficients:
        raise SpecError(
            f"law {form.name}: {y.size} rows cannot hold {form.n_coefficients} coefficients to account: "
            f"at least {form.n_coefficients + 1} are needed"
        )
    for name, values in (*zip(form.inputs, x, strict=True), ("losses", y)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise SpecError(f"law {form.name}: {name} must be positive and finite in every row")
    return x, y
