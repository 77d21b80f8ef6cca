"""`wse-sim calibrate`, and the files that it writes, as a user calls them."""

from pathlib import Path

import pytest

from tests.calibration.made_up import GPU_TRUTH, WAFER_RUNS, WAFER_TRUTH, gpu_file, wafer_file
from tests.cli.documents import call, printed, screen


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_calibrated_system_is_written_and_simulated_by_its_name(here: Path) -> None:
    wafer_file(here / "runs.csv")
    content = printed("calibrate", "runs.csv", "--out", "my-cs3.toml")
    assert content["files"] == ["my-cs3.toml"]
    assert content["base"] == "cs3"
    assert content["measurements"]["n_rows"] == len(content["rows"]) == len(WAFER_RUNS)
    assert [constant["name"] for constant in content["constants"]] == list(WAFER_TRUTH)
    row = content["rows"][1]
    run = ["--model", "13b", "--num-csx", "4", "--batch-size", "1080"]
    result = printed("simulate", "--system", "./my-cs3.toml", *run)
    assert result["system"] == "my-cs3"
    assert result["samples_per_s"] == pytest.approx(row["measured"], rel=5e-3)
    shipped = printed("simulate", "--system", "cs3", *run)["samples_per_s"]
    assert shipped == pytest.approx(row["measured"] * (1 + row["error_before"]), rel=5e-3)
    assert "csx.linear_efficiency" in shipped_assumed(run)
    assert "csx.linear_efficiency" not in result["assumed"]
    assert "on 4 × my-cs3: simulated" in screen("simulate", "--system", "my-cs3.toml", *run)


def test_a_calibrated_system_is_swept_and_planned_as_it_is_simulated(here: Path) -> None:
    wafer_file(here / "runs.csv")
    call("calibrate", "runs.csv", "--out", "my-cs3.toml")
    run = ["--model", "13b", "--system", "my-cs3.toml", "--num-csx", "4", "--batch-size", "1080"]
    step_time_s = printed("simulate", *run)["step_time_s"]
    sweep = ["sweep", *run, "--out", "sweep.csv"]
    (row,) = printed(*sweep)["rows"]
    assert row["system"] == "my-cs3.toml"
    assert row["step_time_s"] == step_time_s
    best = printed("plan", *run, "--microbatch", str(row["microbatch"]), "--density", "1", "--max-csx", "4")["best"]
    assert best["system"] == "my-cs3.toml"
    assert best["step_time_s"] == step_time_s

    text = Path("my-cs3.toml").read_text()
    Path("my-cs3.toml").write_text(text.replace("[max_systems]", "[max_systems]  # as it was told"))
    again = call(*sweep)
    assert again.exit_code == 2  # rows of another system stay as they are
    assert "another sweep" in again.stderr


def shipped_assumed(run: list[str]) -> list[str]:
    found: list[str] = printed("simulate", "--system", "cs3", *run)["assumed"]
    return found


def test_the_tables_say_what_was_fitted_held_and_left_out(here: Path) -> None:
    wafer_file(here / "runs.csv", WAFER_RUNS[:2])
    text = screen("calibrate", "runs.csv")
    assert "Measured sequences/s, and error of the simulated ones" in text
    assert "13b, 4 cs3, 1080 × 2048" in text
    assert "held: 2 rows cannot fix more than 2 constants" in text
    for words in ("before: mean |error| ", "after: mean |error| 0.0 %", "left out: mean |error| "):
        assert words in text


def test_a_calibrated_gpu_and_program_are_listed_and_explained(here: Path) -> None:
    gpu_file(here / "runs.csv")
    screen("calibrate", "runs.csv", "--out", "my-h100.toml")
    gpus = printed("list", "gpus", "my-h100.toml")["gpus"]
    assert [gpu["name"] for gpu in gpus][-2:] == ["mi300x", "my-h100"]
    programs = printed("list", "gpu-software", "./my-h100-torch-compile.toml")["gpu-software"]
    assert programs[-1]["name"] == "my-h100-torch-compile"
    explained = printed("explain", "./my-h100.toml")
    constant = explained["constants"]["my-h100.sustained_fraction"]
    assert constant["value"] == pytest.approx(GPU_TRUTH["h100.sustained_fraction"], rel=2e-3)
    assert constant["kind"] == "calibrated"
    assert "sha256" in constant["source"]
    assert "torch-compile.attention_fraction" in screen("explain", "my-h100-torch-compile.toml")


def test_a_calibrated_system_is_listed_and_explained(here: Path) -> None:
    wafer_file(here / "runs.csv")
    screen("calibrate", "runs.csv", "--out", "my-cs3.toml")
    assert printed("list", "systems", "my-cs3.toml")["systems"][-1]["name"] == "my-cs3"
    for words in (("explain", "my-cs3.toml"), ("explain", "constants", "--system", "my-cs3.toml")):
        content = printed(*words)
        assert content["system"] == "my-cs3"
        assert content["constants"]["csx.linear_efficiency"]["kind"] == "calibrated"


def test_free_constants_and_a_base_are_taken(here: Path) -> None:
    wafer_file(here / "runs.csv", WAFER_RUNS[:3])
    content = printed("calibrate", "runs.csv", "--base", "cs2", "--free", "csx.clock_hz, csx.linear_efficiency")
    assert content["base"] == "cs2"
    assert [constant["name"] for constant in content["constants"]] == ["csx.clock_hz", "csx.linear_efficiency"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("calibrate", "none.csv"), "none.csv: cannot be read"),
        (("calibrate", "runs.csv", "--free", "csx.clock"), "unknown constant to free 'csx.clock'"),
        (("calibrate", "runs.csv", "--base", "cs9"), "unknown system 'cs9'"),
        (("calibrate", "runs.csv", "--out", "mine"), "must end in .toml"),
        (("calibrate", "runs.csv", "--out", "missing/mine.toml"), "cannot be written"),
        (("simulate", "--model", "111m", "--system", "none.toml"), "none.toml: cannot be read"),
        (("list", "models", "mine.toml"), "files follow one of systems, gpus, gpu-software"),
        (("explain", "h100.sustained"), "did you mean 'h100.sustained_fraction'?"),
    ],
)
def test_what_a_user_gets_wrong_is_said_in_one_line(here: Path, words: tuple[str, ...], message: str) -> None:
    wafer_file(here / "runs.csv", WAFER_RUNS[:1])
    result = call(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
