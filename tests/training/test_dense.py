"""The ways of the dense executor: micro-batches, recomputation, compiled blocks, low precision."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from training.config import TrainConfig
from training.data import Corpus
from training.execution import Execution
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=64, vocab_size=256, seq_len=16)
CONFIG = TrainConfig(
    shape=SHAPE, density=0.25, n_steps=10, batch_size=6, seq_len=16, log_interval=1, eval_interval=10, data="markov"
)
# PyTorch's tracer looks at gradients that are not there yet.
TRACED = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


def losses(corpus: Corpus, folder: Path, **execution: Any) -> np.ndarray:
    config = msgspec.structs.replace(CONFIG, execution=Execution(**execution))
    return np.array([row.loss for row in train(config, folder, corpus=corpus).rows])


@pytest.fixture(scope="module")
def plain(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return losses(corpus, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("microbatch", [1, 2, 4])
def test_micro_batches_add_up_to_the_batch_even_uneven_ones(
    corpus: Corpus, tmp_path: Path, plain: np.ndarray, microbatch: int
) -> None:
    assert losses(corpus, tmp_path, microbatch=microbatch) == pytest.approx(plain, abs=2e-6)


def test_recomputing_changes_no_bit(corpus: Corpus, tmp_path: Path, plain: np.ndarray) -> None:
    assert np.array_equal(losses(corpus, tmp_path, recompute="always"), plain)


@TRACED
def test_compiled_blocks_give_the_same_losses(
    corpus: Corpus, tmp_path: Path, plain: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the tracer, without its C++ compiler, which a machine may lack."""
    compiled = []

    def compile_eagerly(module: nn.Module) -> None:
        compiled.append(module)
        module._compiled_call_impl = torch.compile(module._call_impl, backend="eager")  # type: ignore[assignment]

    monkeypatch.setattr(nn.Module, "compile", compile_eagerly)
    assert losses(corpus, tmp_path, compile=True) == pytest.approx(plain, abs=2e-6)
    assert len(compiled) == SHAPE.n_layers


@TRACED
def test_a_compiler_that_fails_is_told(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: object, inputs: object) -> object:
        raise OSError("no C++ compiler")

    def compile_badly(module: nn.Module) -> None:
        module._compiled_call_impl = torch.compile(module._call_impl, backend=backend)  # type: ignore[assignment,arg-type]

    monkeypatch.setattr(nn.Module, "compile", compile_badly)
    with pytest.raises(SpecError, match=r"torch\.compile fails here \(.*no C\+\+ compiler.*\); leave it out"):
        losses(corpus, tmp_path, compile=True)


def test_bf16_products_leave_master_weights_in_32_bits(corpus: Corpus, tmp_path: Path, plain: np.ndarray) -> None:
    """A product has 8 bits: losses near 5 differ by a few hundredths of a per cent, and not by nothing."""
    found = losses(corpus, tmp_path, precision="bf16")
    assert 0 < np.abs(found - plain).max() < 2e-2


def test_a_device_that_is_not_there_is_refused(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for executor in ("dense", "streaming"):
        with pytest.raises(SpecError, match="'cuda', but PyTorch finds no GPU here"):
            losses(corpus, tmp_path / executor, executor=executor, device="cuda")
        assert not (tmp_path / executor / "run.jsonl").exists()
