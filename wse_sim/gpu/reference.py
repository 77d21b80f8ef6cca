"""Published throughput of GPU clusters, and what the baseline says about the same runs."""

from functools import cache
from typing import Any

import msgspec

from wse_sim.gpu.layout import FixedLayout
from wse_sim.gpu.roofline import SEARCH_ALL, GpuResult, simulate_gpu
from wse_sim.spec.load import convert, data_path, read_toml, without_citation
from wse_sim.spec.model import ModelShape

_WHERE = "data/validation/gpu.toml"


class GpuRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One published run.

    Parameters
    ----------
    batch_size :
        Sequences per optimizer step, over all GPUs.
    microbatch :
        Sequences per GPU at a time.
    used_to_fit :
        A calibrated constant was fitted on the row: it is no evidence for the model.
    """

    model: str
    gpu: str
    num_gpus: int
    batch_size: int
    seq_len: int
    microbatch: int
    is_recomputed: bool
    tokens_per_s_per_gpu: float
    used_to_fit: bool


class GpuSeries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Published runs from one source."""

    source: str
    kind: str
    note: str
    rows: tuple[GpuRow, ...]


class _Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    columns: tuple[str, ...]
    shapes: dict[str, dict[str, Any]]
    series: tuple[GpuSeries, ...]


def reference_series() -> tuple[GpuSeries, ...]:
    """The published runs, by source."""
    return _reference().series


def reference_shape(row: GpuRow) -> ModelShape:
    """The shape that `row` trained; learned positions, where it has them, are as many as the row's sequences need."""
    shape = convert(without_citation(_reference().shapes[row.model]), ModelShape, f"{_WHERE} [shapes.{row.model}]")
    return msgspec.structs.replace(shape, seq_len=row.seq_len)


def simulate_row(row: GpuRow, *, is_layout_free: bool) -> GpuResult:
    """What the baseline says about the run in `row`.

    Parameters
    ----------
    is_layout_free :
        Search for the layout, as for a user; False = the published one, fully sharded data parallelism in all of them.
    """
    published = FixedLayout(tp=1, pp=1, microbatch=row.microbatch, is_recomputed=row.is_recomputed, sharding="zero3")
    return simulate_gpu(
        reference_shape(row),
        gpu=row.gpu,
        num_gpus=row.num_gpus,
        batch_size=row.batch_size,
        seq_len=row.seq_len,
        fixed=SEARCH_ALL if is_layout_free else published,
    )


@cache
def _reference() -> _Reference:
    return convert(read_toml(data_path("validation", "gpu.toml")), _Reference, _WHERE)
