"""What a step takes here is what the trainer's step takes, whatever it is made of."""

import threading
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tests.training.work_clock import WorkClock
from training import this_machine
from training.config import TrainConfig
from training.deterministic import deterministic
from training.execution import Execution
from training.executors import make_executor
from training.here_result import HereResult, result_of
from training.step_extent import Extent, Timed
from training.step_measurement import SHORT_ERROR, WHOLE_ERROR, Measurement, Room
from training.this_machine import measure_here
from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import training_flops_per_token

SHAPE = ModelShape(name="small", n_layers=3, d_model=64, n_heads=4, d_ff=256, vocab_size=300, seq_len=256)
LLAMA = {"feed_forward": "swiglu", "norm": "rmsnorm", "positions": "rotary", "is_tied": False, "n_kv_heads": 2}
PEAK = 1e9
MOST_TURNS = 4
MUCH, LITTLE = 1e14, 1e8  # ticks
BATCH_SIZE, SEQ_LEN = 6, 256


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "matmul_flops_per_s", lambda precision, device: PEAK)
    monkeypatch.setattr(this_machine, "_MOST_TURNS", MOST_TURNS)


def measured(shape: ModelShape = SHAPE, *, budget_s: float = MUCH, **given: Any) -> HereResult:
    """By a clock that goes by what is computed."""
    fields = {"batch_size": BATCH_SIZE, "seq_len": SEQ_LEN, "tokens": 1e6, "precision": "fp32", "device": "cpu"}
    clock = WorkClock()
    with clock:
        return measure_here(shape, n_threads=1, budget_s=budget_s, clock=clock, **(fields | given))


def ticks_of_a_step(shape: ModelShape, *, density: float, **execution: Any) -> float:
    """Of the trainer."""
    config = TrainConfig(
        shape=shape,
        density=density,
        n_steps=3,
        batch_size=BATCH_SIZE,
        seq_len=SEQ_LEN,
        execution=Execution(**execution),
    )
    tokens_BT = torch.randint(256, (BATCH_SIZE, SEQ_LEN + 1), generator=torch.Generator().manual_seed(0))
    clock = WorkClock()
    with deterministic(1):
        executor = make_executor(config)
        with clock:
            executor.step((tokens_BT[:, :-1].contiguous(), tokens_BT[:, 1:].contiguous()), 0)
        executor.close()
    return clock.now


@pytest.mark.parametrize("budget_s", [MUCH, LITTLE], ids=["whole sequences", "cut short"])
@pytest.mark.parametrize("change", [{}, LLAMA, {"positions": "alibi"}], ids=["gpt2", "llama", "alibi"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("executor", ["dense", "streaming"])
def test_parts_make_the_step_of_the_trainer(
    executor: str, precision: str, change: dict[str, Any], budget_s: float
) -> None:
    """To the last product, score and updated number: nothing is forgotten, and nothing counted twice."""
    shape = msgspec.structs.replace(SHAPE, **change)
    how: dict[str, Any] = {"executor": executor, "precision": precision, "microbatch": 2}
    here = measured(shape, budget_s=budget_s, density=0.25, **how)
    assert here.timings[0].n_tokens == (512 if budget_s == MUCH else 32)
    assert here.step_time_s == pytest.approx(ticks_of_a_step(shape, density=0.25, **how), rel=1e-12)


def test_figures_follow_from_the_step() -> None:
    here = measured(density=0.25)
    n_tokens = BATCH_SIZE * SEQ_LEN
    assert (here.batch_size, here.microbatch, here.n_microbatches) == (6, 6, 1.0)
    assert here.n_steps == 1e6 / n_tokens
    assert here.tokens_per_s == n_tokens / here.step_time_s
    assert here.run_time_s == here.n_steps * here.step_time_s
    assert sum(part.seconds for part in here.parts) == here.step_time_s
    assert sum(part.share for part in here.parts) == pytest.approx(1.0)
    dense_flops_per_s = here.tokens_per_s * training_flops_per_token(SHAPE, SEQ_LEN)
    assert here.dense_equivalent_mfu == pytest.approx(dense_flops_per_s / PEAK)
    assert here.mfu < here.dense_equivalent_mfu
    assert {timing.n_repeats for timing in here.timings} == {MOST_TURNS}
    assert msgspec.json.decode(msgspec.json.encode(here), type=HereResult) == here
    assert here.fits
    assert here.memory_bytes_needed < here.memory_bytes_available


@pytest.mark.parametrize(("budget_s", "error"), [(MUCH, WHOLE_ERROR), (LITTLE, SHORT_ERROR)])
def test_repeats_without_noise_leave_the_error_of_extrapolation(budget_s: float, error: float) -> None:
    here = measured(budget_s=budget_s)
    assert here.extrapolation_error == error
    for low, value, high in (
        (here.step_time_s_low, here.step_time_s, here.step_time_s_high),
        (here.tokens_per_s_low, here.tokens_per_s, here.tokens_per_s_high),
        (here.run_time_s_low, here.run_time_s, here.run_time_s_high),
    ):
        assert value / low == pytest.approx(1 + error)
        assert high / value == pytest.approx(1 + error)


@pytest.mark.parametrize("executor", ["dense", "streaming"])
def test_density_changes_what_streams_alone(executor: str) -> None:
    dense, sparse = (measured(executor=executor, density=density) for density in (1.0, 0.25))
    of_dense, of_sparse = ({part.part: part.seconds for part in here.parts} for here in (dense, sparse))
    assert of_dense["blocks"] == of_sparse["blocks"]
    assert of_dense["ends"] == of_sparse["ends"]
    assert (of_dense["optimizer"] > of_sparse["optimizer"]) == (executor == "streaming")
    assert not any("zeros" in note for note in dense.notes)
    assert any("gain nothing from zeros" in note for note in sparse.notes)


def test_a_model_without_room_is_timed_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = msgspec.structs.replace(SHAPE, n_layers=1000)
    monkeypatch.setattr(this_machine, "available_memory_bytes", lambda: 400_000_000)
    here = measured(shape)
    assert not here.fits
    assert (here.executor, here.microbatch) == ("streaming", 1)
    assert here.memory_bytes_needed > here.memory_bytes_available == 400_000_000
    assert any("needs" in note and "as if there were room" in note for note in here.notes)
    assert any("activations of all 6" in note for note in here.notes)


def test_where_memory_is_short_fewer_sequences_go_through_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = msgspec.structs.replace(SHAPE, n_layers=100)
    at_once = []
    for gigabytes in (4, 1):
        monkeypatch.setattr(this_machine, "available_memory_bytes", (gigabytes * 10**9).__int__)
        here = measured(shape)
        assert here.fits
        at_once.append((here.executor, here.microbatch))
    assert at_once == [("dense", 6), ("dense", 3)]


def test_not_even_a_block_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "available_memory_bytes", lambda: 10**5)
    with pytest.raises(SpecError, match=r"small: to time one block and the ends takes .* GB, 0.0 GB are free"):
        measured()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, it must be positive"),
        ({"tokens": -1.0}, "tokens is -1.0, it must be positive"),
        ({"seq_len": 0}, "seq_len is 0, it must be positive"),
        ({"microbatch": 0}, "microbatch is 0, it must be at least 1"),
        ({"budget_s": 0.0}, "budget_s is 0.0, it must be positive"),
        ({"density": 0.0}, "density is 0.0"),
        ({"seq_len": 512}, "at most shape.seq_len = 256"),
        ({"device": "cuda"}, "PyTorch finds no GPU here"),
    ],
)
def test_wrong_numbers_are_told(given: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SpecError, match=message):
        measured(**given)


def test_an_encoder_is_refused() -> None:
    with pytest.raises(SpecError, match="is an encoder"):
        measured(load_model("bert-base").shape)


def interrupt(line: str) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("executor", ["dense", "streaming"])
def test_an_interrupt_leaves_nothing_behind(executor: str) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.initial_seed()
    threads = threading.active_count()
    state = torch.random.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        measured(executor=executor, say=interrupt)
    assert before == (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.initial_seed(),
    )
    assert threading.active_count() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_progress_is_told() -> None:
    lines: list[str] = []
    measured(budget_s=LITTLE, say=lines.append)
    assert lines[0] == "small: timing a block and both ends on 1 x 128 tokens"
    assert len(lines) > 3


def test_the_least_is_timed_however_little_time_there_is() -> None:
    here = measured(budget_s=1.0)
    assert {timing.n_repeats for timing in here.timings} == {3}
    assert any("grows with the square" in note for note in here.notes)


@pytest.mark.parametrize(("peak", "is_told"), [(1e9, False), (1.0, True)])
def test_a_step_faster_than_the_peak_is_explained(monkeypatch: pytest.MonkeyPatch, peak: float, is_told: bool) -> None:
    monkeypatch.setattr(this_machine, "matmul_flops_per_s", lambda precision, device: peak)
    here = measured(density=0.25)
    assert (here.dense_equivalent_mfu > 1) == is_told
    assert any("above which no step can be" in note for note in here.notes) == is_told


@pytest.mark.parametrize(("slowest", "is_told"), [(1.0, False), (3.0, True)])
def test_noise_widens_the_interval_and_is_told(slowest: float, is_told: bool) -> None:
    config = TrainConfig(shape=SHAPE, n_steps=1, batch_size=2, seq_len=SEQ_LEN)
    by_turn = np.array([1.0, 1.0, 1.0, slowest, slowest])
    measurement = Measurement(
        config=config,
        extent=Extent(n_sequences=2, places=(SEQ_LEN,)),
        seconds=dict.fromkeys((Timed("block", SEQ_LEN), Timed("ends", SEQ_LEN), Timed("update")), by_turn),
        n_updated=1000,
        n_streamed=0,
        peak_flops_per_s=PEAK,
        room=Room(n_bytes=1e12, device_bytes=None),
    )
    here = result_of(measurement, batch_size=2, tokens=1e6)
    assert here.step_time_s_high == pytest.approx(slowest * here.step_time_s * (1 + WHOLE_ERROR))
    assert here.step_time_s_low == pytest.approx(here.step_time_s / (1 + WHOLE_ERROR))
    assert any("other programs" in note for note in here.notes) == is_told
