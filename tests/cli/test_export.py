"""`wse-sim export`, and `wse-sim train --init-from` what it wrote: as a user goes from one to the other."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.documents import call, loaded_modules, printed, read_json, screen, validator
from training.config import read_config
from training.exported import read_export

OF_THE_MODEL = ["--mode", "dense", "--batch-size", "4", "--data", "markov", "--tokens", "1e6", "--precision", "fp32"]


def trained(out: Path, *words: str | Path, steps: int = 4) -> dict[str, Any]:
    return printed("train", *words, *OF_THE_MODEL, "--steps", str(steps), "--out", out)


@pytest.fixture(scope="module")
def run(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at density 0.25, and beside it what was exported of it."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    trained(out, "--model", model, "--density", "0.25", "--peak-lr", "1e-3")
    screen("export", out, "--out", out.with_name("exported"))
    return out


def test_what_is_printed_is_the_document_and_lies_in_the_folder(run: Path, tmp_path: Path) -> None:
    made = printed("export", run, "--out", tmp_path / "out", "--dtype", "bf16", "--checkpoint", "4")
    validator("export").validate(made)
    assert read_json((tmp_path / "out" / "wse-sim.json").read_text(encoding="utf-8")) == made
    assert (made["run"], made["step"], made["dtype"], made["architecture"]) == ("mine", 4, "bf16", "GPT2LMHeadModel")
    summary = read_json((run / "summary.json").read_text(encoding="utf-8"))
    assert made["val_loss"] == summary["measured"]["val_loss"]
    assert (made["params"], made["nonzero_params"]) == tuple(
        summary["measured"][key] for key in ("params", "nonzero_params")
    )
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("config.json", "model.safetensors", "README.md", "wse-sim.json"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert made["sha256"] in card
    assert "`mine`, step 4" in card
    assert f"{made['val_loss']:.4f} nats/byte, measured" in card


def test_the_table_says_what_was_written(run: Path, tmp_path: Path) -> None:
    table = screen("export", run, "--out", tmp_path / "out", "--sparse")
    said = {line[:15].strip(): line[15:].strip() for line in table.splitlines()}
    assert said["run"] == "mine, step 4"
    assert said["architecture"] == "GPT2LMHeadModel, output layer untied"
    assert said["weights"].startswith("live ones alone, fp32, ")
    assert said["tokenizer"] == "bytes"
    assert said["held-out loss"].endswith(" nats/byte, measured")
    assert "wse-sim export THIS_FOLDER --out DENSE" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_an_export_goes_on_in_its_own_parameterization_with_its_masks(run: Path, tmp_path: Path) -> None:
    folder = run.with_name("exported")
    summary = trained(tmp_path / "on", "--init-from", folder, "--mask-init", "from_zeros", steps=1)
    export = read_export(folder)
    assert export is not None
    config = read_config(tmp_path / "on" / "config.toml")
    assert (config.parametrization, config.shape, config.density) == ("smupar", export.shape, 0.25)
    assert config.base == export.parametrization.base  # its peak_lr too
    assert config.init_from is not None
    assert config.init_from.sha256 == export.sha256
    assert summary["measured"]["nonzero_params"] == export.nonzero_params
    assert any("begins with the weights of" in reason for reason in summary["choice"]["reasons"])
    before = read_json((run / "summary.json").read_text(encoding="utf-8"))["measured"]["val_loss"]
    assert abs(summary["measured"]["val_loss"] - before) < 0.3  # one step away, and a fresh one begins at 5.6
    resumed = printed("train", "--resume", tmp_path / "on")
    assert resumed["measured"]["val_loss"] == summary["measured"]["val_loss"]


@pytest.mark.parametrize("is_sparse", [False, True])
def test_the_line_in_its_readme_goes_on_as_it_stands(run: Path, tmp_path: Path, is_sparse: bool) -> None:
    folder = run.with_name("exported")
    if is_sparse:
        screen("export", run, "--out", tmp_path / "sparse", "--sparse")
        screen("export", tmp_path / "sparse", "--out", folder := tmp_path / "dense")
    card = (folder / "README.md").read_text(encoding="utf-8")
    (line,) = [line.strip("`") for line in card.splitlines() if line.startswith("`wse-sim train")]
    words = shlex.split(line.replace("THIS_FOLDER", str(folder)))
    summary = printed(*words[1:], "--steps", "1", "--out", tmp_path / "on")
    assert summary["target"]["batch_size"] * summary["target"]["seq_len"] == 4 * 64
    config = read_config(tmp_path / "on" / "config.toml")
    assert (config.data, config.tokens_per_step) == ("markov", 4 * 64)


def test_without_masks_its_zeros_train_and_that_is_said(run: Path, tmp_path: Path) -> None:
    summary = trained(tmp_path / "on", "--init-from", run.with_name("exported"), "--parametrization", "sp", steps=1)
    assert summary["measured"]["nonzero_params"] == summary["measured"]["params"]
    assert summary["target"]["parametrization"] == "sp"
    assert any("--mask-init from_zeros keeps them" in reason for reason in summary["choice"]["reasons"])


def test_weights_of_others_begin_in_sp_and_a_model_named_beside_them_must_be_theirs(
    run: Path, model: str, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((run.with_name("exported") / name).read_bytes())
    summary = trained(tmp_path / "on", "--init-from", folder, "--density", "0.5", "--mask-init", "topk", steps=1)
    assert summary["target"]["parametrization"] == "sp"
    assert any("ids here are bytes" in gap for gap in summary["choice"]["not_covered"])
    assert any("masks of topk are outside the theory" in gap for gap in summary["choice"]["not_covered"])
    refused = call("train", "--init-from", folder, "--model", model, *OF_THE_MODEL, "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "has is_tied = True, and the model of" in refused.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--init-from", "FOLDER"], "name --mode dense or --mode full too"),
        (["--init-from", "FOLDER", *OF_THE_MODEL, "--mask-init", "topk"], "nothing to mask at density 1"),
        (["--init-from", "FOLDER", *OF_THE_MODEL, "--sparse-wide", "--density", "0.5"], "makes another model"),
        (
            ["--init-from", "FOLDER", *OF_THE_MODEL, "--density", "0.5", "--mask-init", "from_zeros"],
            "leave --density out",
        ),
        (["--init-from", "nowhere", *OF_THE_MODEL], "nowhere/config.json: cannot be read: No such file"),
        (["--model", "111m", "--mask-init", "topk"], "give --init-from too"),
        ([], "--model is missing"),
    ],
)
def test_wrong_input_says_what_would_be_right(words: list[str], message: str, run: Path, tmp_path: Path) -> None:
    folder = str(run.with_name("exported"))
    result = call("train", *[folder if word == "FOLDER" else word for word in words], "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_export_refuses_what_is_no_run_and_help_loads_no_torch(tmp_path: Path) -> None:
    result = call("export", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "name the folder of a training run" in result.stderr
    assert not list(tmp_path.iterdir())
    assert "torch" not in loaded_modules("export", "--help")
