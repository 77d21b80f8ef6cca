"""The same configuration gives the same bytes, in one go or interrupted, and the loss respects what is known."""

import json
import math
import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from models.masks import random_mask
from models.parametrization import BASES
from training.checkpoint import load_latest
from training.config import CONFIG_FILE, TrainConfig, read_config
from training.data import Corpus, Fingerprint
from training.interrupt import Interrupted
from training.markov import MarkovSource
from training.run_record import LinearClock, Row, RunRecord, read_rows
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=128, vocab_size=256, seq_len=32)
CONFIG = TrainConfig(
    shape=SHAPE,
    density=0.25,
    n_steps=24,
    batch_size=4,
    seq_len=32,
    eval_interval=8,
    n_eval_sequences=16,
    log_interval=1,
    checkpoint_interval=5,
    data="markov",
)
MEASURED = ("host_s",)


@pytest.fixture(scope="module")
def whole(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return train(CONFIG, tmp_path_factory.mktemp("whole"), corpus=corpus)


def test_same_seed_gives_the_same_rows_and_another_seed_others(
    whole: RunRecord, corpus: Corpus, tmp_path: Path
) -> None:
    again = train(CONFIG, tmp_path / "again", corpus=corpus)
    assert _computed(again.rows) == _computed(whole.rows)
    other = train(msgspec.structs.replace(CONFIG, seed=1), tmp_path / "other", corpus=corpus)
    assert _computed(other.rows) != _computed(whole.rows)


@pytest.mark.parametrize("density", [0.25, 1.0])
@pytest.mark.parametrize("schedule", ["linear", "cosine_10x"])
@pytest.mark.parametrize("stopped_after", [1, 13, 23])
def test_interrupted_and_resumed_run_equals_the_uninterrupted_one(
    corpus: Corpus, tmp_path: Path, density: float, schedule: str, stopped_after: int
) -> None:
    config = msgspec.structs.replace(CONFIG, density=density, schedule=schedule)
    straight = train(config, tmp_path / "straight", corpus=corpus)
    with pytest.raises(Interrupted) as stop:
        train(config, tmp_path / "broken", corpus=corpus, on_step=_interrupt_after(stopped_after))
    assert stop.value.step == stopped_after
    resumed = train(config, tmp_path / "broken", corpus=corpus, resume=True)
    assert _computed(resumed.rows) == _computed(straight.rows)
    assert _computed(read_rows(tmp_path / "broken" / "run.jsonl")) == _computed(straight.rows)
    assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes()
    assert resumed.host_s > 0


def test_rows_after_the_checkpoint_are_not_doubled_on_resume(whole: RunRecord, corpus: Corpus, tmp_path: Path) -> None:
    # A crash, not an interrupt: no checkpoint at step 13, the last one is of step 10.
    def crash(row: Row) -> None:
        if row.step == 13:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(CONFIG, tmp_path, corpus=corpus, on_step=crash)
    assert [row.step for row in read_rows(tmp_path / "run.jsonl")] == list(range(1, 14))
    with (tmp_path / "run.jsonl").open("ab") as file:
        file.write(b'{"step": 14, "tok')
    resumed = train(CONFIG, tmp_path, corpus=corpus, resume=True)
    assert [row.step for row in resumed.rows] == list(range(1, 25))
    assert _computed(resumed.rows) == _computed(whole.rows)


def test_damaged_checkpoint_is_passed_over_and_said(whole: RunRecord, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(CONFIG, tmp_path, corpus=corpus, on_step=_interrupt_after(13))
    newest = tmp_path / "checkpoints" / "step-00000013.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = train(CONFIG, tmp_path, corpus=corpus, resume=True)
    assert len(resumed.warnings) == 1
    assert str(newest) in resumed.warnings[0]
    assert _computed(resumed.rows) == _computed(whole.rows)


def test_only_damaged_checkpoints_stop_the_resume(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(CONFIG, tmp_path, corpus=corpus, on_step=_interrupt_after(13))
    kept = sorted((tmp_path / "checkpoints").glob("*.safetensors"))
    assert [path.name for path in kept] == ["step-00000010.safetensors", "step-00000013.safetensors"]
    kept[0].unlink()
    flipped = bytearray(kept[1].read_bytes())
    flipped[-1] ^= 1
    kept[1].write_bytes(flipped)
    with pytest.raises(SpecError, match=r"step-00000013\.safetensors.*another folder"):
        train(CONFIG, tmp_path, corpus=corpus, resume=True)


def test_control_c_is_kept_until_the_step_is_done(corpus: Corpus, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def press(row: Row) -> None:
        if row.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stop:
        train(CONFIG, tmp_path, corpus=corpus, on_step=press)
    assert stop.value.run_dir == tmp_path
    assert stop.value.step == 3
    assert signal.getsignal(signal.SIGINT) is before
    checkpoint, _ = load_latest(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.meta.step, checkpoint.meta.n_sequences) == (3, 12)


def test_checkpoint_keeps_masks_and_zeros(whole: RunRecord) -> None:
    checkpoint, _ = load_latest(whole.run_dir)
    assert checkpoint is not None
    masks = checkpoint.masks
    assert len(masks) == 8
    for name, mask in masks.items():
        packed = checkpoint.tensors[f"model.{name}_mask"]
        assert (packed.dtype, packed.numel()) == (torch.uint8, mask.size / 8)
        assert np.array_equal(mask, random_mask(CONFIG.seed, name, mask.shape, 0.25))
        for kind in ("model", "exp_avg", "exp_avg_sq"):
            assert checkpoint.tensors[f"{kind}.{name}"].shape == (np.count_nonzero(mask),)
            assert torch.all(checkpoint.dense(kind, name)[~torch.from_numpy(mask)] == 0)
    assert whole.n_nonzero_params == whole.n_params - sum(int((~mask).sum()) for mask in masks.values())
    assert checkpoint.ever_live == {}


def test_loss_approaches_the_entropy_of_the_source_and_never_goes_below(corpus: Corpus, tmp_path: Path) -> None:
    config = msgspec.structs.replace(
        CONFIG, n_steps=400, batch_size=16, density=0.5, n_eval_sequences=512, eval_interval=200, log_interval=100
    )
    record = train(config, tmp_path, corpus=corpus)
    floor = MarkovSource().entropy_rate_nats
    # 512 x 32 draws whose surprise has a standard deviation of about 1: four standard errors are 0.03.
    assert floor - 0.03 < record.val_loss < floor + 0.10
    assert record.rows[0].loss > floor + 1.0


def test_simulated_seconds_follow_the_fraction_of_the_run(corpus: Corpus, tmp_path: Path) -> None:
    record = train(CONFIG, tmp_path, corpus=corpus, clock=LinearClock(wafer_run_s=2400.0))
    assert [row.wafer_s for row in record.rows] == pytest.approx([100.0 * step for step in range(1, 25)])
    assert all(row.gpu_s is None for row in record.rows)


def test_rows_are_json_with_the_promised_keys(whole: RunRecord) -> None:
    lines = (whole.run_dir / "run.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert list(first)[:10] == [
        "step", "tokens", "loss", "bits_per_byte", "lr", "grad_norm", "density", "host_s", "wafer_s", "gpu_s",
    ]  # fmt: skip
    assert first["tokens"] == 4 * 32
    assert first["bits_per_byte"] == pytest.approx(first["loss"] / math.log(2))
    assert [row.step for row in whole.rows if row.val_loss is not None] == [8, 16, 24]
    assert read_config(whole.run_dir / CONFIG_FILE) == CONFIG


def test_divergence_names_the_step(corpus: Corpus, tmp_path: Path) -> None:
    config = msgspec.structs.replace(
        CONFIG, base=msgspec.structs.replace(BASES["bytes-64"], peak_lr=1e30), parametrization="sp"
    )
    with pytest.raises(SpecError, match=r"step \d+: .*diverged"):
        train(config, tmp_path, corpus=corpus)


def test_a_last_update_that_leaves_the_numbers_is_divergence_too(corpus: Corpus, tmp_path: Path) -> None:
    config = msgspec.structs.replace(
        CONFIG, base=msgspec.structs.replace(BASES["bytes-64"], peak_lr=1e38), parametrization="sp", n_steps=1
    )
    with pytest.raises(SpecError, match=r"step 1: .* the held-out loss after it is nan: training diverged"):
        train(config, tmp_path, corpus=corpus)


def test_folder_that_cannot_be_written_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpecError, match="the folder cannot be made"):
        train(CONFIG, tmp_path / "file" / "run", corpus=corpus)


def test_folder_with_a_run_is_not_overwritten(whole: RunRecord, corpus: Corpus) -> None:
    before = (whole.run_dir / "run.jsonl").read_bytes()
    with pytest.raises(SpecError, match="resume it"):
        train(CONFIG, whole.run_dir, corpus=corpus)
    assert (whole.run_dir / "run.jsonl").read_bytes() == before


def test_resume_refuses_another_configuration_and_other_data(whole: RunRecord, corpus: Corpus) -> None:
    with pytest.raises(SpecError, match=r"density = 0\.25"):
        train(msgspec.structs.replace(CONFIG, density=0.5), whole.run_dir, corpus=corpus, resume=True)
    other = Corpus(
        train=corpus.train,
        val=corpus.val,
        fingerprint=Fingerprint(source="other", n_files=1, n_bytes=corpus.train.n_tokens, sha256="0"),
    )
    with pytest.raises(SpecError, match="other data"):
        train(CONFIG, whole.run_dir, corpus=other, resume=True)
    unchanged = train(msgspec.structs.replace(CONFIG, log_interval=7), whole.run_dir, corpus=corpus, resume=True)
    assert _computed(unchanged.rows) == _computed(whole.rows)


def test_resume_of_nothing_starts_and_says_so(whole: RunRecord, corpus: Corpus, tmp_path: Path) -> None:
    record = train(CONFIG, tmp_path, corpus=corpus, resume=True)
    assert _computed(record.rows) == _computed(whole.rows)
    assert "no checkpoint yet" in record.warnings[0]


def test_training_leaves_torch_as_it_was(corpus: Corpus, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    train(msgspec.structs.replace(CONFIG, n_steps=2), tmp_path, corpus=corpus)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_density_shows_in_the_loss_but_not_in_the_step_count(corpus: Corpus, tmp_path: Path) -> None:
    dense = train(msgspec.structs.replace(CONFIG, density=1.0), tmp_path, corpus=corpus)
    assert dense.n_nonzero_params == dense.n_params
    assert dense.rows[-1].density == 1.0
    assert dense.tokens == 24 * 4 * 32
    assert np.isfinite([row.grad_norm for row in dense.rows]).all()


def _computed(rows: object) -> list[dict[str, object]]:
    """Rows without what a clock measured."""
    return [
        {key: value for key, value in msgspec.structs.asdict(row).items() if key not in MEASURED}
        for row in rows  # type: ignore[attr-defined]
    ]


def _interrupt_after(step: int):  # type: ignore[no-untyped-def]
    def on_step(row: Row) -> None:
        if row.step == step:
            raise KeyboardInterrupt

    return on_step
