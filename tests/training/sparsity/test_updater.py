"""Masks change at their steps, exactly, and a run that was stopped goes on as if it had not been."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from models.build import build_model
from models.masks import unpacked
from models.parametrization import BASES, Parametrization
from training.checkpoint import load_latest
from training.config import TrainConfig
from training.data import Corpus
from training.dense import MaskedParameters, keep_gradients
from training.interrupt import Interrupted
from training.optimizer import build_optimizer, compute_gradient, set_lr
from training.run_record import SPARSITY_FILE, Row, RunRecord, read_mask_updates
from training.sparsity.updater import MaskUpdater
from training.trainer import train
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import GMP, SET, SPDF, Algorithm, RigL, Static, Update, group
from wse_sim.workload.sparsity import exact_nonzeros

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=128, vocab_size=256, seq_len=16)
UPDATE = Update(freq=4, stop=0.75)
ALGORITHMS: dict[str, Algorithm | tuple[Algorithm, ...]] = {
    "gmp": GMP(update=UPDATE),
    "set": SET(update=UPDATE),
    "rigl": RigL(update=UPDATE),
    "rigl-erk-cycling": RigL(update=UPDATE, distribution="erk", drop_fraction=(0.1, 0.2, 0.3)),
    "rigl-balanced": RigL(update=UPDATE, balance_in_groups=4),
    "set-late": SET(update=Update(freq=4, start=4)),
    "spdf": SPDF(lift_at=8),
    "group": group({"*mlp*": RigL(update=UPDATE), "*attention*": Static()}),
}
CONFIG = TrainConfig(
    shape=SHAPE,
    density=0.25,
    n_steps=16,
    batch_size=2,
    seq_len=16,
    eval_interval=8,
    n_eval_sequences=4,
    log_interval=1,
    checkpoint_interval=100,
    data="markov",
)


@pytest.fixture(scope="module")
def runs(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    """One whole run of each algorithm."""
    return {name: train(_config(name), tmp_path_factory.mktemp(name), corpus=corpus) for name in ALGORITHMS}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_update_leaves_exactly_the_weights_that_its_target_says(runs: dict[str, RunRecord], name: str) -> None:
    record = runs[name]
    expected = {"spdf": [8], "set-late": [4, 8, 12]}.get(name, [4, 8])
    assert [update.step for update in record.mask_updates] == expected
    for update in record.mask_updates:
        for tensor_name, tensor in update.tensors.items():
            n_weights = math.prod(record.config.sparsity_plan.hidden[tensor_name])
            assert tensor.density == exact_nonzeros(n_weights, tensor.density_target) / n_weights
            assert tensor.density <= tensor.itop_rate <= 1.0
        assert update.n_grown == sum(tensor.n_grown for tensor in update.tensors.values())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_pruned_at_the_end_is_zero_in_weights_and_moments(runs: dict[str, RunRecord], name: str) -> None:
    checkpoint, _ = load_latest(runs[name].run_dir)
    assert checkpoint is not None
    masks = checkpoint.masks
    assert len(masks) == 8
    for own, mask in masks.items():
        for kind in ("model", "exp_avg", "exp_avg_sq"):
            assert torch.all(checkpoint.dense(kind, own)[~torch.from_numpy(mask)] == 0)
    n_live = sum(int(mask.sum()) for mask in masks.values())
    assert runs[name].rows[-1].density == pytest.approx(n_live / runs[name].config.sparsity_plan.n_hidden)


@pytest.mark.parametrize("name", ["set", "rigl", "rigl-erk-cycling", "rigl-balanced"])
def test_at_a_constant_density_as_many_grow_as_are_dropped(runs: dict[str, RunRecord], name: str) -> None:
    assert all(update.n_dropped == update.n_grown > 0 for update in runs[name].mask_updates)


def test_in_time_overparameterization_counts_what_ever_lived(runs: dict[str, RunRecord]) -> None:
    record = runs["set"]
    checkpoint, _ = load_latest(record.run_dir)
    assert checkpoint is not None
    ever_live, masks = checkpoint.ever_live, checkpoint.masks
    lived = {name: unpacked(bits, masks[name].shape) for name, bits in ever_live.items()}
    assert all(np.all(lived[name] >= mask) for name, mask in masks.items())
    share = sum(map(np.count_nonzero, lived.values())) / record.config.sparsity_plan.n_hidden
    rates = [update.itop_rate for update in record.mask_updates]
    assert rates[-1] == pytest.approx(share)
    assert 0.25 < rates[0] < rates[1] <= 0.25 * (1 + 0.3 + 0.3)


def test_density_of_gmp_falls_along_the_rows_and_that_of_spdf_is_lifted(runs: dict[str, RunRecord]) -> None:
    gmp = [row.density for row in runs["gmp"].rows]
    assert gmp == [1.0] * 3 + [0.25 + 0.75 / 8] * 4 + [0.25] * 9
    spdf = [row.density for row in runs["spdf"].rows]
    assert spdf == [0.25] * 7 + [1.0] * 9
    assert runs["spdf"].n_nonzero_params == runs["spdf"].n_params


def test_lifted_weights_train(runs: dict[str, RunRecord]) -> None:
    checkpoint, _ = load_latest(runs["spdf"].run_dir)
    assert checkpoint is not None
    assert torch.all(checkpoint.dense("model", "blocks.0.mlp.up.weight") != 0)


def test_only_the_matched_tensors_of_a_group_change(runs: dict[str, RunRecord]) -> None:
    for update in runs["group"].mask_updates:
        assert all("mlp" in name for name in update.tensors)
        assert len(update.tensors) == 4


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("stopped_after", [3, 4, 5, 8])
def test_a_run_stopped_around_an_update_goes_on_bit_for_bit(
    runs: dict[str, RunRecord], corpus: Corpus, tmp_path: Path, name: str, stopped_after: int
) -> None:
    config = _config(name)

    def stop(row: Row) -> None:
        if row.step == stopped_after:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        train(config, tmp_path, corpus=corpus, on_step=stop)
    resumed = train(config, tmp_path, corpus=corpus, resume=True)
    assert resumed.checkpoint.read_bytes() == runs[name].checkpoint.read_bytes()
    assert resumed.mask_updates == runs[name].mask_updates
    assert read_mask_updates(tmp_path / SPARSITY_FILE) == list(runs[name].mask_updates)


def test_a_static_run_writes_no_mask_updates(corpus: Corpus, tmp_path: Path) -> None:
    record = train(msgspec.structs.replace(CONFIG, n_steps=2), tmp_path, corpus=corpus)
    assert record.mask_updates == ()
    assert not (tmp_path / SPARSITY_FILE).exists()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_pruned_gradient_that_is_no_number_neither_harms_nor_grows(bad: float) -> None:
    """Under RigL, which looks at pruned gradients, the poisoned places are the last to be grown."""
    plan = msgspec.structs.replace(CONFIG, sparsity=RigL(update=Update(freq=2))).sparsity_plan
    built = build_model(
        SHAPE,
        Parametrization(name="smupar", base=BASES["bytes-64"]),
        seed=0,
        density=plan.densities,
        weight_decay=0.1,
        eps=1e-8,
        start_masks=lambda model: plan.start_masks(model, 0),
    )
    optimizer = build_optimizer(built.model, built.table, betas=(0.9, 0.95))
    set_lr(optimizer, 1.0)
    name = "blocks.0.mlp.up.weight"
    poisoned = torch.zeros(128, 32, dtype=torch.bool)
    poisoned[:64] = True
    poisoned &= ~built.masks.mask(name)
    built.masks.weight(name).register_hook(lambda gradient: torch.where(poisoned, bad, gradient))
    updater = MaskUpdater(plan, MaskedParameters(built.masks, optimizer), seed=0)
    bytes_BT = torch.randint(0, 256, (2, 17), generator=torch.Generator().manual_seed(0))
    for step in (1, 2):
        _, norm = compute_gradient(
            built.model,
            built.masks,
            optimizer,
            (bytes_BT[:, :-1], bytes_BT[:, 1:]),
            clip=1.0,
            on_dense_gradient=lambda step=step: keep_gradients(updater, built.masks, step),  # type: ignore[misc]
        )
        assert np.isfinite(norm)
        optimizer.step()
        update = updater.update(step)
    assert update is not None
    assert update.tensors[name].n_grown > 0
    assert not torch.any(built.masks.mask(name) & poisoned)
    assert all(torch.isfinite(weight).all() for weight in built.model.parameters())


def test_rigl_grows_where_the_dense_gradient_was_largest() -> None:
    record = _one_rigl_update()
    name, before, after, gradient = record
    grown, candidates = after & ~before, ~after & ~before
    assert grown.any(), name
    assert gradient[grown].min() >= gradient[candidates].max()


def test_masks_are_the_same_in_every_process_and_for_every_rank_count() -> None:
    """Nothing but seed, name and update number enters, so a rank that is asked for fewer tensors draws the same."""
    code = (
        "from tests.training.sparsity.test_updater import set_masks_after_an_update as masks\n"
        "print(sorted((name, mask.tobytes().hex()) for name, mask in masks(reverse=True).items()))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = set_masks_after_an_update(reverse=False)
    assert elsewhere == str(sorted((name, mask.tobytes().hex()) for name, mask in here.items()))


def set_masks_after_an_update(*, reverse: bool) -> dict[str, np.ndarray]:
    """Masks after one update of SET on weights that no training touched, its tensors taken in either order."""
    config = msgspec.structs.replace(CONFIG, sparsity=SET(update=Update(freq=2)))
    plan = config.sparsity_plan
    shapes = plan.groups[0].shapes
    order = sorted(shapes, reverse=reverse)
    reordered = dataclasses.replace(plan.groups[0], shapes={name: shapes[name] for name in order})
    plan = dataclasses.replace(plan, groups=(reordered,))
    built = build_model(
        SHAPE,
        config.parameters_transfer_by,
        seed=0,
        density=plan.densities,
        weight_decay=0.1,
        eps=1e-8,
        start_masks=lambda model: plan.start_masks(model, 0),
    )
    optimizer = build_optimizer(built.model, built.table, betas=(0.9, 0.95))
    for weight in built.model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    MaskUpdater(plan, MaskedParameters(built.masks, optimizer), seed=0).update(2)
    return {name: built.masks.mask(name).numpy() for name in built.masks}


def _one_rigl_update() -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """A tensor's name, its mask before and after an update, and |gradient| without masks, by a plain backward pass."""
    config = msgspec.structs.replace(CONFIG, sparsity=RigL(update=Update(freq=1)))
    plan = config.sparsity_plan
    built = build_model(
        SHAPE,
        config.parameters_transfer_by,
        seed=0,
        density=plan.densities,
        weight_decay=0.1,
        eps=1e-8,
        start_masks=lambda model: plan.start_masks(model, 0),
    )
    name = "blocks.1.attention.qkv.weight"
    bytes_BT = torch.randint(0, 256, (2, 17), generator=torch.Generator().manual_seed(0))
    batch = (bytes_BT[:, :-1], bytes_BT[:, 1:])
    gradient = torch.autograd.grad(built.model.loss(*batch), built.masks.weight(name))[0].abs().numpy()
    before = built.masks.mask(name).numpy().copy()
    optimizer = build_optimizer(built.model, built.table, betas=(0.9, 0.95))
    set_lr(optimizer, 1.0)
    updater = MaskUpdater(plan, MaskedParameters(built.masks, optimizer), seed=0)
    compute_gradient(
        built.model,
        built.masks,
        optimizer,
        batch,
        1.0,
        on_dense_gradient=lambda: keep_gradients(updater, built.masks, 1),
    )
    optimizer.step()
    updater.update(1)
    return name, before, built.masks.mask(name).numpy(), gradient


def _config(name: str) -> TrainConfig:
    return msgspec.structs.replace(CONFIG, sparsity=ALGORITHMS[name])
