"""Constants that made the rows come back, those that rows do not fix stay, and left-out errors are honest."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.calibration.made_up import GPU_TRUTH, WAFER_RUNS, WAFER_TRUTH, gpu_file, wafer_file
from wse_sim.calibration import Calibration, calibrate, own_files, own_runs, read_measurements
from wse_sim.calibration.linear import solve
from wse_sim.errors import SpecError
from wse_sim.gpu.layout import Layout
from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.gpu.spec import load_gpu, load_software
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model

DATE = "2026-11-28"


def calibrated(path: Path, *free: str, base: str | None = None) -> Calibration:
    return calibrate(own_runs(read_measurements(str(path)), base), free or None)


@pytest.fixture(scope="module")
def wafer(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrated(wafer_file(tmp_path_factory.mktemp("wafer") / "runs.csv"))


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrated(gpu_file(tmp_path_factory.mktemp("gpu") / "runs.csv"))


def test_the_constants_that_made_the_rows_come_back_on_both_sides(wafer: Calibration, gpu: Calibration) -> None:
    for calibration, truth in ((wafer, WAFER_TRUTH), (gpu, GPU_TRUTH)):
        found = {constant.name: constant.after for constant in calibration.constants}
        assert found == pytest.approx(truth, rel=2e-3)
        assert calibration.errors["before"].mean_abs_error > 0.05
        assert calibration.errors["after"].max_abs_error < 1e-3
        assert calibration.notes == []


def test_the_constants_come_back_where_the_simulator_has_to_choose_the_micro_batches(tmp_path: Path) -> None:
    """Within 3 %: two micro-batches are equally fast there but for 0.3 %, and the search ends beside the change."""
    found = calibrated(wafer_file(tmp_path / "runs.csv", is_microbatch_known=False))
    assert {constant.name: constant.after for constant in found.constants} == pytest.approx(WAFER_TRUTH, rel=0.03)
    assert found.errors["after"].max_abs_error < 5e-3


def test_intervals_hold_the_constants_that_made_the_rows(wafer: Calibration, gpu: Calibration) -> None:
    for calibration, truth in ((wafer, WAFER_TRUTH), (gpu, GPU_TRUTH)):
        for constant in calibration.constants:
            assert constant.low is not None
            assert constant.high is not None
            assert constant.low <= constant.after <= constant.high
            assert constant.low <= truth[constant.name] * 1.002
            assert constant.high >= truth[constant.name] * 0.998
            assert constant.high <= 1.0 or constant.name == "csx.layer_latency_s"


def test_a_run_that_alone_fixes_a_constant_is_missed_without_it(tmp_path: Path) -> None:
    """Only BERT in small batches waits for the latency between layers: left out, the latency is as it was."""
    found = calibrated(wafer_file(tmp_path / "runs.csv", [*WAFER_RUNS[:2], WAFER_RUNS[-1], ("bert-large", 1, 128)]))
    assert set(found.fitted) == set(WAFER_TRUTH)
    *others, bert = found.rows
    assert abs(bert.error_after) < 1e-3
    assert bert.error_left_out < -0.15
    assert bert.error_left_out == pytest.approx(bert.error_before, abs=0.05)
    assert max(abs(row.error_left_out) for row in others) < 0.05


def test_left_out_errors_are_close_to_fitting_again_without_the_row(wafer: Calibration) -> None:
    """Within 0.01 of the prediction: constants move by up to a third."""
    rows, start = wafer.runs.rows, {name: wafer.runs.constants[name].value for name in wafer.fitted}
    for i in (0, 1, 4):
        again = solve([row for j, row in enumerate(rows) if j != i], tuple(start), start)
        expected = math.expm1(rows[i].near(again)(again))
        assert wafer.rows[i].error_left_out == pytest.approx(expected, abs=0.01)


def test_one_row_fixes_one_constant_and_says_nothing_about_others(tmp_path: Path) -> None:
    found = calibrated(wafer_file(tmp_path / "one.csv", WAFER_RUNS[1:2]))
    linear, attention, latency = found.constants
    assert linear.held == ""
    assert (attention.held, latency.held) == (
        "1 row cannot fix more than 1 constant",
        "these rows hardly depend on it",
    )
    assert (attention.after, latency.after) == (attention.before, latency.before)
    assert (linear.low, linear.high) == (None, None)
    (row,) = found.rows
    assert row.error_after == pytest.approx(0.0, abs=1e-4)
    assert row.error_left_out == pytest.approx(row.error_before, rel=1e-12)
    assert found.notes[0].startswith("as many constants as rows")
    assert found.notes[1].startswith("runs that the fit has not seen are missed by as much as before")


def test_equal_rows_do_not_tell_two_constants_apart(tmp_path: Path) -> None:
    found = calibrated(wafer_file(tmp_path / "equal.csv", [("13b", 1, 240), ("13b", 2, 480), ("13b", 4, 960)]))
    held = {constant.name: constant.held for constant in found.constants}
    assert held["csx.linear_efficiency"] == ""
    assert held["csx.attention_efficiency"] == "these rows do not tell it from csx.linear_efficiency"
    assert held["csx.layer_latency_s"] == "these rows hardly depend on it"


def test_the_order_of_free_constants_says_which_one_is_fitted(tmp_path: Path) -> None:
    path = wafer_file(tmp_path / "equal.csv", [("590m", 1, 256), ("590m", 4, 1024)])
    found = calibrated(path, "csx.attention_efficiency", "csx.linear_efficiency")
    assert list(found.fitted) == ["csx.attention_efficiency"]


def test_any_constant_can_be_free(tmp_path: Path) -> None:
    path = wafer_file(tmp_path / "clock.csv", WAFER_RUNS[:2], {"csx.clock_hz": 1.0e9})
    (clock,) = calibrated(path, "csx.clock_hz").constants
    assert clock.after == pytest.approx(1.0e9, rel=2e-3)
    with pytest.raises(SpecError, match=r"unknown constant to free 'csx\.clock': did you mean 'csx\.clock_hz'\?"):
        calibrated(path, "csx.clock")
    with pytest.raises(SpecError, match=r"csx\.power_w: these rows hardly depend on it"):
        calibrated(path, "csx.power_w")


def test_a_share_above_one_is_reported(tmp_path: Path) -> None:
    path = gpu_file(tmp_path / "fast.csv", {"h100.sustained_fraction": 1.1, "h100.fp8_sustained_fraction": 0.9})
    found = calibrated(path, "h100.sustained_fraction")
    assert any(note.startswith("h100.sustained_fraction is above 1") for note in found.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model,system,num_csx,batch_size,samples_per_s\n13b,cs2,1,100,200\n",
            "line 2: measured 200 sequences/s, simu",
        ),
        ("model,gpu,num_gpus,batch_size,tokens_per_s\n13b,h100,8,100,3\n", r"line 2: measured 0\.375 tokens/s per GPU"),
    ],
)
def test_a_rate_in_another_unit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(SpecError, match=message):
        calibrated(tmp_path / "runs.csv")


def test_a_constant_beyond_what_was_known_and_a_run_that_cannot_fit_are_reported(tmp_path: Path) -> None:
    path = wafer_file(tmp_path / "fast.csv", truth={**WAFER_TRUTH, "csx.linear_efficiency": 0.6})
    (note,) = calibrated(path, "csx.linear_efficiency").notes
    assert note.startswith("csx.linear_efficiency was known to lie between 0.22 and 0.32")
    (tmp_path / "runs.csv").write_text("model,gpu,num_gpus,batch_size,tokens_per_s\n13b,h100,1,32,5000\n")
    assert any(
        "line 2 ran, but by the memory model it needs 2" in note for note in calibrated(tmp_path / "runs.csv").notes
    )


def test_a_calibrated_system_gives_the_fitted_throughput_and_says_where_it_is_from(
    wafer: Calibration, tmp_path: Path
) -> None:
    out = tmp_path / "my-cs3.toml"
    ((path, text),) = own_files(wafer, out, DATE).items()
    assert path == out
    out.write_text(text, encoding="utf-8")
    cluster, shipped = load_cluster(str(out), 4), load_cluster("cs3", 4)
    assert (cluster.csx.name, cluster.num_csx) == ("my-cs3", 4)
    assert cluster.constants.keys() == shipped.constants.keys()
    changed = {name for name, constant in cluster.constants.items() if constant != shipped.constants[name]}
    assert changed == set(WAFER_TRUTH)
    for name in changed:
        constant = cluster.constants[name]
        assert (constant.kind, constant.as_of) == ("calibrated", "2026-11")
        assert wafer.runs.measurements.sha256 in constant.source
        assert "6 rows of runs.csv" in constant.source
        assert f"on {DATE} by wse-sim" in constant.source
        assert constant.low is not None
        assert constant.low <= constant.value <= (constant.high or 0.0)
    for row, measured in zip(wafer.runs.rows, wafer.runs.measured, strict=True):
        run = row.run  # type: ignore[attr-defined]
        rate = run.batch_size / step_time_s(run, load_cluster(str(out), run.num_csx))
        assert rate == pytest.approx(measured, rel=2e-3)


def test_a_calibrated_gpu_and_its_program_give_the_fitted_throughput(gpu: Calibration, tmp_path: Path) -> None:
    out = tmp_path / "my-h100.toml"
    files = own_files(gpu, out, DATE)
    beside = tmp_path / "my-h100-torch-compile.toml"
    assert list(files) == [out, beside]
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    assert load_gpu(str(out)).fp8_sustained_fraction.value == pytest.approx(0.75, rel=2e-3)  # type: ignore[union-attr]
    assert load_software(str(beside)).rate_factor == load_software("torch-compile").rate_factor
    result = simulate_gpu(
        load_model("llama-7b").shape,
        gpu=str(out),
        num_gpus=8,
        batch_size=64,
        software=str(beside),
        fixed=Layout(microbatch=2, recompute="none"),
    )
    assert (result.gpu, result.software) == ("my-h100", "my-h100-torch-compile")
    assert result.tokens_per_s_per_gpu == pytest.approx(gpu.runs.measured[0], rel=2e-3)


def test_a_constant_of_all_gpus_that_was_fitted_comes_along_with_the_gpu(tmp_path: Path) -> None:
    truth = {"gpu_training.memory_fraction": 0.6}
    found = calibrated(gpu_file(tmp_path / "runs.csv", truth), *truth)
    out = tmp_path / "my-h100.toml"
    ((path, text),) = own_files(found, out, DATE).items()
    path.write_text(text, encoding="utf-8")
    assert load_gpu(str(out)).training["memory_fraction"].value == pytest.approx(0.6, rel=2e-3)
    given = {"num_gpus": 8, "batch_size": 64, "software": "torch-compile"}
    shape, layout = load_model("llama-7b").shape, Layout(microbatch=2, recompute="none")
    rate = simulate_gpu(shape, gpu=str(out), fixed=layout, **given).tokens_per_s_per_gpu  # type: ignore[arg-type]
    assert rate == pytest.approx(found.runs.measured[0], rel=2e-3)


def test_without_an_interval_the_range_is_the_old_one_and_the_value(tmp_path: Path) -> None:
    found = calibrated(wafer_file(tmp_path / "one.csv", WAFER_RUNS[1:2]))
    ((_, text),) = own_files(found, tmp_path / "my-cs3.toml", DATE).items()
    (tmp_path / "my-cs3.toml").write_text(text, encoding="utf-8")
    constant = load_cluster(str(tmp_path / "my-cs3.toml"), 1).constants["csx.linear_efficiency"]
    low, high = load_cluster("cs3", 1).constants["csx.linear_efficiency"].ends
    assert constant.ends == (low, max(high, constant.value))


def test_a_system_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    found = calibrated(wafer_file(tmp_path / "fast.csv", WAFER_RUNS[1:2], {"csx.linear_efficiency": 1.2}))
    assert found.notes[-1].startswith("csx.linear_efficiency is above 1")
    with pytest.raises(SpecError, match=r"csx\.linear_efficiency is 1\.\d+: it must be a number above 0, at most 1"):
        own_files(found, tmp_path / "mine.toml", DATE)


def test_a_base_that_has_seen_the_rows_is_named(wafer: Calibration, tmp_path: Path) -> None:
    out = tmp_path / "my-cs3.toml"
    out.write_text(own_files(wafer, out, DATE)[out], encoding="utf-8")
    again = calibrated(Path(wafer.runs.measurements.path), base=str(out))
    assert again.runs.base_name == "my-cs3"
    assert again.notes[0] == "my-cs3 was calibrated on these very rows: it has seen what is left out here"
    np.testing.assert_allclose([c.after for c in again.constants], [c.after for c in wafer.constants], rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [("cs3.toml", "cs3 is the name of one in the data"), ("mine", "must end in .toml")],
)
def test_a_name_that_would_mislead_is_refused(wafer: Calibration, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        own_files(wafer, tmp_path / name, DATE)
