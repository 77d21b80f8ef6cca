"""A sweep that trains gives each point the run that `wse-sim train` makes of it, and goes on where it was stopped."""

import errno
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.documents import call, printed
from tests.in_process import runs_in_this_process
from tests.stopping import stopped
from training.sweep import RunTask, train_run, trained_sweep, trained_vocabulary
from wse_sim.errors import FileError, SpecError
from wse_sim.sweeps.keys import Point
from wse_sim.sweeps.sweep import Row

COMMON: Point = {"batch_size": 4, "tokens": 1e6, "mode": "dense", "steps": 10, "data": "markov", "precision": "fp32"}


def words_of(point: Point) -> list[str]:
    return [word for name, value in point.items() for word in ("--set", f"{name}={value}")]


def swept(out: Path, point: Point, *words: str) -> dict[str, Any]:
    return printed("sweep", "--train", *words_of(point), *words, "--out", out)


def trained(model: str, folder: Path, **changes: str | float) -> Row:
    return train_run(RunTask(index=3, point={"model": model, **COMMON, **changes}, folder=str(folder)))


def test_each_point_is_a_run_of_its_own_and_those_that_fail_say_why(model: str, tmp_path: Path) -> None:
    words = ("--density", "1,0.25", "--peak-lr", "3e-3,1e30", "--num-csx", "1,3", "--processes", "2")
    content = swept(tmp_path / "out", {"model": model, **COMMON}, *words)
    assert [content[f"n_{name}"] for name in ("points", "ok", "infeasible", "diverged")] == [8, 2, 4, 2]
    assert content["kind"] == "measured"
    statuses = [row["status"] for row in content["rows"]]
    assert statuses == ["ok", "infeasible", "diverged", "infeasible"] * 2
    for row in content["rows"]:
        assert (row["measured_val_loss"] is None) == (row["status"] != "ok")
        assert {"ok": "", "infeasible": "not a multiple of num_csx 3", "diverged": "training diverged"}[
            row["status"]
        ] in (row["reason"] or "")
    of_run = [tmp_path / "out" / row["run"] for row in content["rows"] if row["status"] == "ok"]
    assert [folder.name[:1] for folder in of_run] == ["0", "4"]
    assert all((folder / "report.html").exists() for folder in of_run)
    table = (tmp_path / "out" / "sweep.csv").read_text().splitlines()
    assert len(table) == 9


def test_row_is_of_the_run_that_its_command_makes_alone(model: str, tmp_path: Path) -> None:
    row = trained(model, tmp_path / "swept", sparsity=0.75, sparsity_algorithm="rigl", mask_update_steps=2000, seed=7)
    summary = json.loads((tmp_path / "swept" / "summary.json").read_text())
    assert row.results["measured_val_loss"] == summary["measured"]["val_loss"]
    assert row.results["simulated_cost_usd"] == summary["simulated"]["cost_usd"]
    assert row.results["projected_loss"] == summary["projected"]["value"]
    assert row.results["chosen_mode"] == "dense"
    assert set(row.results) == set(trained_sweep([]).results)
    program, *words = shlex.split(summary["command"])
    words[-1] = str(tmp_path / "alone")
    assert program == "wse-sim"
    alone = printed(*words)
    assert alone["measured"]["val_loss"] == summary["measured"]["val_loss"]
    assert alone["target"] == summary["target"]


def test_run_that_has_ended_is_read_and_not_trained_again(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(model, tmp_path / "run")
    assert first.status == "ok"
    monkeypatch.setattr("training.sweep.run_plan", None)
    assert trained(model, tmp_path / "run") == first


def test_run_of_another_sweep_is_not_taken_for_one_of_this(model: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    trained(model, tmp_path / "out" / "0-seed-0", seed=0)
    point: Point = {"model": model, **COMMON, "steps": 11}
    result = call("sweep", "--train", *words_of(point), "--seed", "0,1", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "0-seed-0: holds the run of another sweep; name another folder with --out" in result.stderr


def test_a_run_that_cannot_be_written_stops_the_sweep_and_is_tried_again(model: str, tmp_path: Path) -> None:
    """Something stands where the folder of the second run must be."""
    words = ["--seed", "0,1", "--processes", "1"]
    in_the_way = tmp_path / "1-seed-1"
    in_the_way.touch()
    point: Point = {"model": model, **COMMON}
    stopped = call("sweep", "--train", *words_of(point), *words, "--out", str(tmp_path))
    assert stopped.exit_code == 2
    assert "the run in" in stopped.stderr
    assert "1-seed-1: the folder cannot be made" in stopped.stderr
    in_the_way.unlink()
    with runs_in_this_process():
        assert swept(tmp_path, point, *words)["n_ok"] == 2


def test_a_checkpoint_that_cannot_be_written_is_no_row(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "run").mkdir()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileError, match="cannot be written: No space left on device"):
        trained(model, tmp_path / "run")


@pytest.mark.slow
def test_stopped_sweep_goes_on_from_its_checkpoints_to_the_same_loss(model: str, tmp_path: Path) -> None:
    point: Point = {"model": model, **COMMON, "steps": 100}
    words = ["sweep", "--train", *words_of(point), "--seed", "0,1", "--processes", "1", "--out", str(tmp_path / "out")]
    process = subprocess.Popen([sys.executable, "-m", "wse_sim", *words], stderr=subprocess.PIPE, text=True)
    _, said = stopped(process, lambda: any((tmp_path / "out").glob("*/run.jsonl")))
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"stopped and saved; to go on: {shlex.join(['wse-sim', *words])}"
    assert list((tmp_path / "out").glob("*/checkpoints/*.json"))
    assert not list((tmp_path / "out").glob("*/summary.json"))
    with runs_in_this_process():
        losses = [row["measured_val_loss"] for row in printed(*words)["rows"]]
    straight = trained(model, tmp_path / "straight", steps=100, seed=0)
    assert losses[0] == straight.results["measured_val_loss"]
    assert losses[0] != losses[1]


@pytest.mark.slow
def test_loss_is_the_same_over_ray(model: str, tmp_path: Path) -> None:
    row = swept(tmp_path / "over-ray", {"model": model, **COMMON}, "--executor", "ray")["rows"][0]
    assert row["measured_val_loss"] == trained(model, tmp_path / "here").results["measured_val_loss"]


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"jitter": 0.1}, "unknown key 'jitter'"),
        ({"csx.power_w": 1}, "unknown key 'csx.power_w'"),
        ({"schedule": "linaer"}, "unknown schedule 'linaer': did you mean 'linear'"),
        ({"parametrization": "completep"}, "unknown parametrization 'completep'"),
        ({"mode": "fast"}, "unknown mode 'fast'"),
        ({"budget": "soon"}, "budget is 'soon': write a positive time"),
        ({"clip": "much"}, "clip is 'much': write a number"),
        ({"clip": -1, "mode": "full"}, "clip is -1.0: it must be a positive number"),
        ({"steps": 0, "mode": "full"}, "steps is 0: it must be at least 1"),
        ({"peak_lr": 0, "mode": "full"}, "peak_lr is 0.0: it must be a positive number"),
        ({"sparsity_algorithm": "rigl"}, "sparsity_algorithm has nothing to mask at density 1"),
        ({"density": 1, "sparsity": 0}, "density and sparsity are both given"),
    ],
)
def test_point_that_cannot_be_meant_is_refused(point: Point, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        trained_vocabulary().point({"model": "111m", **point})


def test_values_are_read_as_train_reads_them() -> None:
    given = {"budget": "3m", "clip": "none", "compile": "yes", "peak_lr": "3e-3", "schedule": "wsd(cooldown=0.1)"}
    point = trained_vocabulary().point({"model": "111m", **given})
    expected = {"budget": 180.0, "clip": "none", "compile": True, "peak_lr": 0.003, "schedule": "wsd(cooldown=0.1)"}
    assert point == {"model": "111m", **expected}


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (("--out", "runs.csv"), {}, "--out runs.csv: with --train it is a folder"),
        (("--out", "OUT"), {"WORLD_SIZE": "2"}, "start it without torchrun"),
    ],
)
def test_what_a_training_sweep_cannot_do_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    result = call("sweep", "--train", "--model", "111m", *given)
    assert result.exit_code == 2
    assert message in result.stderr


def test_more_runs_than_are_ever_trained_are_refused() -> None:
    with pytest.raises(SpecError, match="the number of runs is 100001: it must be at most 100,000"):
        trained_sweep([{"model": "111m"}] * 100_001)
