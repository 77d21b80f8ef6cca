"""The simulator against published throughput: every row, its signed error, and whether a constant was fitted on it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from wse_sim.gpu.reference import GpuRow, GpuSeries, reference_series, simulate_row
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulate import step_time_s
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.load import convert, data_path, load_model, read_toml
from wse_sim.spec.run import Run

Side = Literal["wafer", "gpu"]
Change = Callable[[Cluster], Cluster]


def _as_shipped(cluster: Cluster) -> Cluster:
    return cluster


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

    def microbatch(self, change: Change = _as_shipped) -> int:
        """Sequences at a time on each system: the simulator's choice, on the shipped cluster or a `change` of it."""
        return plan_step(self._run(), change(load_cluster(self.system, self.num_csx))).microbatch

    def predicted_samples_per_s(self, change: Change = _as_shipped, *, microbatch: int | None = None) -> float:
        """What the simulator says, with a given micro-batch or its own choice."""
        run = self._run(microbatch)
        return self.batch_size / step_time_s(run, change(load_cluster(self.system, self.num_csx)))

    def _run(self, microbatch: int | None = None) -> Run:
        return Run(
            shape=load_model(self.model).shape,
            system=self.system,
            num_csx=self.num_csx,
            batch_size=self.batch_size,
            microbatch=microbatch,
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
        The same by a fit that has not seen the row, or no row of its group; None where the fit does not have it anyway.
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
    """Errors of some rows, as fractions."""

    n_rows: int
    mean_abs_error: float
    max_abs_error: float


def wafer_rows() -> list[WaferRow]:
    """The published rates of wafer-scale systems."""
    where = "data/validation/wafer.toml"
    return convert(read_toml(data_path("validation", "wafer.toml"))["row"], list[WaferRow], where)


def validate() -> list[ValidationRow]:
    """Every published row, predicted."""
    return [_wafer(row) for row in wafer_rows()] + [
        _gpu(row, series) for series in reference_series() for row in series.rows
    ]


def accuracy(errors: Iterable[float]) -> Accuracy:
    """Mean and largest of `errors`, without sign."""
    sizes = [abs(float(error)) for error in errors]
    return Accuracy(
        n_rows=len(sizes), mean_abs_error=sum(sizes) / max(1, len(sizes)), max_abs_error=max(sizes, default=0.0)
    )


def accuracies(rows: Iterable[ValidationRow]) -> dict[str, Accuracy]:
    """Of fitted rows, of predicted ones, and of fits without the row and without its group, by side."""
    errors: dict[str, list[float]] = {}
    for row in rows:
        named = {
            "fit" if row.used_to_fit else "predicted": row.error,
            "without the row": row.error_without_row,
            "without its group": row.error_without_group,
        }
        for name, error in named.items():
            if error is not None:
                errors.setdefault(f"{row.side} {name}", []).append(error)
    return {name: accuracy(found) for name, found in errors.items()}


def _wafer(row: WaferRow) -> ValidationRow:
    predicted = row.predicted_samples_per_s()
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


def _gpu(row: GpuRow, series: GpuSeries) -> ValidationRow:
    predicted = simulate_row(row, series).tokens_per_s_per_gpu
    return ValidationRow(
        id=f"{row.model} {row.gpu} x{row.num_gpus} {row.batch_size}x{row.seq_len} {series.software} {series.precision}",
        group=row.gpu,
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
