"""Fitting the calibrated constants of the wafer to published rows, and what the rows say when they are left out."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from wse_sim.gpu.spec import gpu_names, load_gpu, load_software, software_names, sourced, training_constants
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.load import convert, data_path, load_release, read_toml, release_names
from wse_sim.spec.sourced import Sourced
from wse_sim.validation import (
    Accuracy,
    Change,
    Side,
    ValidationRow,
    WaferRow,
    accuracies,
    accuracy,
    validate,
    wafer_rows,
)

FloatArray = npt.NDArray[np.float64]

FITTED = ("csx.linear_efficiency", "csx.attention_efficiency", "csx.layer_latency_s")
CANDIDATES = {"csx.unfilled_channels": (0.0, 0.25, 0.5, 1.0)}

_STEP = 1e-3  # of the finite differences, in the logarithm of a constant
# Of an iteration. They shrink, so that the search does not swing about a kink, where one cost gives way to another.
_LARGEST_MOVES = [0.3 * 0.5**i for i in range(10)]
_TOLERANCE = 1e-3  # of a constant; below it the choice between two equally fast micro-batches may flip to and fro
_UNFIXED = 0.02  # share of the largest singular value below which rows do not fix a direction


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearFit:
    """A least-squares fit near its solution, where predictions are linear in the logarithms of the constants.

    Parameters
    ----------
    names : (n_constants,)
        Of the fitted constants.
    ids, groups : (n_rows,)
        Of the rows. Rows of one group share model, kind of system and source, and are not independent.
    errors : (n_rows,)
        log(predicted / published).
    slopes : (n_rows, n_constants)
        Change of an error with the logarithm of a constant.
    """

    names: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    errors: FloatArray
    slopes: FloatArray

    def moves(self, kept: npt.NDArray[np.bool_] | None = None) -> FloatArray:
        """(n_constants,): what the fit to the rows `kept`, or to all, adds to the logarithms of the constants.

        A constant that these rows do not fix stays where it is.
        """
        kept = np.ones(len(self.errors), bool) if kept is None else kept
        return np.asarray(np.linalg.lstsq(self.slopes[kept], -self.errors[kept], rcond=_UNFIXED)[0], np.float64)

    def left_out_errors(self, labels: npt.NDArray[np.str_]) -> FloatArray:
        """(n_rows,): predicted / published - 1 by the fit to all rows but those of the row's own label.

        With the rows' ids as `labels` this is the textbook's residual over one less its leverage.
        """
        errors = self.errors.copy()
        for label in np.unique(labels):
            out = labels == label
            errors[out] += self.slopes[out] @ self.moves(~out)
        return np.expm1(errors)

    def standard_errors(self) -> FloatArray:
        """(n_constants,): of the constants' logarithms.

        The jackknife over groups, which is the cluster-robust sandwich estimate with residuals of fits without the
        group (CV3), or that over rows, whichever is larger: a constant that a single group fixes does not move when
        another one is left out.

        Source: MacKinnon, Nielsen, Webb, Journal of Applied Econometrics 38(5), 2023.
        """
        return np.maximum(self._jackknife(self.groups), self._jackknife(self.ids))

    def largest_leverages(self, name: str) -> dict[str, float]:
        """Rows and their shares in fixing the constant called `name`, beside the others: the fewest that hold half."""
        weights = np.linalg.pinv(self.slopes)[self.names.index(name)] ** 2
        shares = weights / weights.sum()
        order = np.argsort(-shares, kind="stable")
        n_rows = 1 + int(np.searchsorted(np.cumsum(shares[order]), 0.5))
        return dict(zip(self.ids[order[:n_rows]].tolist(), shares[order[:n_rows]].tolist(), strict=True))

    def _jackknife(self, labels: npt.NDArray[np.str_]) -> FloatArray:
        shifts = np.stack([self.moves(labels != label) for label in np.unique(labels)]) - self.moves()
        return np.asarray(np.sqrt((len(shifts) - 1) / len(shifts) * (shifts**2).sum(axis=0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedConstant:
    """A constant that was fixed on rows which the simulator also predicts.

    Parameters
    ----------
    name :
        As `wse-sim explain` has it for a system ("csx.linear_efficiency"), after its owner for anything else.
    low, high :
        Two standard errors about a constant of the least-squares fit; the range in the data of any other.
    fixed_by :
        What fixed it, in words; "" for a constant of the least-squares fit, which has
    leverages :
        the rows that fix it most, with their share, as many as hold half of it.
    """

    side: Side
    name: str
    meaning: str
    value: float
    low: float | None
    high: float | None
    fixed_by: str
    leverages: dict[str, float]


class _Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What data/calibration.toml says about a constant."""

    meaning: str
    fixed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that speaks for the simulator and against it."""

    rows: list[ValidationRow]
    constants: list[FittedConstant]

    def as_dict(self) -> dict[str, Any]:
        """What `wse-sim validate --json` prints, and what its page and figure are made from."""
        return {
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "errors": {name: dataclasses.asdict(found) for name, found in accuracies(self.rows).items()},
            "fitted_constants": [dataclasses.asdict(constant) for constant in self.constants],
        }


def fitted_rows() -> list[WaferRow]:
    """The rows of the least-squares fit.

    Not those of a release whose factor is itself a ratio of two published rows: they say nothing more.
    """
    return [row for row in wafer_rows() if row.used_to_fit and load_release(row.release).value == 1.0]


def fit(rows: Sequence[WaferRow] | None = None, fixed: Mapping[str, float] | None = None) -> dict[str, float]:
    """The constants `FITTED` that bring the predictions nearest to `rows`.

    Least squares of log(predicted / published), by Gauss-Newton in the logarithms of the constants, from the CS-2's
    shipped values. A CS-3 takes the CS-2's, as shipped.

    Parameters
    ----------
    rows :
        None = `fitted_rows`.
    fixed :
        Other constants that are not as shipped.
    """
    rows = fitted_rows() if rows is None else rows
    logs = np.log(list(shipped().values()))
    for largest in _LARGEST_MOVES:
        constants = dict(zip(FITTED, np.exp(logs).tolist(), strict=True))
        move = linearised(rows, {**(fixed or {}), **constants}).moves()
        logs = logs + np.clip(move, -largest, largest)
        if np.abs(move).max() < _TOLERANCE:
            break
    return dict(zip(FITTED, np.exp(logs).tolist(), strict=True))


def shipped() -> dict[str, float]:
    """The constants `FITTED` of the CS-2, as they are in the data."""
    constants = load_cluster("cs2", 1).constants
    return {name: constants[name].value for name in FITTED}


def linearised(rows: Sequence[WaferRow], constants: Mapping[str, float]) -> LinearFit:
    """The fit to `rows` near `constants`: those of `FITTED`, and others that are not as shipped.

    Micro-batches are those chosen there: a slope across a change of them would be a jump over a small step.
    """
    microbatches = [row.microbatch(_with(constants)) for row in rows]

    def log_errors(constants: Mapping[str, float]) -> FloatArray:
        change = _with(constants)
        predicted = [
            row.predicted_samples_per_s(change, microbatch=microbatch)
            for row, microbatch in zip(rows, microbatches, strict=True)
        ]
        return np.log(np.array(predicted) / [row.samples_per_s for row in rows])

    errors = log_errors(constants)
    stepped = [log_errors({**constants, name: constants[name] * math.exp(_STEP)}) for name in FITTED]
    return LinearFit(
        names=FITTED,
        ids=np.array([row.id for row in rows]),
        groups=np.array([row.group for row in rows]),
        errors=errors,
        slopes=np.stack([(there - errors) / _STEP for there in stepped], axis=1),
    )


def candidate_accuracies(name: str = "csx.unfilled_channels") -> dict[float, Accuracy]:
    """Leave-one-group-out errors with each of a constant's `CANDIDATES`, and the constants `FITTED` fitted to it."""
    rows, found = fitted_rows(), {}
    for value in CANDIDATES[name]:
        linear = linearised(rows, {name: value, **fit(rows, {name: value})})
        found[value] = accuracy(linear.left_out_errors(linear.groups))
    return found


def evidence() -> Evidence:
    """Every published row with its errors, and every fitted constant with what fixed it."""
    linear = linearised(fitted_rows(), shipped())
    return Evidence(rows=_with_left_out_errors(validate(), linear), constants=_fitted_constants(linear))


def _with_left_out_errors(rows: Sequence[ValidationRow], linear: LinearFit) -> list[ValidationRow]:
    """`rows` with the errors of fits without the row, and without its group, where the fit has the row."""
    without_row, without_group = (
        dict(zip(linear.ids.tolist(), linear.left_out_errors(labels).tolist(), strict=True))
        for labels in (linear.ids, linear.groups)
    )
    return [
        replace(row, error_without_row=without_row.get(row.id), error_without_group=without_group.get(row.id))
        for row in rows
    ]


def _with(constants: Mapping[str, float]) -> Change:
    """What puts `constants` into a cluster of whatever system."""

    def change(cluster: Cluster) -> Cluster:
        for name, value in constants.items():
            cluster = cluster.with_constant(name, value)
        return cluster

    return change


def _fitted_constants(linear: LinearFit) -> list[FittedConstant]:
    said = convert(read_toml(data_path("calibration.toml")), dict[str, _Said], "data/calibration.toml")
    spreads = dict(zip(linear.names, np.exp(2.0 * linear.standard_errors()).tolist(), strict=True))
    found = []
    for side, name, constant in _calibrated(said):
        about, spread = said[name.split()[-1]], spreads.get(name)
        found.append(
            FittedConstant(
                side=side,
                name=name,
                meaning=about.meaning,
                value=constant.value,
                low=constant.value / spread if spread else constant.low,
                high=constant.value * spread if spread else constant.high,
                fixed_by=about.fixed_by,
                leverages=linear.largest_leverages(name) if spread else {},
            )
        )
    return found


def _calibrated(said: Mapping[str, _Said]) -> Iterator[tuple[Side, str, Sourced]]:
    """The CS-2's constants whose kind is `calibrated`, factors of releases that are ratios of rows, the GPUs' ones.

    The other systems carry the CS-2's over (tests/validation).
    """
    cluster = load_cluster("cs2", 1)
    for name in cluster.named("calibrated"):
        yield "wafer", name, cluster.constants[name]
    for name in release_names():
        if name in said:
            yield "wafer", f"release {name}", load_release(name)
    parts = [sourced(training_constants(), "gpu")]
    parts += [sourced(load_gpu(name), name) for name in gpu_names()]
    parts += [sourced(load_software(name), name) for name in software_names()]
    for part in parts:
        for name, constant in part.items():
            if constant.kind == "calibrated":
                yield "gpu", name.replace(".", " ", 1), constant
