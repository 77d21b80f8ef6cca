"""What a run takes is known before it starts, and what would make it fit is said."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import training.choice
import training.memory
from tests.cli.documents import call, printed, validator
from training.config import TrainConfig
from training.execution import Execution
from training.memory import kept_blocks, memory_need, require_memory
from wse_sim.errors import SpecError
from wse_sim.processes import limits
from wse_sim.spec.load import load_model
from wse_sim.spec.sparsity import GMP, Update

GIB = 2**30
MIDDLING = """
[shape]
name = "47m"
n_layers = 12
d_model = 512
n_heads = 8
d_ff = 2048
vocab_size = 16384
seq_len = 64
"""
STREAMING = Execution(executor="streaming", precision="bf16", recompute="fitting")
LARGE = TrainConfig(
    shape=load_model("2.7b").shape,
    density=0.25,
    n_steps=3,
    batch_size=1,
    seq_len=128,
    clip="none",
    execution=STREAMING,
)


def changed(config: TrainConfig, *, clip: Any = None, **execution: object) -> TrainConfig:
    how = msgspec.structs.replace(config.execution, **execution)
    return msgspec.structs.replace(config, execution=how, clip=config.clip if clip is None else clip)


@pytest.mark.parametrize(
    ("config", "measured_gib"),
    [
        (LARGE, 10.31),
        (changed(LARGE, clip=1.0), 12.75),
        (msgspec.structs.replace(LARGE, batch_size=4), 11.80),
        (changed(msgspec.structs.replace(LARGE, batch_size=4), recompute="always"), 10.27),
    ],
)
def test_need_of_the_large_model_is_what_was_measured(config: TrainConfig, measured_gib: float) -> None:
    """Peaks of `wse-sim bench streaming` (docs/results/streaming.md); 6 % is room for pages that come and go."""
    n_kept = None if config.execution.recompute == "always" else config.shape.n_layers
    assert memory_need(config, n_kept_blocks=n_kept).n_bytes / GIB == pytest.approx(measured_gib, rel=0.06)


def test_need_here_is_what_is_measured_here(tmp_path: Path) -> None:
    """Of 47M parameters: a good part of what the process takes is the model's."""
    model = tmp_path / "47m.toml"
    model.write_text(MIDDLING, encoding="utf-8")
    content = printed("bench", "streaming", "--model", model, "--batch-sizes", "1", "--seq-len", "64", "--steps", "2")
    validator("bench-streaming").validate(content)
    assert content["kind"] == "measured"
    for speed in content["speeds"]:
        # A quarter of a small run is what libraries take, and these differ.
        assert speed["predicted_bytes"] == pytest.approx(speed["peak_rss_bytes"], rel=0.25)
        assert sum(speed["parts_cpu_s"].values()) <= 1.05 * speed["step_cpu_s"]
        assert all(loss > 0 for loss in speed["losses"])


@pytest.mark.parametrize(
    ("config", "gib", "advice"),
    [
        (changed(LARGE, executor="dense", recompute="never"), 24, 'executor "streaming" (--mode full)'),
        (changed(LARGE, clip=1.0), 11, 'clip "none" (--clip none)'),
        (LARGE, 8, 'moments "bf16" (--moments bf16)'),
        (LARGE, 4, "a store on disk (--store DIR)"),
        (LARGE, 1, "a smaller model, a lower density or a shorter sequence"),
    ],
)
def test_what_does_not_fit_is_told_what_would(config: TrainConfig, gib: float, advice: str) -> None:
    with pytest.raises(SpecError, match=r"needs .* GB of memory, .* GB are free: .*moments") as error:
        require_memory(config, gib * GIB)
    assert advice in str(error.value)


def test_advice_is_good() -> None:
    """Each knob that is named, turned, leaves a run that fits."""
    available = 11 * GIB
    with pytest.raises(SpecError, match="it would fit, in"):
        require_memory(changed(LARGE, clip=1.0), available)
    assert require_memory(changed(LARGE, clip="none", recompute="always"), available).n_bytes <= available


@pytest.mark.parametrize("knob", [{"recompute": "always"}, {"moments": "bf16"}, {"store": "x"}, {"clip": "none"}])
def test_every_knob_takes_something_off(knob: dict[str, object]) -> None:
    config = changed(LARGE, clip=1.0, recompute="never")
    assert memory_need(changed(config, **knob)).n_bytes < memory_need(config).n_bytes  # type: ignore[arg-type]


def test_a_run_that_starts_dense_needs_room_for_all_weights() -> None:
    gmp = msgspec.structs.replace(LARGE, n_steps=100, sparsity=GMP(update=Update(freq=10, start=10, stop=50)))
    parts = memory_need(gmp).parts
    assert parts["non-zeros and their moments"] == pytest.approx(
        4 * memory_need(LARGE).parts["non-zeros and their moments"]
    )


def test_as_many_blocks_keep_their_activations_as_there_is_room_for() -> None:
    config = msgspec.structs.replace(LARGE, batch_size=16)
    n_layers = config.shape.n_layers
    all_kept, none_kept = (memory_need(config, n_kept_blocks=n).n_bytes for n in (n_layers, 0))
    assert kept_blocks(config, all_kept) == n_layers
    assert kept_blocks(config, none_kept) == 0
    n_kept = kept_blocks(config, (all_kept + none_kept) / 2)
    assert n_layers / 2 - 1 <= n_kept <= n_layers / 2
    assert memory_need(config, n_kept_blocks=n_kept).n_bytes <= (all_kept + none_kept) / 2
    assert kept_blocks(changed(config, recompute="never"), 0) == n_layers


def test_the_command_says_so_before_it_writes_anything(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.choice, "available_memory_bytes", lambda: 6 * GIB)
    out = tmp_path / "out"
    words = ["--model", "2.7b", "--density", "0.25", "--mode", "full", "--steps", "3", "--microbatch", "1"]
    result = call("train", *words, "--seq-len", "128", "--out", out)
    assert result.exit_code == 2
    assert "needs" in result.stderr
    assert "--moments bf16" in result.stderr
    assert not out.exists()


def test_memory_of_a_container_counts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (
        ("memory.max", str(3 * GIB)),
        ("memory.current", str(2 * GIB)),
        ("memory.stat", f"anon 5\ninactive_file {GIB}\nactive_file 7\n"),
    ):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(limits, "_CGROUP", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 100 * GIB}))
    assert training.memory.available_memory_bytes() == 2 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert training.memory.available_memory_bytes() == 100 * GIB


def test_memory_of_a_gpu_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Non-zeros and their moments stay in the machine; what is dense crosses."""
    on_gpu = changed(LARGE, device="cuda")
    need, here = memory_need(on_gpu), memory_need(LARGE)
    assert need.parts["non-zeros and their moments"] == here.parts["non-zeros and their moments"]
    assert sum(need.parts.values()) + sum(need.device_parts.values()) == pytest.approx(sum(here.parts.values()))
    assert set(memory_need(changed(on_gpu, executor="dense", recompute="never")).parts) == {"Python and its libraries"}
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (GIB, 80 * GIB))
    with pytest.raises(SpecError, match=r"of the GPU's memory, 1\.1 GB are free: .*; recompute"):
        require_memory(on_gpu, 64 * GIB)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (16 * GIB, 80 * GIB))
    assert require_memory(on_gpu, 64 * GIB).device_bytes < 16 * GIB
    assert kept_blocks(on_gpu, training.memory.available_on_device(on_gpu)) == LARGE.shape.n_layers
