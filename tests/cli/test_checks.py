"""`wse-sim transfer` and `wse-sim coord-check`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.documents import call, printed, screen, validator
from tests.stopping import stopped
from wse_sim.cli.axis import parse_log2_lrs, parse_values
from wse_sim.errors import SpecError

TRANSFER = (
    *("transfer", "--over", "density", "--values", "1,1/4", "--parametrization", "mup,smupar", "--width", "32"),
    *("--seq-len", "16", "--batch-size", "2", "--steps", "3", "--seeds", "1", "--data", "markov", "--extend", "0"),
    *("--lr-grid", "2^-8..2^-7", "--lr-grid", "smupar=2^-7,2^-6"),
)
COORD = ("coord-check", "--over", "width", "--values", "32,64", "--seeds", "1", "--steps", "2", "--data", "markov")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    out = tmp_path_factory.mktemp("study")
    screen(*TRANSFER, "--out", out)
    return out


def test_transfer_leaves_study_outcomes_result_and_plot(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["outcomes.jsonl", "study.toml", "transfer.json", "transfer.svg"]
    assert "held-out loss" in (folder / "transfer.svg").read_text(encoding="utf-8")
    assert len((folder / "outcomes.jsonl").read_bytes().splitlines()) == 2 * 2 * 2


def test_transfer_goes_on_with_a_finished_study_and_prints_one_json_object(folder: Path, tmp_path: Path) -> None:
    result = call(*TRANSFER, "--out", str(folder), "--json", "--plot", str(tmp_path / "plot.png"))
    content = json.loads(result.stdout)
    assert content == json.loads((folder / "transfer.json").read_bytes())
    validator("transfer").validate(content)
    assert [entry["parametrization"] for entry in content["results"]] == ["mup", "smupar"]
    assert [rate["log2_lr"] for rate in content["results"][0]["values"][0]["rates"]] == [-8.0, -7.0]
    assert "8 of 8 runs are there already" in result.stderr
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_transfer_prints_a_table_a_verdict_and_what_is_not_known(folder: Path) -> None:
    text = call(*TRANSFER, "--out", str(folder)).stdout
    for words in ("best LR", "cost of not retuning", "one seed shows no spread", "note: μP transfers over width"):
        assert words in text.replace("\n", " ")
    assert all(len(line) <= 100 for line in text.splitlines())


def test_transfer_refuses_another_study_in_its_folder(folder: Path) -> None:
    result = call(*TRANSFER, "--out", str(folder), "--schedule", "cosine")
    assert result.exit_code == 2
    assert "another study in this folder (schedule was 'linear', not 'cosine')" in result.stderr


def test_stopped_transfer_says_how_to_go_on(tmp_path: Path) -> None:
    words = [word if word != "3" else "3000" for word in TRANSFER]
    started = subprocess.Popen(
        [sys.executable, "-m", "wse_sim", *words, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    _, said = stopped(started, lambda: any(tmp_path.glob("points/*/run.jsonl")))
    assert started.returncode == 130
    assert "stopped and saved; to go on:" in said
    assert "Traceback" not in said
    assert list(tmp_path.glob("points/*/checkpoints/*.safetensors"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--values", "1,x"), "value 'x': write numbers or fractions"),
        (("--values", "1"), "at least two different ones"),
        (("--parametrization", "smupr"), "did you mean 'smupar'"),
        (("--lr-grid", "2^-8..fast"), "write 2^-11..2^-5"),
        (("--lr-grid", "sp=2^-8..2^-7"), "unknown parametrization in --lr-grid 'sp'"),
        (("--base", "bytes"), "unknown base 'bytes'"),
        (("--schedule", "linar"), "did you mean 'linear'"),
        (("--sparsity-algorithm", "rigel"), "did you mean 'rigl'"),
        (("--plot", "plot.pdf"), "a figure is an .svg or a .png"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_wrong_input_of_transfer_says_what_would_be_right(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = call(*TRANSFER, "--out", str(tmp_path / "out"), *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_coord_check_prints_slopes_and_writes_them(tmp_path: Path) -> None:
    result = call(*COORD, "--out", str(tmp_path), "--plot", str(tmp_path / "plot.png"))
    assert result.exit_code == 0
    for words in ("sp: slope of log size against log width", "change, step 2", "residual", "not flat", "|slope| above"):
        assert words in result.stdout
    content = json.loads((tmp_path / "coord-check.json").read_bytes())
    assert set(content["is_flat"]) == {"sp", "mup"}
    n_rows = 2 * 2 * 2 * 5  # parameterizations, widths, steps, sites
    assert len((tmp_path / "activations.jsonl").read_bytes().splitlines()) == n_rows
    for name in ("activations.jsonl", "coord-check.json", "coord-check.svg", "plot.png"):
        assert f"written: {tmp_path / name}\n" in result.stderr
        assert (tmp_path / name).exists()


def test_coord_check_json_says_what_is_flat() -> None:
    content = printed(*COORD, "--parametrization", "sp")
    assert content["kind"] == "measured"
    assert content["is_flat"] == {"sp": False}
    start = next(s for s in content["slopes"] if (s["site"], s["step"]) == ("mlp", 1))
    assert start["is_judged"]
    assert not start["is_flat"]
    assert start["slope"]["value"] > 0.5


def test_assertion_that_does_not_hold_is_exit_code_3_after_the_output() -> None:
    result = call(*COORD, "--parametrization", "sp", "--assert-flat")
    assert result.exit_code == 3
    assert "not flat" in result.stdout
    assert call(*COORD, "--parametrization", "sp", "--assert-flat", "--limit", "100").exit_code == 0


def test_wrong_input_of_coord_check_says_what_would_be_right() -> None:
    for words, message in (
        (("--values", "32,33"), "width 33 is not a whole number of heads of 32"),
        (("--lr", "0"), "peak_lr is 0.0, it must be positive"),
        (("--limit", "inf"), "--limit is inf: write a number such as 0.1"),
        (("--plot", "plot.gif"), "a figure is an .svg or a .png"),
        (("--data", "nowhere"), "no such file or folder"),
    ):
        result = call(*COORD, *words)
        assert result.exit_code == 2
        assert message in result.stderr


def test_learning_rates_are_ranges_of_powers_or_lists() -> None:
    assert parse_log2_lrs("2^-11..2^-8") == (-11.0, -10.0, -9.0, -8.0)
    assert parse_log2_lrs("2^-8.5..2^-7") == (-8.5, -7.5)
    assert parse_log2_lrs("0.25,2^-3,0.5") == (-3.0, -2.0, -1.0)
    for wrong in ("", "3^-2..2^-1", "2^-1..2^-2..2^-3", "-0.1,0.2"):
        with pytest.raises(SpecError, match="learning rates are"):
            parse_log2_lrs(wrong)


def test_values_are_numbers_and_fractions() -> None:
    assert parse_values("1, 1/4,0.0625,128") == [1.0, 0.25, 0.0625, 128.0]
    for wrong in ("1,,2", "1/0", "half"):
        with pytest.raises(SpecError, match="write numbers or fractions"):
            parse_values(wrong)
