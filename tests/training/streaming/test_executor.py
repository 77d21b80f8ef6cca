"""The streaming executor trains the model that the dense one trains."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import training.streaming.blocks
from models.masks import unpacked
from models.targets import NOT_COUNTED
from training.config import TrainConfig
from training.data import Corpus, TrainOrder
from training.dense import DenseExecutor
from training.deterministic import deterministic
from training.execution import Execution
from training.executor import Executor
from training.executors import make_executor
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import GMP, SET, SPDF, Algorithm, RigL, Static, Update

GPT_2 = ModelShape(name="gpt", n_layers=3, d_model=64, n_heads=2, d_ff=256, vocab_size=300, seq_len=64)
LLAMA = msgspec.structs.replace(
    GPT_2,
    name="llama",
    n_kv_heads=1,
    positions="rotary",
    norm="rmsnorm",
    feed_forward="swiglu",
    has_biases=False,
    is_tied=False,
)
ALIBI = msgspec.structs.replace(GPT_2, name="alibi", positions="alibi")
N_STEPS = 20
CONFIG = TrainConfig(shape=GPT_2, density=0.25, n_steps=N_STEPS, batch_size=4, seq_len=64, data="markov", clip=0.5)
ALGORITHMS: dict[str, Algorithm] = {
    "static": Static(),
    "set": SET(update=Update(freq=3)),
    "rigl": RigL(update=Update(freq=3)),
    "gmp": GMP(update=Update(freq=3, stop=15)),
    "spdf": SPDF(lift_at=9),
    "rigl-balanced": RigL(update=Update(freq=3), balance_in_groups=4),
    "topk": Static(init_method="topk"),
}
# Losses start near 6, where float32 has steps of 4.8e-7; the rest is the order in which sums are taken.
LARGEST_DIFFERENCE = 2e-6
# A lifted weight starts without moments: Adam's first steps are +-lr, whatever the size of a gradient, and the sign of
# one near zero is the rounding's.
LARGEST_AFTER_LIFTING = 1e-5


# Every algorithm with clipping and micro-batches; one whose masks stay and one whose masks move with either alone. With
# neither, all of them are below.
@pytest.mark.parametrize(
    ("name", "clip", "microbatch"),
    [
        *((name, 0.5, 1) for name in ALGORITHMS),
        *((name, *how) for name in ("static", "rigl") for how in ((0.5, None), ("none", 1))),
    ],
)
def test_losses_are_those_of_dense_masked_training(
    corpus: Corpus, name: str, microbatch: int | None, clip: Any
) -> None:
    config = msgspec.structs.replace(CONFIG, sparsity=ALGORITHMS[name], clip=clip)
    dense, dense_executor = _losses(config, corpus, Execution(microbatch=microbatch))
    streaming, streaming_executor = _losses(config, corpus, Execution(executor="streaming", microbatch=microbatch))
    assert np.abs(dense - streaming).max() <= (LARGEST_AFTER_LIFTING if name == "spdf" else LARGEST_DIFFERENCE)
    assert streaming_executor.n_nonzero_params == dense_executor.n_nonzero_params
    assert streaming_executor.mask_updater.density == dense_executor.mask_updater.density


@pytest.mark.parametrize("executor", ["dense", "streaming"])
@pytest.mark.parametrize("microbatch", [None, 1, 3])
def test_targets_that_do_not_count_are_in_no_mean(corpus: Corpus, executor: Any, microbatch: int | None) -> None:
    """PyTorch's own cross-entropy of the whole batch is the oracle; one micro-batch has nothing that counts."""
    config = msgspec.structs.replace(CONFIG, clip=1e9, execution=Execution(executor=executor, microbatch=microbatch))
    inputs_BT, targets_BT = next(_batches(config, corpus))
    targets_BT[0], targets_BT[1, 10:], targets_BT[3, ::3] = (NOT_COUNTED,) * 3
    dense = DenseExecutor(msgspec.structs.replace(config, execution=Execution()), None)
    loss = F.cross_entropy(dense.model(inputs_BT).flatten(0, 1), targets_BT.flatten(), ignore_index=NOT_COUNTED)
    torch.autograd.backward(loss)
    dense.masks.zero_pruned_gradients()
    gradients = [p.grad.flatten() for p in dense.model.parameters() if p.grad is not None]
    norm = float(torch.linalg.vector_norm(torch.cat(gradients)))
    tested = make_executor(config)
    assert tested.evaluate([(inputs_BT[:2], targets_BT[:2]), (inputs_BT[2:], targets_BT[2:])]) == pytest.approx(
        loss.item(), abs=LARGEST_DIFFERENCE
    )
    stepped = tested.step((inputs_BT, targets_BT), 0)
    tested.close()
    assert stepped.loss == pytest.approx(loss.item(), abs=LARGEST_DIFFERENCE)
    assert stepped.grad_norm == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"gmp"}))
def test_without_clipping_and_micro_batches_losses_are_equal_bit_for_bit(corpus: Corpus, name: str) -> None:
    """Then every sum is taken in the same order; a norm, over non-zeros here and over zeros too there, is not."""
    config = msgspec.structs.replace(CONFIG, sparsity=ALGORITHMS[name], clip="none")
    dense, _ = _losses(config, corpus, Execution())
    streaming, _ = _losses(config, corpus, Execution(executor="streaming"))
    assert np.array_equal(dense, streaming)


@pytest.mark.parametrize("shape", [LLAMA, ALIBI], ids=["llama", "alibi"])
@pytest.mark.parametrize("algorithm", ["static", "set"])
def test_every_family_of_models_streams(corpus: Corpus, shape: ModelShape, algorithm: str) -> None:
    config = msgspec.structs.replace(CONFIG, shape=shape, sparsity=ALGORITHMS[algorithm])
    dense, _ = _losses(config, corpus, Execution())
    streaming, _ = _losses(config, corpus, Execution(executor="streaming"))
    assert np.abs(dense - streaming).max() <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("execution", [Execution(), Execution(executor="streaming")], ids=["dense", "streaming"])
def test_recomputed_activations_change_nothing(corpus: Corpus, execution: Execution) -> None:
    kept, _ = _losses(CONFIG, corpus, execution)
    recomputed, _ = _losses(CONFIG, corpus, msgspec.structs.replace(execution, recompute="always"))
    assert np.array_equal(kept, recomputed)


def test_a_dense_model_streams_too(corpus: Corpus) -> None:
    config = msgspec.structs.replace(CONFIG, density=1.0)
    dense, _ = _losses(config, corpus, Execution())
    streaming, executor = _losses(config, corpus, Execution(executor="streaming"))
    assert np.abs(dense - streaming).max() <= LARGEST_DIFFERENCE
    assert all(saved.mask is None for saved in executor.saved_parameters().values())


def test_initial_weights_and_masks_are_those_of_the_dense_executor() -> None:
    for draw in ("torch", "philox"):
        config = msgspec.structs.replace(CONFIG, initial_draw=draw)
        dense = _state(make_executor(config))
        streaming = _state(make_executor(msgspec.structs.replace(config, execution=Execution(executor="streaming"))))
        assert dense.keys() == streaming.keys()
        assert all(torch.equal(dense[key], streaming[key]) for key in dense)


def test_bf16_products_stay_near_those_of_autocast(corpus: Corpus) -> None:
    """bfloat16 has 8 bits: a product's error is 2^-9 of it, and the losses, near 5, differ by a few of these."""
    dense, _ = _losses(CONFIG, corpus, Execution(precision="bf16"))
    streaming, _ = _losses(CONFIG, corpus, Execution(executor="streaming", precision="bf16"))
    exact, _ = _losses(CONFIG, corpus, Execution())
    assert np.abs(dense - streaming).max() < 5e-3
    assert 0 < np.abs(streaming - exact).max() < 2e-2


def test_moments_in_bf16_cost_little_and_take_half(corpus: Corpus, tmp_path: Path) -> None:
    exact, _ = _losses(CONFIG, corpus, Execution(executor="streaming"))
    narrow, executor = _losses(CONFIG, corpus, Execution(executor="streaming", moments="bf16"))
    assert 0 < np.abs(exact - narrow).max() < 2e-2
    saved = executor.saved_parameters()["blocks.0.mlp.up.weight"]
    assert {kind: source.dtype for kind, source in saved.numbers.items()} == {
        "model": torch.float32,
        "exp_avg": torch.bfloat16,
        "exp_avg_sq": torch.bfloat16,
    }


def test_moments_in_bf16_refuse_an_average_that_would_not_move() -> None:
    with pytest.raises(SpecError, match=r"betas is \(0\.9, 0\.999\), it must be at most 0\.99 where moments are bf16"):
        msgspec.structs.replace(
            CONFIG, betas=(0.9, 0.999), execution=Execution(executor="streaming", moments="bf16")
        ).__post_init__()


def test_a_store_on_disk_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, sparsity=ALGORITHMS["gmp"])
    in_memory, _ = _losses(config, corpus, Execution(executor="streaming"))
    on_disk, _ = _losses(config, corpus, Execution(executor="streaming", store=str(tmp_path / "store")))
    assert np.array_equal(in_memory, on_disk)
    assert list((tmp_path / "store").glob("*.bin"))


def test_weights_and_gradients_that_cross_to_a_device_are_the_same(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to a GPU, with the processor in its place: what crosses is copied, and nothing is read before it has."""
    config = msgspec.structs.replace(CONFIG, sparsity=ALGORITHMS["rigl"])
    here, _ = _losses(config, corpus, Execution(executor="streaming"))
    monkeypatch.setattr(training.streaming.blocks, "has_own_memory", lambda device: True)
    crossed, _ = _losses(config, corpus, Execution(executor="streaming"))
    assert np.array_equal(here, crossed)


def test_a_filter_beyond_hidden_matrices_is_refused() -> None:
    config = msgspec.structs.replace(
        CONFIG,
        density=1.0,
        sparsity=Static(sparsity=0.5, param_filter="token.*"),
        execution=Execution(executor="streaming"),
    )
    with pytest.raises(SpecError, match=r"param_filter matches token\.weight.*executor = \"dense\""):
        make_executor(config)


def test_a_run_goes_on_under_the_other_executor(corpus: Corpus, tmp_path: Path) -> None:
    """Checkpoints say nothing of the executor, so that a stable run may be branched under another."""
    config = msgspec.structs.replace(CONFIG, schedule="wsd(cooldown=0.5)", kept_checkpoints=(10,))
    straight = train(config, tmp_path / "dense", corpus=corpus)
    branched = train(
        msgspec.structs.replace(config, execution=Execution(executor="streaming")),
        tmp_path / "streaming",
        corpus=corpus,
        branch_from=tmp_path / "dense" / "checkpoints" / "step-00000010.json",
    )
    assert branched.val_loss == pytest.approx(straight.val_loss, abs=LARGEST_DIFFERENCE)


def _losses(config: TrainConfig, corpus: Corpus, execution: Execution) -> tuple[np.ndarray, Executor]:
    config = msgspec.structs.replace(config, execution=execution)
    with deterministic(config.n_threads):
        executor = make_executor(config)
        losses = np.array([executor.step(batch, step).loss for step, batch in enumerate(_batches(config, corpus))])
        held_out = executor.evaluate(list(_batches(config, corpus))[:2])
    executor.close()
    return np.append(losses, held_out), executor


def _batches(config: TrainConfig, corpus: Corpus) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = TrainOrder(corpus.train, config.seq_len, config.seed)
    return (order.batch(step * config.batch_size, config.batch_size) for step in range(config.n_steps))


def _state(executor: Executor) -> dict[str, torch.Tensor]:
    """All that a checkpoint would hold, masks as numbers."""
    state = {}
    for name, saved in executor.saved_parameters().items():
        for kind, source in saved.numbers.items():
            state[f"{kind}.{name}"] = torch.cat([piece.flatten() for piece in source.pieces()])
        if saved.mask is not None:
            state[f"mask.{name}"] = torch.from_numpy(unpacked(saved.mask, saved.shape))
    return state
