"""From finished runs to the loss of a model that nobody trained: a law, its value, its interval, its caveats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from wse_sim.errors import SpecError
from wse_sim.laws.bootstrap import N_REPLICATES, interval, replicate_laws, residual_draws, seed_draws
from wse_sim.laws.caveats import caveats_of, extrapolation
from wse_sim.laws.choice import AUTO, Choice, LawName, choose_law, same_tokens_per_parameter
from wse_sim.laws.fit import Fit, fit
from wse_sim.laws.form import Floats
from wse_sim.laws.observation import Observation, Row, Sample, rows_of
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.run import TOKENS_PER_PARAMETER
from wse_sim.workload.flops import Convention
from wse_sim.workload.transformer import n_parameters

EQUATIONS: Mapping[LawName, str] = {
    "power": "L = (f / f_c)^-alpha + c",
    "chinchilla": "L = E + A N^-alpha + B D^-beta",
    "sparse": "L = (a_s rho^b_s + c_s) N^-b_n + e D^-b_d + c",
}


class FittedLaw(msgspec.Struct, frozen=True, kw_only=True):
    """A law as it came out of the fit.

    Parameters
    ----------
    coefficients, coefficient_intervals :
        By name; the intervals are those of the bootstrap, one coefficient at a time.
    residual_std, largest_residual :
        Of measured over predicted loss - 1.
    n_rows, n_runs :
        A row is the mean of the runs that differ in their seed alone.
    n_agreeing :
        Random starts, of `n_starts`, that ended at the same minimum.
    convention :
        How the FLOPs are counted.
    """

    name: LawName
    equation: str
    reason: str
    coefficients: dict[str, float]
    coefficient_intervals: dict[str, tuple[float, float]]
    residual_std: float
    largest_residual: float
    n_rows: int
    n_runs: int
    n_starts: int
    n_agreeing: int
    convention: Convention


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """A projected loss.

    Parameters
    ----------
    low, high :
        The wider of the intervals in `intervals`, end by end.
    intervals :
        Of the bootstrap over `seeds` (where any row has two) and over the `rows`' residuals.
    """

    value: float
    low: float
    high: float
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The law that runs support, and what it says about the target.

    Parameters
    ----------
    target :
        As it would be trained under the runs' conditions: their vocabulary and their context.
    extrapolation :
        Target over the largest run, by quantity.
    rows, choice, fitted, replicates :
        All rows; the law and those it was fitted to; the fit; the laws of the bootstrap, by what was drawn.
    """

    target: Sample
    law: FittedLaw
    prediction: Prediction
    extrapolation: dict[str, float]
    caveats: tuple[str, ...]
    rows: tuple[Row, ...]
    choice: Choice
    fitted: Fit[Any]
    replicates: Mapping[Literal["seeds", "rows"], tuple[Any, ...]]

    def loss(self, samples: Sequence[Sample]) -> tuple[Floats, Floats, Floats]:
        """What the law says about `samples`: value, low and high, each (n_samples,)."""
        return self.loss_at(_columns(self.fitted, samples, self.law.convention))

    def loss_at(self, columns: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
        """The same for the law's inputs themselves, one array (n_samples,) each."""
        values = np.asarray(self.fitted.law.loss(*columns))
        ends = [_ends(laws, columns) for laws in self.replicates.values()]
        low = np.min([values, *(low for low, _ in ends)], axis=0)
        return values, low, np.max([values, *(high for _, high in ends)], axis=0)


def project(
    observations: Sequence[Observation],
    shape: ModelShape,
    *,
    density: float = 1.0,
    tokens_per_parameter: float | None = None,
    law: str = AUTO,
    convention: Convention = "paper",
    seed: int = 0,
    n_replicates: int = N_REPLICATES,
) -> Projection:
    """The loss that a model of this shape would reach, were it trained as the runs were.

    Parameters
    ----------
    tokens_per_parameter :
        Of the target; None = the runs' own where they agree, else 20.
    law :
        `power`, `chinchilla`, `sparse`, or `auto`: the one that says most of those the runs support.
    convention :
        How FLOPs are counted, of the runs and of the target.
    seed :
        Of the starts of the fit and of the bootstrap.

    Raises
    ------
    SpecError
        When the runs cannot be mixed, or support no law that could answer.
    """
    if not observations:
        raise SpecError("no runs to project from: name at least one run directory")
    rows = rows_of(observations)
    target = _target(shape, density, tokens_per_parameter, [row.sample for row in rows])
    choice = choose_law(rows, target, law)
    columns = _columns(choice, [row.sample for row in choice.rows], convention)
    losses = np.array([row.loss for row in choice.rows])
    fitted = fit(choice.form, columns, losses, seed=seed)
    replicates = _replicates(fitted, choice.rows, columns, losses, n_replicates, seed)
    at_target = _columns(choice, [target], convention)
    return Projection(
        target=target,
        law=_described(choice, fitted, replicates, convention),
        prediction=_prediction(fitted, replicates, at_target),
        extrapolation=extrapolation(choice, target, convention),
        caveats=caveats_of(observations, choice, fitted, replicates, target, convention),
        rows=rows,
        choice=choice,
        fitted=fitted,
        replicates=replicates,
    )


def _target(shape: ModelShape, density: float, tpp: float | None, samples: Sequence[Sample]) -> Sample:
    first = samples[0]
    # The law knows the loss per token of the runs' vocabulary and context: the target is the same model under both.
    like_runs = msgspec.structs.replace(shape, vocab_size=first.shape.vocab_size, seq_len=first.shape.seq_len)
    if tpp is None:
        is_one = same_tokens_per_parameter(samples)
        tpp = float(np.mean([s.tokens_per_parameter for s in samples])) if is_one else TOKENS_PER_PARAMETER
    check_number("tokens_per_parameter", tpp, "tpp")
    return Sample(shape=like_runs, density=density, tokens=tpp * n_parameters(like_runs), seq_len=first.seq_len)


def _columns(form_of: Choice | Fit[Any], samples: Sequence[Sample], convention: Convention) -> tuple[Floats, ...]:
    """The law's inputs, one array (n_samples,) each."""
    names = form_of.form.inputs
    return tuple(np.array(column) for column in zip(*(s.inputs(names, convention) for s in samples), strict=True))


def _replicates(
    fitted: Fit[Any], rows: Sequence[Row], columns: Sequence[Floats], losses: Floats, n: int, seed: int
) -> dict[Literal["seeds", "rows"], tuple[Any, ...]]:
    found: dict[Literal["seeds", "rows"], tuple[Any, ...]] = {
        "rows": replicate_laws(fitted, columns, residual_draws(fitted, columns, losses, n, seed=seed))
    }
    drawn = seed_draws([np.array(row.losses) for row in rows], n, seed=seed)
    return found if drawn is None else {"seeds": replicate_laws(fitted, columns, drawn), **found}


def _ends(laws: Sequence[Any], columns: Sequence[Floats]) -> tuple[Floats, Floats]:
    values = np.stack([law.loss(*columns) for law in laws])
    ends = [interval(of_sample) for of_sample in values.T]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def _prediction(fitted: Fit[Any], replicates: Mapping[Any, Sequence[Any]], columns: Sequence[Floats]) -> Prediction:
    value = float(fitted.law.loss(*columns)[0])
    intervals = {str(over): tuple(float(end[0]) for end in _ends(laws, columns)) for over, laws in replicates.items()}
    return Prediction(
        value=value,
        low=min(value, *(low for low, _ in intervals.values())),
        high=max(value, *(high for _, high in intervals.values())),
        intervals=intervals,  # type: ignore[arg-type]  # two ends each
    )


def _described(
    choice: Choice, fitted: Fit[Any], replicates: Mapping[Any, Sequence[Any]], convention: Convention
) -> FittedLaw:
    tables = {str(over): [msgspec.to_builtins(law) for law in laws] for over, laws in replicates.items()}
    coefficients: dict[str, float] = msgspec.to_builtins(fitted.law)
    ends = {
        name: [interval(np.array([law[name] for law in laws])) for laws in tables.values()] for name in coefficients
    }
    return FittedLaw(
        name=choice.name,
        equation=EQUATIONS[choice.name],
        reason=choice.reason,
        coefficients=coefficients,
        coefficient_intervals={name: (min(e[0] for e in of), max(e[1] for e in of)) for name, of in ends.items()},
        residual_std=fitted.residual_std,
        largest_residual=fitted.largest_residual,
        n_rows=fitted.n_rows,
        n_runs=sum(len(row.losses) for row in choice.rows),
        n_starts=fitted.n_starts,
        n_agreeing=fitted.n_agreeing,
        convention=convention,
    )
