"""`wse-sim train --mode full` and `--mode dense`: the model itself, as the user asks for it."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import wse_sim
from tests.cli.documents import call, printed, validator
from tests.conftest import TINY
from tests.training.data.writing import json_lines, texts
from tests.training.test_cosim import profile
from training.choice import choose_run
from training.config import read_config
from training.described import job_from
from training.execution import Execution
from training.host import Host
from wse_sim.spec.load import data_path

GIVEN = ["--density", "0.25", "--batch-size", "4", "--tokens", "1e6", "--data", "markov"]
run = partial(call, "train")


def trained(model: str, out: Path, *words: str) -> dict[str, Any]:
    return printed("train", "--model", model, *GIVEN, *words, "--out", out)


def test_both_executors_train_the_model_itself_to_the_same_loss(model: str, tmp_path: Path) -> None:
    words = ("--steps", "20", "--precision", "fp32", "--microbatch", "2")
    full = trained(model, tmp_path / "full", "--mode", "full", *words)
    dense = trained(model, tmp_path / "dense", "--mode", "dense", *words)
    assert (full["choice"]["mode"], dense["choice"]["mode"]) == ("full", "dense")
    assert full["measured"]["params"] == full["target"]["params"] == dense["measured"]["params"]
    assert full["measured"]["val_loss"] == pytest.approx(dense["measured"]["val_loss"], abs=2e-6)
    assert full["measured"]["steps"] == 20
    assert any("needs" in reason and "GB of memory" in reason for reason in full["choice"]["reasons"])
    assert (tmp_path / "full" / "stream.jsonl").exists()


def test_simulated_time_is_that_of_the_tokens_that_were_trained(model: str, tmp_path: Path) -> None:
    summary = trained(model, tmp_path / "out", "--mode", "full", "--steps", "5")
    rows = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    share = 5 * 4 * 64 / 1e6
    assert rows[-1]["wafer_s"] == pytest.approx(share * summary["simulated"]["run_time_s"])


def test_every_option_reaches_the_configuration(model: str, tmp_path: Path) -> None:
    words = ["--precision", "bf16", "--device", "cpu", "--clip", "none", "--recompute", "always", "--moments", "bf16"]
    store = ["--store", str(tmp_path / "store"), "--peak-lr", "3e-3", "--microbatch", "1"]
    trained(model, tmp_path / "out", "--mode", "full", "--steps", "2", *words, *store)
    config = read_config(tmp_path / "out" / "config.toml")
    assert config.execution == Execution(
        executor="streaming",
        precision="bf16",
        microbatch=1,
        recompute="always",
        moments="bf16",
        store=str(tmp_path / "store"),
    )
    assert (config.clip, config.base.peak_lr, config.initial_draw) == ("none", 3e-3, "philox")
    assert list((tmp_path / "store").glob("*.bin"))


def test_without_steps_the_budget_decides(model: str, tmp_path: Path) -> None:
    summary = trained(model, tmp_path / "out", "--mode", "full", "--budget", "1s")
    assert 1 < summary["measured"]["steps"] < 1e6 / (4 * 64)
    assert summary["choice"]["predicted_s"] <= 1.0


def test_without_a_batch_size_a_step_is_a_micro_batch(tmp_path: Path) -> None:
    paragraphs = data_path("models/111m.toml").read_text(encoding="utf-8").split("\n\n")
    (recipe,) = (text for text in paragraphs if text.startswith("[recipe]"))
    path = tmp_path / "tiny.toml"
    path.write_text(f"{TINY}\n{recipe}\n", encoding="utf-8")
    words = ["--mode", "dense", "--steps", "1", "--microbatch", "1", "--seq-len", "16", "--data", "markov"]
    result = run("--model", str(path), "--out", str(tmp_path / "out"), "--json", *words)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["measured"]["tokens"], summary["target"]["batch_size"]) == (16, 120)
    assert any("batch size" in gap for gap in summary["choice"]["not_covered"])


def test_an_interrupted_streaming_run_goes_on(model: str, tmp_path: Path) -> None:
    words = ("--mode", "full", "--steps", "40", "--precision", "fp32")
    straight = trained(model, tmp_path / "straight", *words)
    trained(model, tmp_path / "out", *words)
    (tmp_path / "out" / "summary.json").unlink()
    for path in (tmp_path / "out" / "checkpoints").glob("step-00000040.*"):
        path.unlink()
    resumed = printed("train", "--resume", tmp_path / "out")
    assert resumed["measured"]["val_loss"] == straight["measured"]["val_loss"]


def test_a_run_whose_files_were_named_from_where_it_started_goes_on_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    monkeypatch.chdir(home)
    Path("tiny.toml").write_text(TINY)
    Path("ours.toml").write_bytes(data_path("hardware", "cs3.toml").read_bytes())
    Path("text.jsonl").write_text(json_lines(texts(60)))
    printed("prepare", "text.jsonl", "--tokenizer", "bpe:290", "--out", "tokens")
    trained("tiny.toml", Path("first"), "--mode", "dense", "--steps", "1")
    printed("export", "first", "--out", "weights")
    named = ("--init-from", "weights", "--data", "tokens", "--system", "ours.toml", "--store", "store")
    whole = trained("tiny.toml", Path("run"), "--mode", "full", "--steps", "3", *named)
    files = {name: Path("run", name).read_bytes() for name in ("config.toml", "target.toml", "tokenizer.json")}

    def same_again(resume: Callable[[], dict[str, Any]]) -> bool:
        """From the very beginning, so that everything is read again."""
        shutil.rmtree(home / "run" / "checkpoints")
        here, again = Path.cwd(), resume()
        assert here == Path.cwd()
        assert {name: (home / "run" / name).read_bytes() for name in files} == files
        assert again["target"] == whole["target"]
        assert again["simulated"]["step_time_s"] == whole["simulated"]["step_time_s"]
        return again["measured"]["val_loss"] == whole["measured"]["val_loss"]

    monkeypatch.chdir(elsewhere)
    assert same_again(lambda: printed("train", "--resume", "../home/run"))
    assert same_again(lambda: wse_sim.train(resume="../home/run").to_dict())
    assert printed("compare", "../home/run")["is_same_order"]
    home = home.rename(tmp_path / "moved")
    monkeypatch.chdir(home)
    assert same_again(lambda: printed("train", "--resume", "run"))
    assert not any(elsewhere.iterdir())


def test_resuming_is_proved_on_the_users_own_run(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--model", model, *GIVEN, "--mode", "full", "--steps", "10", "--sparsity-algorithm", "rigl"]
    words += ["--mask-update-steps", "2"]
    monkeypatch.chdir(tmp_path)
    Path("text").write_text(" ".join(map(str, range(20_000))))  # named as one would: from here
    result = run(*words, "--data", "text", "--verify-resume", "--json")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    validator("train-verify-resume").validate(content)
    (proof,) = content["runs"].values()
    assert proof["is_exact"]
    assert proof["is_same_state"]
    assert proof["losses"] == proof["resumed_losses"]
    assert len(proof["losses"]) == proof["n_steps"]
    assert 1 <= proof["resumed_from"] <= proof["killed_after"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--steps", "3"],
            "mode auto has its own: name --mode full or --mode dense too, or give a proxy its length by --budget",
        ),
        (["--mode", "proxy", "--microbatch", "1"], "microbatch is 1, but a run in mode proxy has its own"),
        (["--device", "cuda"], "device is cuda, but a run in mode auto has cpu: name --mode full"),
        (["--mode", "full", "--steps", "0"], "steps is 0: it must be at least 1"),
        (["--mode", "full", "--steps", "1", "--clip", "x"], "clip is 'x': write a norm such as 1.0, or none"),
        (["--mode", "full", "--steps", "1", "--compile"], "the streaming executor has no such thing"),
        (["--mode", "dense", "--steps", "1", "--moments", "bf16"], "the dense executor has no such thing"),
        (["--mode", "full", "--steps", "1", "--device", "cuda"], "--device cpu would be right"),
        (["--mode", "full", "--budget", "0.00001s"], "a smaller --batch-size, --microbatch 1, a longer --budget"),
        (["--mode", "full", "--steps", "1", "--verify-resume"], "a run of one step cannot be resumed"),
    ],
)
def test_what_does_not_go_together_is_told(
    model: str, tmp_path: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = run("--model", model, *GIVEN, *words, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.jsonl.zst", b"(\xb5/\xfd but no more", "my.jsonl.zst"),
        ("my.jsonl", b'{"words": "no text"}\n' * 40, "text"),
        ("my.bin", np.full(2000, 300, "<u2").tobytes(), "a token has the id 300, the vocabulary has 300 entries"),
        ("my.txt", b"short", "it must have at least"),
    ],
)
def test_what_is_wrong_with_the_data_is_the_first_word(
    model: str, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    words = ("--mode", "dense", "--steps", "1", "--batch-size", "4", "--data", str(tmp_path / name))
    result = run("--model", model, "--tokens", "1e6", *words, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("n_tokens", "said"), [(2560, "all of"), (2e6, "0.0013 of"), (640, "4 times")])
def test_a_run_says_how_much_of_the_target_s_tokens_it_takes(model: str, n_tokens: float, said: str) -> None:
    job = job_from(model=model, mode="dense", steps=10, batch_size=4, tokens=n_tokens, data="markov")
    reasons = choose_run(job, profile()).reasons
    assert any(f"10 steps of 4 x 64 tokens, {said} the tokens of the target's" in reason for reason in reasons)


def test_what_a_run_by_budget_has_anyway_may_be_said() -> None:
    assert Host(mode="auto", device="cpu", precision="fp32", recompute="never").device == "cpu"


def test_an_execution_is_written_and_read_whole(tmp_path: Path) -> None:
    """TOML has no null: what is not set is left out, and comes back as not set."""
    for execution in (Execution(), Execution(executor="streaming", microbatch=3)):
        assert msgspec.convert(msgspec.to_builtins(execution), Execution) == execution
