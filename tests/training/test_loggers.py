"""Dashboards get every number of a run once, under the field's names, and never decide how it goes."""

import resource
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.cli.documents import call
from training.config import TrainConfig
from training.data import Corpus
from training.loggers import Loggers, make_loggers, mask_metrics, parse_loggers, row_metrics
from training.loggers.tensorboard import flattened
from training.run_record import LinearClock, Row, RunRecord, read_mask_updates, read_rows
from training.sparsity.updater import MaskUpdate, TensorUpdate
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import RigL, Update

SHAPE = ModelShape(name="tiny", n_layers=1, d_model=32, n_heads=1, d_ff=64, vocab_size=256, seq_len=16)
CONFIG = TrainConfig(
    shape=SHAPE,
    density=0.25,
    sparsity=RigL(update=Update(freq=3, stop=9)),
    n_steps=10,
    batch_size=2,
    seq_len=16,
    eval_interval=4,
    n_eval_sequences=4,
    log_interval=2,
    checkpoint_interval=4,
    data="markov",
)
CLOCK = LinearClock(wafer_run_s=100.0, gpu_run_s=300.0)
KNOWN = {"simulated/run_time_s": 12.5, "projected/loss": 2.25}


class Recorder:
    """A dashboard of a test's own."""

    def __init__(self, name: str = "recorder", fails_at: int | None = None) -> None:
        self.name, self.fails_at = name, fails_at
        self.logged: list[tuple[int, Mapping[str, float], float]] = []
        self.ended: list[tuple[int, Mapping[str, float], bool]] = []

    def start(self, run_dir: Path, config: TrainConfig) -> None:
        self.logged, self.ended = [], []
        if self.fails_at == 0:
            raise OSError("no room\nat all")

    def log(self, step: int, metrics: Mapping[str, float], wall_s: float) -> None:
        if step == self.fails_at:
            raise RuntimeError("the line is dead")
        self.logged.append((step, metrics, wall_s))

    def end(self, step: int, summary: Mapping[str, float], *, is_complete: bool) -> str:
        self.ended.append((step, summary, is_complete))
        return f"look at {self.name}"


def crash_after(step: int) -> Any:
    def crash(row: Row) -> None:
        if row.step == step:
            raise RuntimeError("power cut")

    return crash


def crashed_and_resumed(out: Path, corpus: Corpus, *names: str) -> RunRecord:
    """Broken off at step 7, three steps after its last checkpoint."""
    loggers = make_loggers(names, summary=KNOWN)
    with pytest.raises(RuntimeError, match=r"power cut"):
        train(CONFIG, out, corpus=corpus, clock=CLOCK, loggers=loggers, on_step=crash_after(7))
    return train(CONFIG, out, corpus=corpus, clock=CLOCK, loggers=make_loggers(names, summary=KNOWN), resume=True)


def expected(run_dir: Path) -> dict[str, dict[int, float]]:
    """Of each name its values by step, straight from the run's own files."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    before = None
    for row in read_rows(run_dir / "run.jsonl"):
        for name, value in row_metrics(row, before).items():
            found[name][row.step] = value
        before = row
    for update in read_mask_updates(run_dir / "sparsity.jsonl"):
        for name, value in mask_metrics(update).items():
            found[name][update.step] = value
    return found


def read_events(run_dir: Path) -> EventAccumulator:
    """TensorBoard's own reader, which keeps all that is there."""
    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return events


def test_a_row_has_the_names_of_the_field() -> None:
    row = Row(step=20, tokens=640, loss=2.0, bits_per_byte=2.885, lr=1e-3, grad_norm=0.5, density=0.25, host_s=4.0)
    later = msgspec.structs.replace(row, step=30, tokens=960, host_s=5.0, wafer_s=7.0, gpu_s=9.0, val_loss=2.5)
    first = {
        "train/loss": 2.0,
        "train/bits_per_byte": 2.885,
        "lr": 1e-3,
        "grad_norm": 0.5,
        "density": 0.25,
        "n_skipped": 0,
        "tokens": 640,
        "tokens_per_sec": 160.0,  # 640 / 4
    }
    assert row_metrics(row, None) == first
    more = {"tokens": 960, "tokens_per_sec": 320.0, "val/loss": 2.5, "simulated/wafer_s": 7.0, "simulated/gpu_s": 9.0}
    assert row_metrics(later, row) == first | more  # 320 tokens in one second


def test_a_mask_update_has_the_sparsity_of_each_tensor_and_what_it_was_to_be() -> None:
    tensor = TensorUpdate(n_dropped=3, n_grown=3, density_target=0.25, density=0.2578125, itop_rate=0.5)
    update = MaskUpdate(step=3, n_dropped=3, n_grown=3, density=0.2578125, itop_rate=0.5, tensors={"a.weight": tensor})
    assert mask_metrics(update) == {"sparsity/a.weight/actual": 0.7421875, "sparsity/a.weight/target": 0.75}


def test_names_of_loggers_are_read_and_a_wrong_one_is_named() -> None:
    assert parse_loggers("wandb, tensorboard,wandb") == ("wandb", "tensorboard")
    for text in ("tensorbord", ""):
        with pytest.raises(SpecError, match=r"unknown logger .* known are tensorboard, wandb"):
            parse_loggers(text)


def test_hyper_parameters_are_the_configuration_by_dotted_names() -> None:
    flat = flattened(msgspec.to_builtins(CONFIG))
    assert (flat["shape.d_model"], flat["n_steps"], flat["betas"]) == (32, 10, "[0.9, 0.95]")
    assert flat["sparsity.update.freq"] == 3
    assert "branch" not in flat
    assert all(isinstance(value, bool | int | float | str) for value in flat.values())


@pytest.mark.parametrize("is_broken", [False, True])
def test_tensorboard_reads_every_number_at_its_step_once(corpus: Corpus, tmp_path: Path, is_broken: bool) -> None:
    run_dir = tmp_path / "run"
    if is_broken:
        crashed_and_resumed(run_dir, corpus, "tensorboard")
        assert len(list((run_dir / "tensorboard").iterdir())) == 2
    else:
        loggers = make_loggers(["tensorboard"], summary=KNOWN)
        train(CONFIG, run_dir, corpus=corpus, clock=CLOCK, loggers=loggers)
    events, wanted = read_events(run_dir), expected(run_dir)
    assert [*wanted["train/loss"]] == [1, 2, 4, 6, 8, 10]
    assert [*wanted["val/loss"]] == [4, 8, 10]
    assert [*wanted["sparsity/blocks.0.mlp.up.weight/actual"]] == [3, 6]
    for name, values in wanted.items():
        got = events.Scalars(name)
        assert [(event.step, np.float32(event.value)) for event in got] == [
            (step, np.float32(value)) for step, value in values.items()
        ], name
    assert set(events.Tags()["scalars"]) == {*wanted, *KNOWN, *MEASURED}
    assert [(event.step, event.value) for event in events.Scalars("projected/loss")] == [(10, 2.25)]


MEASURED = {f"measured/{name}" for name in ("val_loss", "val_bits_per_byte", "host_s", "params", "nonzero_params")}


def test_times_in_tensorboard_leave_out_the_pause(corpus: Corpus, tmp_path: Path) -> None:
    record = crashed_and_resumed(tmp_path / "run", corpus, "tensorboard")
    times = [event.wall_time for event in read_events(tmp_path / "run").Scalars("train/loss")]
    assert np.diff(times) == pytest.approx(np.diff([row.host_s for row in record.rows]), abs=1e-5)


def test_the_table_of_hyper_parameters_has_the_run_and_how_it_ended(corpus: Corpus, tmp_path: Path) -> None:
    """Independent: the table's own reader of what a session says."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    train(CONFIG, tmp_path / "run", corpus=corpus, loggers=make_loggers(["tensorboard"]))
    events = read_events(tmp_path / "run")
    start, end = (
        events.SummaryMetadata(tag).plugin_data.content
        for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
    )
    values = metadata.parse_session_start_info_plugin_data(start).hparams
    assert values["density"].number_value == 0.25
    assert values["sparsity.algorithm"].string_value == "rigl"
    assert metadata.parse_session_end_info_plugin_data(end).status == api_pb2.STATUS_SUCCESS


def test_a_run_computes_and_writes_the_same_with_dashboards_and_without(corpus: Corpus, tmp_path: Path) -> None:
    plain = train(CONFIG, tmp_path / "plain", corpus=corpus)
    logged = train(CONFIG, tmp_path / "logged", corpus=corpus, loggers=make_loggers(["tensorboard"]))
    assert not list(tmp_path.glob("plain/tensorboard"))

    def computed(record: RunRecord) -> list[Row]:
        return [msgspec.structs.replace(row, host_s=0.0) for row in record.rows]

    assert computed(plain) == computed(logged)
    assert plain.mask_updates == logged.mask_updates
    assert plain.checkpoint.read_bytes() == logged.checkpoint.read_bytes()
    names = [sorted(path.name for path in folder.iterdir()) for folder in (tmp_path / "plain", tmp_path / "logged")]
    assert names[1] == sorted([*names[0], "tensorboard"])
    assert logged.warnings == ()


def test_a_dashboard_that_fails_is_left_out_and_the_run_says_so_and_goes_on(corpus: Corpus, tmp_path: Path) -> None:
    said: list[str] = []
    broken, sound = Recorder("broken", fails_at=6), Recorder("sound")
    record = train(CONFIG, tmp_path / "run", corpus=corpus, loggers=Loggers([broken, sound], say=said.append))
    warning = "broken failed and logs no more, the run goes on: the line is dead"
    assert record.warnings == (warning,)
    assert said == [f"note: {warning}", "look at sound"]
    assert [step for step, metrics, _ in sound.logged if "train/loss" in metrics] == [1, 2, 4, 6, 8, 10]
    assert [step for step, metrics, _ in broken.logged if "train/loss" in metrics] == [1, 2, 4]
    assert broken.ended == [(6, {}, False)]
    ((step, summary, is_complete),) = sound.ended
    assert (step, is_complete, summary["measured/val_loss"]) == (10, True, record.val_loss)


def test_a_full_disk_costs_the_curves_and_not_the_run(corpus: Corpus, tmp_path: Path) -> None:
    """The operating system itself refuses to let the file grow for a step."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    events = tmp_path / "run" / "tensorboard" / "events.out.tfevents.0000000000.wse-sim"

    def fill_the_disk(row: Row) -> None:
        limit = events.stat().st_size + 10 if row.step == 5 else before[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))

    try:
        loggers = make_loggers(["tensorboard"])
        record = train(CONFIG, tmp_path / "run", corpus=corpus, loggers=loggers, on_step=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (warning,) = record.warnings
    assert warning.startswith("tensorboard failed and logs no more, the run goes on: ")
    assert "File too large" in warning
    assert [event.step for event in read_events(tmp_path / "run").Scalars("train/loss")] == [1, 2, 4]
    train(CONFIG, tmp_path / "run", corpus=corpus, resume=True, loggers=make_loggers(["tensorboard"]))
    assert [event.step for event in read_events(tmp_path / "run").Scalars("train/loss")] == [1, 2, 4, 6, 8, 10]


def test_a_dashboard_that_cannot_begin_stops_the_run_before_its_first_step(corpus: Corpus, tmp_path: Path) -> None:
    first, second = Recorder("first"), Recorder("second", fails_at=0)
    with pytest.raises(SpecError, match=r"second cannot begin to log: no room at all"):
        train(CONFIG, tmp_path / "run", corpus=corpus, loggers=Loggers([first, second]))
    assert read_rows(tmp_path / "run" / "run.jsonl") == []
    assert first.ended == [(0, {}, False)]


def test_a_run_that_goes_on_is_logged_from_its_first_step(corpus: Corpus, tmp_path: Path) -> None:
    """Also where nothing was logged before: a finished run is shown so."""
    train(CONFIG, tmp_path / "run", corpus=corpus)
    recorder = Recorder()
    train(CONFIG, tmp_path / "run", corpus=corpus, resume=True, loggers=Loggers([recorder]))
    steps = [step for step, _, _ in recorder.logged]
    assert steps == sorted(steps)
    logged: dict[str, dict[int, float]] = defaultdict(dict)
    for step, metrics, _ in recorder.logged:
        for name, value in metrics.items():
            logged[name][step] = value
    assert logged == expected(tmp_path / "run")


def test_a_missing_library_is_said_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "wandb", None)
    result = call("train", "--model", "111m", "--log", "wandb", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--log wandb needs a library that is not installed" in result.stderr
    assert f"pip --python {sys.executable} install wandb" in result.stderr
    assert not list(tmp_path.iterdir())
