"""The calibrated constants of GPUs against the rows they were fitted on."""

import time

import numpy as np
import pytest

from wse_sim.calibration import Evidence, fit_gpu, gpu_linear_fit, shipped_gpu
from wse_sim.calibration.gpu import published_gpu_rows, ties
from wse_sim.calibration.linear import LinearFit
from wse_sim.gpu.reference import simulate_row
from wse_sim.gpu.spec import gpu_constants, load_gpu
from wse_sim.report.comparison_words import FULL_MEMORY, FULL_MEMORY_ERROR
from wse_sim.validation import Accuracy, gpu_rows

# Constants are shipped with two to four digits; the rows leave each uncertain by 5 % at least.
ROUNDING = 5e-3
# Where a fraction of something that nobody exceeds would end; the jackknife knows nothing of it.
LARGEST = {"gpu_training.tile_overhead_depth": np.inf}


@pytest.fixture(scope="module")
def linear() -> LinearFit:
    return gpu_linear_fit()


def test_shipped_constants_are_what_the_fit_gives() -> None:
    """Nobody moved one by hand."""
    assert fit_gpu() == pytest.approx(shipped_gpu(), rel=ROUNDING)


def test_the_fit_ends_at_the_same_constants_wherever_it_starts_and_takes_seconds() -> None:
    shipped, started = shipped_gpu(), time.perf_counter()
    start = {name: value * (0.85 if i % 2 else 1.15) for i, (name, value) in enumerate(shipped.items())}
    assert fit_gpu(start=start) == pytest.approx(shipped, rel=ROUNDING)
    assert time.perf_counter() - started < 30


def test_twelve_constants_are_fitted_and_the_others_of_their_kind_are_tied_to_them() -> None:
    constants = gpu_constants()
    assert len(shipped_gpu()) == 12
    for name, tie in ties().items():
        assert tie.to in shipped_gpu()
        tied, to = constants[name], constants[tie.to]
        assert tied.value == pytest.approx(tie.factor * to.value, rel=1e-6), name
        assert tied.kind == ("calibrated" if tie.factor == 1 and not name.startswith("h200") else "derived"), name
        if tied.kind == "calibrated":
            assert tied.ends == to.ends, name


def test_shipped_ranges_are_the_intervals_of_the_fit(linear: LinearFit) -> None:
    """To two digits, and fractions end at 1."""
    constants = gpu_constants()
    for name, spread in zip(linear.names, np.exp(2 * linear.standard_errors()), strict=True):
        constant = constants[name]
        interval = constant.value / spread, min(constant.value * spread, LARGEST.get(name, 1.0))
        assert constant.ends == pytest.approx(interval, rel=0.06), name


def test_accuracy_of_rows_on_which_nothing_was_fitted_and_of_whole_sources_left_out(
    errors: dict[str, Accuracy],
) -> None:
    """Tolerances are today's errors, rounded up; how far they can be trusted: docs/explanation/calibration.md."""
    assert errors["gpu fit"].n_rows + errors["gpu predicted"].n_rows == len(gpu_rows())
    for name, mean, largest in (
        ("gpu fit", 0.055, 0.30),
        ("gpu predicted", 0.06, 0.38),
        ("gpu without the row", 0.065, 0.32),
        ("gpu without its group", 0.095, 0.95),
    ):
        assert errors[name].mean_abs_error < mean, name
        assert errors[name].max_abs_error < largest, name
    assert abs(errors["gpu predicted"].mean_error) < 0.02
    assert errors["gpu without the row"].n_rows == errors["gpu fit"].n_rows
    assert errors["gpu without its group"].n_rows == len(gpu_rows())


def test_published_runs_in_full_memory_come_out_as_fast_as_comparisons_warn() -> None:
    """Layouts that the memory model would refuse are no layouts of a comparison."""
    fast = 0.0
    for _, row, series in gpu_rows():
        predicted, available = simulate_row(row, series), load_gpu(row.gpu).memory_bytes.value
        if FULL_MEMORY < predicted.memory_bytes_per_gpu / available <= 1:
            fast = max(fast, predicted.tokens_per_s_per_gpu / row.tokens_per_s_per_gpu - 1)
    assert fast == pytest.approx(FULL_MEMORY_ERROR, abs=5e-3)


def test_ids_of_rows_are_unique_and_begin_with_their_source() -> None:
    names = [name for name, _, _ in gpu_rows()]
    assert len(set(names)) == len(names)
    assert all(name.startswith(series.id + " ") for name, _, series in gpu_rows())


def test_fitted_constants_have_a_meaning_and_what_fixed_them(found: Evidence) -> None:
    gpu = {constant.name: constant for constant in found.constants if constant.side == "gpu"}
    sources = {series.group for _, _, series in gpu_rows()}
    for name, constant in gpu.items():
        assert constant.meaning
        assert bool(constant.leverages) == (name in shipped_gpu()) == (not constant.fixed_by)
        assert set(constant.leverages) <= sources
    assert set(shipped_gpu()) <= set(gpu)


@pytest.mark.parametrize("left_out", ["nemo-24.07", "megatron-bridge", "torchtitan-a100"])
def test_leaving_a_source_out_of_the_linear_fit_is_close_to_fitting_again_without_it(
    left_out: str, linear: LinearFit
) -> None:
    """Within 0.01 of the prediction: moves of up to 10 % in the constants."""
    rows = published_gpu_rows()
    again = fit_gpu([row for row, kept in zip(rows, linear.is_fitted, strict=True) if kept and row.group != left_out])
    expected = np.expm1([row.near(again)(again) for row in rows if row.group == left_out])
    out = linear.groups == left_out
    np.testing.assert_allclose(linear.left_out_errors(linear.groups)[out], expected, atol=0.01)


def test_a_source_that_alone_fixes_constants_is_missed_by_more_without_it(linear: LinearFit) -> None:
    """llm-foundry has most rows of A100 and of eager PyTorch: without it their constants hang on three rows."""
    without = np.abs(linear.left_out_errors(linear.groups)[linear.groups == "llm-foundry"])
    assert without.mean() > 1.5 * np.abs(np.expm1(linear.errors[linear.groups == "llm-foundry"])).mean()


def test_slopes_are_what_the_constants_are(linear: LinearFit) -> None:
    """A GPU's rate moves its own rows, nearly as one moves one, and those of no other; a tied one moves with it."""
    slopes = dict(zip(linear.names, linear.slopes.T, strict=True))
    gpus = np.array([row.gpu for _, row, _ in gpu_rows()])
    on_a100 = np.char.startswith(gpus, "a100")
    assert (slopes["a100-80.sustained_fraction"][~on_a100] == 0).all()
    assert (slopes["a100-80.sustained_fraction"][on_a100] > 0.2).all()
    assert (slopes["a100-80.sustained_fraction"][on_a100] <= 1.0).all()
    on_gb200 = gpus == "gb200"
    fp8 = np.array([series.precision == "fp8" for _, _, series in gpu_rows()])
    assert (slopes["b200.fp8_sustained_fraction"][on_gb200 & fp8] > 0.2).all()
    assert (slopes["b200.fp8_sustained_fraction"][on_gb200 & ~fp8] == 0).all()
    assert (slopes["gpu_training.overlap_slowdown"] <= 0).all()
