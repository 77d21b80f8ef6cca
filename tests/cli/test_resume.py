"""`wse-sim train --resume`: one run, several that were asked for together, and what is said beside it."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import wse_sim
from tests.bad_input.case import tree
from tests.cli.documents import call, printed
from wse_sim.cli import display

GIVEN = ("--mode", "dense", "--batch-size", "4", "--tokens", "1e6", "--steps", "4", "--data", "markov")
DENSITIES = ("1", "0.5", "0.25")
together = partial(printed, "train", *GIVEN, "--density", ",".join(DENSITIES))


def interrupt_after(n_steps: int, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after so many steps, whatever run they are of."""
    done = 0

    def press(self: object, row: object) -> None:
        nonlocal done
        done += 1
        if done == n_steps:
            raise KeyboardInterrupt

    patch.setattr(display._Lines, "update", press)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    """Three runs, stopped in the middle of the second."""
    out = tmp_path_factory.mktemp("left") / "several"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(6, patch)
        result = call("train", "--model", model, *GIVEN, "--density", ",".join(DENSITIES), "--out", str(out))
    assert result.exit_code == 130, result.output
    assert result.stderr.splitlines()[-1].endswith(f"; to go on: wse-sim train --resume {out}")
    return out


@pytest.fixture
def stopped(left: Path, tmp_path: Path) -> Path:
    """The same, to go on with."""
    return shutil.copytree(left, tmp_path / "several")


def losses(comparison: dict[str, Any]) -> dict[str, float]:
    return {row["run"]: row["summary"]["measured"]["val_loss"] for row in comparison["rows"]}


def test_several_runs_that_were_stopped_go_on_together(model: str, stopped: Path, tmp_path: Path) -> None:
    straight = together("--model", model, "--out", tmp_path / "straight")
    first, second, third = (stopped / row["run"] for row in straight["rows"])
    kept = (first / "summary.json").stat().st_mtime_ns
    assert [(folder / "run.jsonl").exists() for folder in (first, second, third)] == [True, True, False]
    unfinished = call("report", str(stopped))
    assert unfinished.exit_code == 2
    assert f"these have not ended: {second.name}, {third.name}; to go on: wse-sim train --resume" in unfinished.stderr
    resumed = printed("train", "--resume", stopped, "--density", "1,0.5,0.25", "--out", stopped)
    assert losses(resumed) == losses(straight)
    assert [row["run"] for row in resumed["rows"]] == [row["run"] for row in straight["rows"]]
    assert (first / "summary.json").stat().st_mtime_ns == kept
    assert resumed["rows"][2]["summary"]["measured"]["warnings"] == []  # it began like any other
    assert call("report", str(stopped)).exit_code == 0


def test_one_of_several_goes_on_alone_and_is_kept_then(stopped: Path) -> None:
    *_, second, third = sorted(stopped.glob("*/"), reverse=True)
    alone = printed("train", "--resume", second)
    rows = printed("train", "--resume", stopped)["rows"]
    assert alone in [row["summary"] for row in rows]
    assert third.name in [row["run"] for row in rows]


def test_a_folder_of_runs_is_not_written_over(model: str, stopped: Path) -> None:
    several = ("--density", "1,0.5")
    for words in (several, ("--density", "0.125"), several):
        result = call("train", "--model", model, *GIVEN, *words, "--out", str(stopped))
        assert result.exit_code == 2, result.output
        assert f"{stopped}: holds several runs; name another folder with --out, or go on with them" in result.stderr
        assert "this machine" not in result.stderr
    with pytest.raises(wse_sim.SpecError, match=r"holds several runs: name the folder of one of them"):
        wse_sim.train(resume=stopped)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    printed("train", "--model", model, *GIVEN, "--density", "0.5", "--seed", "3", "--out", out)
    return out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--density", "0.25"), "--density 0.25: {run} was started with 0.5, and goes on so: leave --density out, or"),
        (("--density", "0.5,0.25"), "--density 0.5,0.25: {run} was started with 0.5"),
        (("--sparsity", "0.75"), "--sparsity 0.75: {run} was started with 0.5"),
        (("--steps", "5"), "--steps 5: {run} was started with 4"),
        (("--seed", "0"), "--seed 0: {run} was started with 3"),
        (("--peak-lr", "0.1"), "--peak-lr 0.1: {run} was started without it"),
        (("--model", "111m"), "--model 111m: {run} was started with {model}"),
        (("--config", "{model}"), "--config: {run} was started with another one"),
        (("--out", "elsewhere"), "--out elsewhere: {run} was started with {run}"),
        (("--verify-resume",), "--verify-resume leaves no run behind: leave --resume out"),
    ],
)
def test_what_differs_from_a_run_that_goes_on_is_refused(
    run: Path, model: str, words: tuple[str, ...], said: str
) -> None:
    given = [word.format(model=model) for word in words]
    result = call("train", "--resume", str(run), *given)
    assert result.exit_code == 2, result.output
    assert said.format(run=run, model=model) in result.stderr


def test_a_command_that_is_given_again_with_resume_goes_on(run: Path, model: str) -> None:
    loss = printed("train", "--resume", run)["measured"]["val_loss"]
    again = printed(
        "train", "--model", model, *GIVEN, "--sparsity", "0.5", "--seed", "3", "--out", run, "--resume", run
    )
    assert again["measured"]["val_loss"] == loss
    assert wse_sim.train(model, resume=run, density=0.5, tokens="1e6", seed=3).measured.val_loss == loss
    with pytest.raises(wse_sim.SpecError, match=r"^seed 0: .* was started with 3, and goes on so: leave seed out"):
        wse_sim.train(resume=run, seed=0)  # the default, and said


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--resume"), ("report",), ("simulate", "--model", "111m", "--mask-from"), ("export", "--out", "x"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_there_is_said_to_be_missing(words: tuple[str, ...], tmp_path: Path) -> None:
    result = call(*words, str(tmp_path / "nope"))
    assert result.exit_code == 2, result.output
    assert f"{tmp_path / 'nope'}: there is no such folder" in result.stderr


def test_the_report_of_a_run_that_was_stopped_says_how_to_go_on(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(2, patch)
        assert call("train", "--model", model, *GIVEN, "--out", str(out)).exit_code == 130
    result = call("report", str(out))
    assert f"{out}: the run has not ended, there is no summary.json in it yet; to go on: wse-sim train --resume" in (
        result.stderr
    )


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.toml", "clip = 1.0", "clip = 2.0"),
        ("config.toml", "n_steps = 4", "n_steps = 5"),
        ("config.toml", "weight_decay = 0.1", "weight_decay = 0.2"),
        ("target.toml", "clip = 1.0", "clip = 2.0"),
        ("target.toml", "num_gpus = 8", "num_gpus = 0"),
    ],
)
def test_a_run_whose_files_were_changed_is_refused_before_anything_is_said(
    run: Path, tmp_path: Path, name: str, key: str, value: str
) -> None:
    shutil.copytree(run, changed := tmp_path / "run")
    text = (changed / name).read_text(encoding="utf-8")
    assert key in text
    (changed / name).write_text(text.replace(key, value), encoding="utf-8")
    before = tree(changed)
    result = call("train", "--resume", str(changed))
    assert result.exit_code == 2
    (error,) = result.stderr.splitlines()
    assert f"{changed}" in error
    assert key.split()[0].removeprefix("n_") in error
    assert tree(changed) == before
