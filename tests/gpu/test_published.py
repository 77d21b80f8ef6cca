"""The GPU baseline against published throughput, in the published layouts."""

from functools import cache
from statistics import fmean

import pytest

from wse_sim.gpu.reference import GpuRow, GpuSeries, reference_series, simulate_row

# Of rows on which nothing was fitted: runs whose neighbours in the same table say otherwise, and two programs of 2021
# to 2022 on A100 without the kernels that the baseline takes them to have.
OUTLIERS = {("mpt-70b", 64), ("mpt-1b", 32), ("mpt-760m", 8), ("gpt-neox-20b", 96), ("mpt-30b", 8)}


@cache
def every_error() -> dict[tuple[str, GpuRow], float]:
    return {
        (series.source, row): simulate_row(row, series).tokens_per_s_per_gpu / row.tokens_per_s_per_gpu - 1
        for series in reference_series()
        for row in series.rows
    }


def rows_from(source: str) -> list[tuple[GpuRow, GpuSeries]]:
    return [(row, series) for series in reference_series() if source in series.source for row in series.rows]


def errors(source: str) -> list[float]:
    found = [every_error()[series.source, row] for row, series in rows_from(source)]
    assert found
    return found


def test_rows_on_which_nothing_was_fitted() -> None:
    """Mean 5.4 %; single rates scatter by up to 10 % from release to release (the data's notes)."""
    held_out = {key: error for key, error in every_error().items() if not key[1].used_to_fit}
    assert len(held_out) > 300
    assert fmean(map(abs, held_out.values())) < 0.06
    for (_, row), error in held_out.items():
        assert abs(error) < (0.40 if (row.model, row.num_gpus) in OUTLIERS else 0.225), row


@pytest.mark.parametrize(
    ("source", "mean", "largest"),
    [
        ("bfloat16 tables", 0.06, 0.40),
        ("NeMo 24.07", 0.06, 0.15),
        ("NeMo 25.02", 0.10, 0.20),
        ("NeMo 25.04", 0.08, 0.15),
        ("NeMo 25.07", 0.08, 0.08),
        ("section 25.11", 0.08, 0.12),
        ("section 26.02", 0.06, 0.08),
        ("fms-fsdp", 0.08, 0.15),
        ("rocm/pytorch-training", 0.10, 0.15),
        ("weak scaling on H100", 0.08, 0.20),
        ("figure of strong scaling", 0.04, 0.04),
        ("README.md of 2021", 0.08, 0.08),
        ("README.md of 2022", 0.06, 0.11),
        ("torchtitan, benchmarks/llama3_h100", 0.08, 0.12),
        ("dgxc-benchmarking", 0.06, 0.15),
        ("BLOOM", 0.20, 0.20),
        ("TinyLlama", 0.08, 0.08),
        ("llm.c", 0.15, 0.15),
    ],
)
def test_each_source_within_its_tolerance(source: str, mean: float, largest: float) -> None:
    """Tolerances are the errors at the time of the fit, rounded up; BLOOM's network is slower than the data's."""
    found = errors(source)
    assert fmean(map(abs, found)) < mean
    assert max(map(abs, found)) < largest


def test_strong_scaling_loses_as_much_as_published() -> None:
    """177B from 96 to 4,608 H100 loses a tenth of each GPU's rate; published 461 to 415 TFLOP/s, 10 %."""
    rates = [simulate_row(row, series).tokens_per_s_per_gpu for row, series in rows_from("figure of strong scaling")]
    assert 0.05 < 1 - rates[-1] / rates[0] < 0.20
