"""Published throughput of GPU clusters, and what the baseline says about the same runs."""

from functools import cache
from typing import Any

import msgspec

from wse_sim.gpu.layout import GIVEN_NUMBERS, Job, Layout, Recompute
from wse_sim.gpu.roofline import GpuResult, gpu_job, gpu_result
from wse_sim.gpu.search import known_to_run
from wse_sim.gpu.spec import Precision, Sharding
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import convert, data_path, load_model, read_toml, without_citation
from wse_sim.spec.model import ModelShape

_WHERE = "data/validation/gpu.toml"


class GpuRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One published run.

    Parameters
    ----------
    batch_size :
        Sequences per optimizer step, over all GPUs.
    tp, cp, pp, interleave, microbatch :
        As in `Layout`; 0 = not published.
    used_to_fit :
        A calibrated constant was fitted on the row: it is no evidence for the model.
    """

    model: str
    gpu: str
    num_gpus: int
    batch_size: int
    seq_len: int
    tp: int
    cp: int
    pp: int
    interleave: int
    microbatch: int
    recompute: Recompute
    sharding: Sharding
    tokens_per_s_per_gpu: float
    used_to_fit: bool

    @property
    def layout(self) -> Layout:
        """What is published of it."""
        numbers = {name: getattr(self, name) or None for name in GIVEN_NUMBERS}
        return Layout(**numbers, recompute=self.recompute, sharding=self.sharding)


class GpuSeries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Published runs from one source, with one kind of software and precision.

    Parameters
    ----------
    id :
        Short name; up to a stroke, that of the source.
    """

    id: str
    source: str
    kind: str
    note: str
    software: str
    precision: Precision
    rows: tuple[GpuRow, ...]

    @property
    def group(self) -> str:
        """Short name of the source."""
        return self.id.split("/")[0]


class _Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    columns: tuple[str, ...]
    shapes: dict[str, dict[str, Any]]
    series: tuple[GpuSeries, ...]


def reference_series() -> tuple[GpuSeries, ...]:
    """The published runs, by source."""
    return _reference().series


def reference_shape(row: GpuRow) -> ModelShape:
    """The shape that `row` trained; learned positions, where it has them, are as many as the row's sequences need."""
    given = _reference().shapes.get(row.model)
    where = f"{_WHERE} [shapes.{row.model}]"
    shape = load_model(row.model).shape if given is None else convert(without_citation(given), ModelShape, where)
    return msgspec.structs.replace(shape, seq_len=row.seq_len)


def reference_job(row: GpuRow, series: GpuSeries) -> Job:
    """What `row` ran on what."""
    return gpu_job(
        reference_shape(row),
        gpu=row.gpu,
        num_gpus=row.num_gpus,
        batch_size=row.batch_size,
        seq_len=row.seq_len,
        software=series.software,
        precision=series.precision,
    )


def simulate_row(row: GpuRow, series: GpuSeries) -> GpuResult:
    """What the baseline says about the run in `row`, in its published layout."""
    job = reference_job(row, series)
    return gpu_result(job, known_to_run(job, row.layout), density=1.0, tokens=None, economics=load_economics())


@cache
def _reference() -> _Reference:
    return convert(read_toml(data_path("validation", "gpu.toml")), _Reference, _WHERE)
