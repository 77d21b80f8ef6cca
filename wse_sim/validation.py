"""The simulator against published throughput: every row, its signed error, and whether a constant was fitted on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args

import msgspec

from wse_sim.gpu.reference import GpuRow, GpuSeries, reference_series, simulate_row
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import convert, data_path, load_model, read_toml
from wse_sim.spec.run import Run

Side = Literal["wafer", "gpu"]


class WaferRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published rate of a wafer-scale system, as data/validation/wafer.toml holds it."""

    id: str
    model: str
    system: str
    num_csx: int
    batch_size: int
    seq_len: int
    density: float
    release: str
    samples_per_s: float
    source: str
    kind: str
    used_to_fit: bool
    note: str

    @property
    def group(self) -> str:
        """Rows of one model on one kind of system from one source: what their ids begin with."""
        return self.id.split("-")[0]

    @property
    def run(self) -> Run:
        """What was run, with the micro-batch that the simulator chooses."""
        return Run(
            shape=load_model(self.model).shape,
            system=self.system,
            num_csx=self.num_csx,
            batch_size=self.batch_size,
            seq_len=self.seq_len,
            tokens=self.batch_size * self.seq_len,
            density=self.density,
            release=self.release,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """One published figure beside the simulator's.

    Parameters
    ----------
    unit :
        Of `published` and `predicted`: samples/s over all systems, or tokens/s per GPU.
    error :
        predicted / published - 1.
    used_to_fit :
        Whether a calibrated constant was fitted on the row. The error of such a row is no evidence; those below are.
    error_without_row, error_without_group :
        The same by a fit that has not seen the row, or no row of its group; None where the fit does not see it anyway,
        or nothing is fitted to its kind of row.
    """

    id: str
    group: str
    side: Side
    model: str
    system: str
    num_systems: int
    batch_size: int
    seq_len: int
    release: str
    unit: str
    published: float
    predicted: float
    error: float
    used_to_fit: bool
    source: str
    error_without_row: float | None = None
    error_without_group: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Errors of some rows, as fractions; `mean_error` has its sign."""

    n_rows: int
    mean_error: float
    mean_abs_error: float
    max_abs_error: float


def wafer_rows() -> list[WaferRow]:
    """The published rates of wafer-scale systems."""
    where = "data/validation/wafer.toml"
    return convert(read_toml(data_path("validation", "wafer.toml"))["row"], list[WaferRow], where)


def gpu_rows() -> list[tuple[str, GpuRow, GpuSeries]]:
    """The published runs on GPUs: an id that no other has, the row, and the series that it is of."""
    found: dict[str, tuple[str, GpuRow, GpuSeries]] = {}
    for series in reference_series():
        for row in series.rows:
            recompute = "" if row.recompute == "none" else f" {row.recompute}"
            name = f"{series.id} {row.model} {row.num_gpus} {row.gpu} {row.batch_size}x{row.seq_len}{recompute}"
            if name in found:
                name += " again"
            found[name] = name, row, series
    return list(found.values())


def validate(watch: Watch = UNWATCHED) -> list[ValidationRow]:
    """Every published row, predicted; `watch` hears of each."""
    wafers, gpus = wafer_rows(), gpu_rows()
    watch.begin(len(wafers) + len(gpus), "published rows")
    found = []
    for row in chain(map(_wafer, wafers), (_gpu(*row) for row in gpus)):
        found.append(row)
        watch.came()
    return found


def accuracy(errors: Iterable[float]) -> Accuracy:
    """Mean of `errors`, and mean and largest without sign."""
    found = [float(error) for error in errors]
    n_rows = max(1, len(found))
    return Accuracy(
        n_rows=len(found),
        mean_error=sum(found) / n_rows,
        mean_abs_error=sum(map(abs, found)) / n_rows,
        max_abs_error=max(map(abs, found), default=0.0),
    )


def accuracies(rows: Iterable[ValidationRow]) -> dict[str, Accuracy]:
    """Of fitted rows, of predicted ones, and of fits without the row and without its group, by side."""
    kinds = ("fit", "predicted", "without the row", "without its group")
    errors: dict[str, list[float]] = {f"{side} {kind}": [] for side in get_args(Side) for kind in kinds}
    for row in rows:
        named = {
            "fit" if row.used_to_fit else "predicted": row.error,
            "without the row": row.error_without_row,
            "without its group": row.error_without_group,
        }
        for kind, error in named.items():
            if error is not None:
                errors[f"{row.side} {kind}"].append(error)
    return {name: accuracy(found) for name, found in errors.items() if found}


def accuracies_by_group(rows: Iterable[ValidationRow]) -> dict[str, Accuracy]:
    """Of all rows of a group, as shipped."""
    errors: dict[str, list[float]] = {}
    for row in rows:
        errors.setdefault(row.group, []).append(row.error)
    return {name: accuracy(found) for name, found in errors.items()}


def _wafer(row: WaferRow) -> ValidationRow:
    predicted = row.batch_size / step_time_s(row.run, load_cluster(row.system, row.num_csx))
    return ValidationRow(
        id=row.id,
        group=row.group,
        side="wafer",
        model=row.model,
        system=row.system,
        num_systems=row.num_csx,
        batch_size=row.batch_size,
        seq_len=row.seq_len,
        release=row.release,
        unit="samples/s",
        published=row.samples_per_s,
        predicted=predicted,
        error=predicted / row.samples_per_s - 1,
        used_to_fit=row.used_to_fit,
        source=row.source,
    )


def _gpu(name: str, row: GpuRow, series: GpuSeries) -> ValidationRow:
    predicted = simulate_row(row, series).tokens_per_s_per_gpu
    return ValidationRow(
        id=name,
        group=series.group,
        side="gpu",
        model=row.model,
        system=row.gpu,
        num_systems=row.num_gpus,
        batch_size=row.batch_size,
        seq_len=row.seq_len,
        release=f"{series.software} {series.precision}",
        unit="tokens/s/GPU",
        published=row.tokens_per_s_per_gpu,
        predicted=predicted,
        error=predicted / row.tokens_per_s_per_gpu - 1,
        used_to_fit=row.used_to_fit,
        source=series.source,
    )
