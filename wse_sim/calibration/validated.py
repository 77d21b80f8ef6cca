"""What speaks for the simulator and against it: published rows with their errors, fitted constants, what fixed them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from wse_sim.calibration.gpu import gpu_linear_fit, ties
from wse_sim.calibration.linear import LinearFit, most_of
from wse_sim.calibration.wafer import fitted_rows, linearised, shipped
from wse_sim.gpu.spec import gpu_constants
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import convert, data_path, load_release, read_toml, release_names
from wse_sim.spec.sourced import Sourced
from wse_sim.validation import Side, ValidationRow, accuracies, accuracies_by_group, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedConstant:
    """A constant that was fixed on rows which the simulator also predicts.

    Parameters
    ----------
    name :
        As `wse-sim explain` has it; that of a release after the word.
    low, high :
        Two standard errors about a constant of the least-squares fit, a share's cut at 1; the range in the data of any
        other.
    fixed_by :
        What fixed it, in words; "" for a constant of the least-squares fit, which has
    leverages :
        the rows that fix it most, on GPUs their sources, with their share, as many as hold half of it.
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
    """Rows with errors, and fitted constants."""

    rows: list[ValidationRow]
    constants: list[FittedConstant]

    def as_dict(self) -> dict[str, Any]:
        """What `wse-sim validate --json` prints, and what its page and figure are made from."""
        by_group = accuracies_by_group(self.rows)
        return {
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "errors": {name: dataclasses.asdict(found) for name, found in accuracies(self.rows).items()},
            "errors_by_group": {name: dataclasses.asdict(found) for name, found in by_group.items()},
            "fitted_constants": [dataclasses.asdict(constant) for constant in self.constants],
        }


def evidence(watch: Watch = UNWATCHED) -> Evidence:
    """Every published row with its errors, and every fitted constant with what fixed it.

    Parameters
    ----------
    watch :
        Hears of each row.
    """
    wafer, gpu = linearised(fitted_rows(), shipped(), watch), gpu_linear_fit(watch)
    rows = _with_left_out_errors(_with_left_out_errors(validate(watch), wafer), gpu)
    return Evidence(rows=rows, constants=_fitted_constants(wafer, gpu))


def _with_left_out_errors(rows: Sequence[ValidationRow], linear: LinearFit) -> list[ValidationRow]:
    """`rows` with the errors of fits without the row, if they see it, and without its group, for those of `linear`."""
    ids = linear.ids.tolist()
    without_row = dict(zip(ids, linear.left_out_errors(linear.ids).tolist(), strict=True))
    without_group = dict(zip(ids, linear.left_out_errors(linear.groups).tolist(), strict=True))
    is_fitted = dict(zip(ids, linear.is_fitted.tolist(), strict=True))
    return [
        replace(
            row,
            error_without_row=without_row[row.id] if is_fitted[row.id] else None,
            error_without_group=without_group[row.id],
        )
        if row.id in without_row
        else row
        for row in rows
    ]


def _fitted_constants(*fits: LinearFit) -> list[FittedConstant]:
    said = convert(read_toml(data_path("calibration.toml")), dict[str, _Said], "data/calibration.toml")
    fit_of = {name: linear for linear in fits for name in linear.names}
    spreads = {
        name: float(spread)
        for linear in fits
        for name, spread in zip(linear.names, np.exp(2.0 * linear.standard_errors()), strict=True)
    }
    found = []
    for side, name, constant in _calibrated(said):
        about, spread = _about(name, said), spreads.get(name)
        found.append(
            FittedConstant(
                side=side,
                name=name,
                meaning=about.meaning,
                value=constant.value,
                low=constant.value / spread if spread else constant.low,
                high=min(constant.value * spread, most_of(name)) if spread else constant.high,
                fixed_by=f"tied to {ties()[name].to}" if name in ties() else about.fixed_by,
                leverages=_leverages(name, side, fit_of[name]) if spread else {},
            )
        )
    return found


def _leverages(name: str, side: Side, linear: LinearFit) -> dict[str, float]:
    return linear.largest_leverages(name, linear.ids if side == "wafer" else linear.groups)


def _about(name: str, said: Mapping[str, _Said]) -> _Said:
    """What is said of a constant: by its name, by that of a release, or by its name without its owner's."""
    names = (name, name.removeprefix("release "), name.partition(".")[2])
    return next(said[known] for known in names if known in said)


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
    for name, constant in gpu_constants().items():
        if constant.kind == "calibrated":
            yield "gpu", name, constant
