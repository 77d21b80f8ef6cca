"""Intervals by the bootstrap: the law is fitted again to losses that might as well have come out."""

from collections.abc import Sequence

import numpy as np

from wse_sim.laws.fit import Fit, refit
from wse_sim.laws.form import Floats, LawT

N_REPLICATES = 200
CONFIDENCE = 0.95


def seed_draws(losses: Sequence[Floats], n_replicates: int, *, seed: int) -> Floats | None:
    """(n_replicates, n_rows): mean losses as other seeds might have given them; None where no row has two seeds.

    The relative deviations from the row's mean are drawn from all rows together, since each has only a few; that the
    mean is itself of few is made up for by sqrt(n / (n - 1)).

    Parameters
    ----------
    losses :
        For each row the losses of its seeds.
    """
    pool = np.concatenate([_deviations(of_row) for of_row in losses])
    if not pool.size:
        return None
    rng = np.random.default_rng(seed)
    drawn = [
        np.mean(of_row) * (1.0 + rng.choice(pool, size=(n_replicates, len(of_row))).mean(axis=1)) for of_row in losses
    ]
    return np.stack(drawn, axis=1)


def residual_draws(
    fitted: Fit[LawT], inputs: Sequence[Floats], losses: Floats, n_replicates: int, *, seed: int
) -> Floats:
    """(n_replicates, n_rows): losses of the law, each with the relative residual of a row drawn at random.

    The residuals are made larger by sqrt(n / (n - p)), since p coefficients have been fitted to them.
    """
    predicted = fitted.form.value_and_slopes(fitted.theta, np.asarray(inputs) / fitted.scales[:, None])[0]
    residuals = np.log(losses / predicted)
    free = fitted.n_rows - fitted.form.n_coefficients
    residuals = (residuals - residuals.mean()) * np.sqrt(fitted.n_rows / free)
    rng = np.random.default_rng(seed)
    return np.asarray(predicted * np.exp(rng.choice(residuals, size=(n_replicates, losses.size))))


def replicate_laws(fitted: Fit[LawT], inputs: Sequence[Floats], drawn: Floats) -> tuple[LawT, ...]:
    """The law fitted to each row of `drawn` (n_replicates, n_rows), starting from where `fitted` ended."""
    return tuple(refit(fitted, inputs, losses) for losses in drawn)


def interval(values: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The central part of `values` that holds the share `confidence` of them."""
    low, high = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _deviations(losses: Floats) -> Floats:
    n = len(losses)
    if n < 2:
        return np.empty(0)
    return np.asarray((np.asarray(losses) / np.mean(losses) - 1.0) * np.sqrt(n / (n - 1)))
