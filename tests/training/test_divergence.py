"""A step whose loss or gradient is no number ends the run, which says where it stands, or is left out: never kept."""

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

import training.divergence
import wse_sim
from tests.cli.documents import call
from tests.training.poisoned import WHERE, Poisoned, poison
from tests.training.test_resume import ALGORITHMS, CONFIG, EXECUTIONS, _computed
from training.checkpoint import load_latest
from training.config import TrainConfig, read_config
from training.data import Corpus, TrainOrder
from training.deterministic import deterministic
from training.divergence import DivergenceError
from training.execution import Execution
from training.executors import make_executor
from training.run_record import Row, read_rows
from training.trainer import train
from wse_sim.errors import SpecError

SKIPPING = msgspec.structs.replace(CONFIG, on_nan="skip")
EXECUTORS = ("dense", "streaming")


def config_of(executor: str, algorithm: str = "static", config: TrainConfig = SKIPPING) -> TrainConfig:
    return msgspec.structs.replace(config, execution=EXECUTIONS[executor][0], sparsity=ALGORITHMS[algorithm])


def state(executor: Any) -> dict[str, bytes]:
    """All that a checkpoint takes, as bytes."""
    found = {}
    for name, parameter in executor.saved_parameters().items():
        for kind, source in parameter.numbers.items():
            found[f"{kind}.{name}"] = b"".join(piece.numpy().tobytes() for piece in source.pieces())
        found[f"mask.{name}"] = b"" if parameter.mask is None else parameter.mask.tobytes()
    return found


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_skipped_step_changes_nothing_even_where_masks_were_to_change(
    corpus: Corpus, executor: str, where: str
) -> None:
    config = config_of(executor, "rigl")
    with deterministic(1):
        order = TrainOrder(corpus.train, config.seq_len, config.seed)
        tested = Poisoned(make_executor(config), {2}, where)
        for step in range(2):
            assert tested.step(order.batch(2 * step, 2), step).is_finite
        before = state(tested)
        stepped = tested.step(order.batch(4, 2), 2)  # after which masks change, were it taken
        assert not stepped.is_finite
        assert math.isfinite(stepped.loss) == (where == "gradient")
        assert stepped.mask_update is None
        assert state(tested) == before
        after = tested.step(order.batch(6, 2), 3)
        assert after.mask_update is not None, "what was due is made up for"
        assert after.mask_update.n_grown == after.mask_update.n_dropped > 0


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_goes_on_as_if_the_skipped_batch_had_not_been_there(corpus: Corpus, executor: str, where: str) -> None:
    """Adam's count of steps too: what is left out is no step."""
    config = config_of(executor)
    with deterministic(1):
        order = TrainOrder(corpus.train, config.seq_len, config.seed)
        states = []
        for steps in ((0, 1, 2, 3), (0, 1, 3)):
            tested = Poisoned(make_executor(config), {2}, where)
            for step in steps:
                tested.step(order.batch(2 * step, 2), step)
            states.append(state(tested))
    assert states[0] == states[1]


@pytest.mark.parametrize(("algorithm", "crash"), [("rigl", 6), ("spdf", 7)])
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_with_skipped_steps_resumes_bit_for_bit(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, algorithm: str, crash: int
) -> None:
    """RigL's masks change after steps 3 and 6; those of SPDF are lifted after 7: these steps are skipped."""
    config = msgspec.structs.replace(config_of(executor, algorithm), checkpoint_interval=2)
    poison(monkeypatch, {2, 5, 6})
    straight = train(config, tmp_path / "straight", corpus=corpus)
    assert [row.step for row in straight.rows if row.loss is None] == [3, 6, 7]
    assert [row.n_skipped for row in straight.rows] == [0, 0, 1, 1, 1, 2, 3, 3, 3, 3]
    assert straight.n_skipped == 3
    assert straight.warnings == ("3 steps were skipped, loss or gradient being no finite number: run.jsonl says which",)
    changed = [update.step for update in straight.mask_updates]
    assert changed == {"rigl": [4, 8], "spdf": [8]}[algorithm]
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, tmp_path / "broken", corpus=corpus, on_step=_crash_after(crash))
    resumed = train(config, tmp_path / "broken", corpus=corpus, resume=True)
    assert _computed(resumed) == _computed(straight)
    assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes()
    assert resumed.mask_updates == straight.mask_updates


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("executor", EXECUTIONS)
def test_a_run_that_stops_says_where_it_stands_and_what_helps(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, where: str
) -> None:
    execution, clip = EXECUTIONS[executor]
    config = msgspec.structs.replace(CONFIG, execution=execution, clip=clip)
    poison(monkeypatch, {5}, where)
    with pytest.raises(DivergenceError) as stopped:
        train(config, tmp_path, corpus=corpus)
    said = str(stopped.value)
    numbers = TrainOrder(corpus.train, config.seq_len, config.seed).numbers(10, 2)
    lr = config.lr_factor(5) * config.base.peak_lr
    assert re.match(r"step 6: the loss is (nan|[\d.]+) and the gradient norm nan, ", said)
    assert f"at a learning rate of {lr:.3g}, over the sequences {numbers[0]}, {numbers[1]} of the data" in said
    assert "training diverged, there is a checkpoint of step 4 from before that. A --peak-lr below" in said
    assert ("--on-nan skip" in said) == (not config.takes_gradients_at_once)
    checkpoint, warnings = load_latest(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.meta.step, warnings) == (4, [])
    assert [row.step for row in read_rows(tmp_path / "run.jsonl")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_stopped_goes_on_as_if_it_had_skipped_from_the_beginning(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    poison(monkeypatch, {0, 5, 9})
    skipping, stopping = config_of(executor, "rigl"), config_of(executor, "rigl", CONFIG)
    straight = train(skipping, tmp_path / "straight", corpus=corpus)
    assert straight.rows[0].loss is None, "the first one"
    assert straight.rows[-1].loss is None, "and the last one"
    assert straight.train_loss == straight.rows[-2].loss
    with pytest.raises(DivergenceError, match=r"step 1: .* there is no checkpoint from before that"):
        train(stopping, tmp_path / "stopped", corpus=corpus)
    resumed = train(skipping, tmp_path / "stopped", corpus=corpus, resume=True)
    assert _computed(resumed) == _computed(straight)
    assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes()


def test_the_first_step_that_has_a_loss_is_logged_however_seldom_others_are(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, {0, 9})
    record = train(msgspec.structs.replace(SKIPPING, log_interval=10), tmp_path, corpus=corpus)
    assert [(row.step, row.loss is None) for row in record.rows] == [(1, True), (2, False), (10, True)]
    assert record.train_loss == record.rows[1].loss


@pytest.mark.parametrize("executor", EXECUTORS)
def test_too_many_in_a_row_stop_the_run_wherever_it_was_resumed(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setattr(training.divergence, "MOST_IN_A_ROW", 5)
    poison(monkeypatch, {0, 1, 3, 4, 5, 6, 7})
    config = config_of(executor)
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, tmp_path, corpus=corpus, on_step=_crash_after(7))
    for _ in range(2):
        with pytest.raises(DivergenceError, match=r"step 8: .*; 5 steps in a row were skipped: training diverged"):
            train(config, tmp_path, corpus=corpus, resume=True)


def test_checkpoints_from_before_many_skipped_steps_are_still_there_after_them(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them has the weights of them all, so the others need not go for more."""
    monkeypatch.setattr(training.divergence, "MOST_IN_A_ROW", 6)
    poison(monkeypatch, {3, 4, 5, 6, 7, 8})
    with pytest.raises(DivergenceError, match=r"step 9: .*; 6 steps in a row .* there is a checkpoint of step 2 from"):
        train(msgspec.structs.replace(SKIPPING, checkpoint_interval=2), tmp_path, corpus=corpus)
    assert sorted(path.stem for path in (tmp_path / "checkpoints").glob("*.json")) == ["step-00000002", "step-00000004"]


def test_a_run_without_a_single_good_step_is_no_run(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, range(10))
    with pytest.raises(DivergenceError, match=r"step 10: .* 10 steps in a row"):
        train(SKIPPING, tmp_path, corpus=corpus)


@pytest.mark.parametrize("kind", ["model", "exp_avg_sq"])
@pytest.mark.parametrize("executor", EXECUTORS)
def test_numbers_that_are_not_finite_are_never_written(
    corpus: Corpus, tmp_path: Path, executor: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever made them so."""

    class Overflowing(Poisoned):
        def step(self, batch: Any, step: int) -> Any:
            stepped = super().step(batch, step)
            if step == 7:
                source = self.saved_parameters()["token.weight"]
                next(iter(source.numbers[kind].pieces())).data.view(-1)[-1] = torch.inf
            return stepped

    monkeypatch.setattr("training.trainer.make_executor", lambda *args: Overflowing(make_executor(*args), ()))
    config = config_of(executor)
    with pytest.raises(
        DivergenceError, match=rf"step 8: {kind} of .* is no longer finite: training diverged. A --peak-lr"
    ):
        train(config, tmp_path, corpus=corpus)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000004.json",
        "step-00000004.safetensors",
    ]


def test_what_cannot_be_taken_back_cannot_be_skipped() -> None:
    config = config_of("streaming", config=CONFIG)
    with pytest.raises(SpecError, match="on_nan is skip, it must be stop, or clip a number such"):
        msgspec.structs.replace(config, on_nan="skip", clip="none")
    msgspec.structs.replace(config, on_nan="skip", clip="none", execution=Execution())


def test_the_command_stops_with_a_line_and_goes_on_without_such_steps(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, {5, 6})
    run, words = tmp_path / "run", ("--data", "markov", "--mode", "dense", "--steps", "60", "--batch-size", "2")
    stopped = call("train", "--model", model, *words, "--tokens", "1e6", "--out", run)
    assert stopped.exit_code == 2
    assert "error: step 6: the loss is nan" in stopped.stderr
    assert not (run / "summary.json").exists()
    skipped = call("train", "--resume", run, "--on-nan", "skip")
    assert skipped.exit_code == 0, skipped.stderr
    assert skipped.stderr.count("loss not finite, skipped") == 1, "the first of them"
    assert "step 6/60  loss not finite, skipped" in skipped.stderr
    assert "note: 2 steps were skipped" in skipped.stderr
    assert read_config(run / "config.toml").on_nan == "skip"
    assert json.loads((run / "summary.json").read_text())["measured"]["n_skipped"] == 2


def test_the_function_takes_it_too(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, {1})
    how = {"mode": "dense", "steps": 3, "batch_size": 2, "tokens": "1e6", "data": "markov", "out": tmp_path / "run"}
    with pytest.raises(DivergenceError, match=r"; or on_nan skip, with which resume goes on"):
        wse_sim.train(model, **how)
    with pytest.raises(SpecError, match="unknown on_nan 'ignore'"):
        wse_sim.train(resume=tmp_path / "run", on_nan="ignore")
    run = wse_sim.train(resume=tmp_path / "run", on_nan="skip")
    assert run.measured.n_skipped == 1
    assert [row.loss is None for row in run.rows] == [False, True, False]
    assert wse_sim.load_run(tmp_path / "run").rows == run.rows


def _crash_after(step: int) -> Any:
    def crash(row: Row) -> None:
        if row.step == step:
            raise RuntimeError("power cut")

    return crash
