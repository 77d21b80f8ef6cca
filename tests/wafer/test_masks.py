"""A trained run's masks reach the mesh: exactly where the shapes agree, by their unevenness where they do not."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from models.gpt import GPT
from models.masks import MASK_SUFFIX
from models.multipliers import ForwardMultipliers
from models.sparse import add_masks, hidden_densities, random_masks
from tests.wafer.meshes import CS2, MANY_TOKENS, tiny
from training.checkpoint import save_checkpoint
from training.config import TrainConfig
from training.data import Fingerprint
from training.dense import saved_parameters
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.wafer.dataflow import drawn_work, mask_work
from wse_sim.wafer.masks import RunMasks, read_run_masks, real_share, relative_density, stretched_counts
from wse_sim.workload.transformer import Matrix, linear_matrices

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=16, n_heads=2, d_ff=64, vocab_size=256, seq_len=8)
FINGERPRINT = Fingerprint(source="none", n_files=0, n_bytes=0, sha256="")


LLAMA = msgspec.structs.replace(
    SHAPE, n_heads=4, n_kv_heads=1, feed_forward="swiglu", norm="rmsnorm", positions="rotary", has_biases=False
)


def train_nothing(run_dir: Path, density: float, step: int = 3, only: str = "", shape: ModelShape = SHAPE) -> GPT:
    """A run folder with one checkpoint, written by the trainer, of a model that is only initialized and masked."""
    model = GPT(shape, ForwardMultipliers(embedding=1.0, attention_scale=1.0, logits=1.0))
    densities = {name: of for name, of in hidden_densities(model, density).items() if only in name}
    masks = add_masks(model, random_masks(model, 0, densities))
    save_checkpoint(
        run_dir,
        saved_parameters(model, masks, torch.optim.AdamW(model.parameters())),
        step=step,
        host_s=0.0,
        config=TrainConfig(shape=shape, n_steps=step, batch_size=1, seq_len=8, density=density),
        data=FINGERPRINT,
    )
    return model


def uniform(n_out: int, n_in: int, density: float, seed: int) -> np.ndarray:
    mask = np.zeros(n_out * n_in, bool)
    mask[np.random.default_rng(seed).choice(mask.size, int(density * mask.size), replace=False)] = True
    return mask.reshape(n_out, n_in)


def uneven(n_out: int, n_in: int, density: float, spread: float, seed: int) -> np.ndarray:
    """Columns whose densities scatter by `spread` of the mean, as pruning by magnitude leaves them."""
    rng = np.random.default_rng(seed)
    columns = np.clip(density * (1 + spread * rng.standard_normal(n_in)), 0.0, 1.0)
    return rng.random((n_out, n_in)) < columns


def test_masks_are_read_as_the_trainer_wrote_them(tmp_path: Path) -> None:
    model = train_nothing(tmp_path, 0.25)
    run = read_run_masks(tmp_path)
    assert (run.step, len(run.blocks), run.density) == (3, 2, 0.25)
    for number, block in enumerate(run.blocks):
        trained = model.blocks[number]
        qkv = trained.attention.qkv.weight_mask.numpy()
        assert np.array_equal(np.concatenate([block["q"], block["k"], block["v"]]), qkv)
        assert np.array_equal(block["attention_out"], trained.attention.out.weight_mask.numpy())
        assert np.array_equal(block["ffn_in"], trained.mlp.up.weight_mask.numpy())
        assert np.array_equal(block["ffn_out"], trained.mlp.down.weight_mask.numpy())


def test_every_matrix_of_a_block_has_a_mask_of_its_shape(tmp_path: Path) -> None:
    model = train_nothing(tmp_path, 0.5)
    run = read_run_masks(tmp_path)
    for block in run.blocks:
        assert {name: mask.shape for name, mask in block.items()} == {
            matrix.name: (matrix.n_out, matrix.n_in) for matrix in linear_matrices(SHAPE)
        }
    n_read = sum(mask.size for block in run.blocks for mask in block.values())
    assert n_read == sum(mask.numel() for name, mask in model.named_buffers() if name.endswith(MASK_SUFFIX))


@pytest.mark.parametrize(("n_kv_heads", "only"), [(1, ""), (2, ""), (4, ""), (2, "attention.qkv"), (2, "mlp.up")])
def test_grouped_keys_and_gates_have_their_own_masks(n_kv_heads: int, only: str, tmp_path: Path) -> None:
    shape = msgspec.structs.replace(LLAMA, n_kv_heads=n_kv_heads)
    model = train_nothing(tmp_path, 0.25, only=only, shape=shape)
    run = read_run_masks(tmp_path)
    d, kv, n_live = 16, 4 * n_kv_heads, 0
    for number, block in enumerate(run.blocks):
        trained = model.blocks[number]
        of = {
            name: getattr(linear, "weight_mask", torch.ones_like(linear.weight, dtype=torch.bool)).numpy()
            for name, linear in trained.named_modules()
            if isinstance(linear, torch.nn.Linear)
        }
        qkv = of["attention.qkv"]
        expected = {
            "q": qkv[:d],
            "k": qkv[d : d + kv],
            "v": qkv[d + kv :],
            "attention_out": of["attention.out"],
            "ffn_gate": of["mlp.gate"],
            "ffn_up": of["mlp.up"],
            "ffn_out": of["mlp.down"],
        }
        assert {name: mask.shape for name, mask in block.items()} == {
            matrix.name: (matrix.n_out, matrix.n_in) for matrix in linear_matrices(shape)
        }
        for name, mask in expected.items():
            assert np.array_equal(run.mask(number, name), mask)
            assert run.density_of(name, number) == mask.sum() / mask.size
        n_live += sum(int(mask.sum()) for mask in of.values())
    assert run.density == n_live / sum(mask.size for block in run.blocks for mask in block.values())


def test_a_matrix_without_a_mask_among_masked_ones_is_dense(tmp_path: Path) -> None:
    train_nothing(tmp_path, 0.25, only="blocks.1.mlp.up")
    first, second = read_run_masks(tmp_path).blocks
    assert second["ffn_in"].mean() == 0.25
    assert all(mask.all() for name, mask in second.items() if name != "ffn_in")
    assert {name: mask.shape for name, mask in first.items()} == {
        m.name: (m.n_out, m.n_in) for m in linear_matrices(SHAPE)
    }
    assert all(mask.all() for mask in first.values())


def test_the_newest_whole_checkpoint_is_read(tmp_path: Path) -> None:
    train_nothing(tmp_path, 0.5, step=3)
    train_nothing(tmp_path, 0.25, step=10)
    assert read_run_masks(tmp_path).step == 10
    (tmp_path / "checkpoints" / "step-00000010.json").unlink()
    assert read_run_masks(tmp_path).step == 3


def test_a_folder_without_checkpoints_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no checkpoint"):
        read_run_masks(tmp_path)


def test_a_dense_run_is_told_to_be_dense(tmp_path: Path) -> None:
    train_nothing(tmp_path, 1.0)
    with pytest.raises(SpecError, match="the run is dense"):
        read_run_masks(tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    train_nothing(tmp_path, 0.5)
    (tmp_path / "checkpoints" / "step-00000003.safetensors").write_bytes(b"torn")
    with pytest.raises(SpecError, match=r"step-00000003\.safetensors: the checkpoint cannot be read"):
        read_run_masks(tmp_path)


def test_a_mask_of_the_same_shape_is_taken_as_it_is(tmp_path: Path) -> None:
    train_nothing(tmp_path, 0.25)
    run = read_run_masks(tmp_path)
    for matrix in linear_matrices(SHAPE):
        mask = run.blocks[1][matrix.name]
        mesh = tiny(4)
        assert run.work(matrix, 1, mesh, 8, seed=0) == mask_work(mask, mesh, 8)
        assert run.work(matrix, 1, mesh, 8, seed=0, transposed=True) == mask_work(mask.T, mesh, 8)


def test_blocks_are_spread_over_the_depth_and_gates_take_the_mask_of_the_feed_forward() -> None:
    blocks = tuple({"ffn_in": uniform(64, 16, density, 0)} for density in (0.25, 0.5))
    run = RunMasks(step=1, blocks=blocks)
    assert [run.trained_block(block, 5) for block in range(5)] == [0, 0, 0, 1, 1]
    assert np.array_equal(run.mask(1, "ffn_gate"), blocks[1]["ffn_in"])
    gate = Matrix(name="ffn_gate", n_out=512, n_in=128)
    assert [run.work(gate, block, tiny(32), 8, seed=0).density for block in (0, 1)] == [0.25, 0.5]
    assert [run.density_of("ffn_gate", block) for block in (0, 1)] == [0.25, 0.5]


def test_a_feed_forward_without_a_gate_takes_the_mask_of_what_a_gate_lets_through() -> None:
    run = RunMasks(step=1, blocks=({"ffn_gate": uniform(64, 16, 0.25, 0), "ffn_up": uniform(64, 16, 0.5, 0)},))
    assert [run.density_of(name, 0) for name in ("ffn_gate", "ffn_up", "ffn_in")] == [0.25, 0.5, 0.5]
    assert run.work(Matrix(name="ffn_in", n_out=512, n_in=128), 0, tiny(32), 8, seed=0).density == 0.5


def test_densities_are_the_exact_means_of_the_masks() -> None:
    blocks = tuple({"q": uneven(33, 17, 0.3, 0.3, seed), "ffn_in": uneven(64, 17, 0.3, 0.3, seed)} for seed in (0, 1))
    run = RunMasks(step=1, blocks=blocks)
    for number, block in enumerate(blocks):
        assert {name: run.density_of(name, number) for name in block} == {name: m.mean() for name, m in block.items()}
    assert run.density == np.concatenate([mask.ravel() for block in blocks for mask in block.values()]).mean()


def test_an_even_mask_scales_to_a_drawn_one() -> None:
    """A 96-wide proxy of a 2560-wide layer: its chance must not be blown up into structure."""
    run = RunMasks(step=1, blocks=tuple({"q": uniform(96, 96, 0.25, seed)} for seed in range(2)))
    assert run.spreads("q") == (0.0, 0.0)
    q = Matrix(name="q", n_out=2560, n_in=2560)
    work, drawn = run.work(q, 0, CS2, MANY_TOKENS, seed=0), drawn_work(2560, 2560, 0.25, CS2, MANY_TOKENS, 0, "q")
    assert work.density == drawn.density
    # Two draws of one law, each with a standard deviation of 0.6 %.
    assert work.work_ratio == pytest.approx(drawn.work_ratio, rel=0.03)


def test_chance_is_not_taken_for_structure() -> None:
    shares = [real_share([uniform(32, 32, 0.125, seed)]) for seed in range(200)]
    assert shares == [0.0] * 200


@pytest.mark.parametrize("spread", [0.2, 0.4])
def test_structure_is_measured_apart_from_chance(spread: float) -> None:
    """The share of the deviation that is real gives back the spread that the columns were drawn with."""
    masks = [uneven(384, 96, 0.25, spread, seed) for seed in range(4)]
    share = real_share(masks)
    measured = np.mean([relative_density(mask, share).std() for mask in masks])
    assert measured == pytest.approx(spread, rel=0.15)
    assert real_share([mask.T for mask in masks]) == 0.0  # the rows are even


def test_an_uneven_mask_costs_at_full_size_what_a_full_size_uneven_mask_costs() -> None:
    """Drawn from the unevenness of a 96-wide proxy: within 10 % of a mask drawn uneven at full size."""
    proxy = RunMasks(step=1, blocks=tuple({"q": uneven(96, 96, 0.25, 0.4, seed)} for seed in range(2)))
    q = Matrix(name="q", n_out=1536, n_in=1536)
    scaled = [proxy.work(q, block, CS2, MANY_TOKENS, seed=seed).imbalance for seed in range(5) for block in range(2)]
    full = [mask_work(uneven(1536, 1536, 0.25, 0.4, seed), CS2, MANY_TOKENS).imbalance for seed in range(5)]
    even = drawn_work(1536, 1536, 0.25, CS2, MANY_TOKENS, 0, "q").imbalance
    assert np.mean(full) > 1.2 * even
    assert np.mean(scaled) == pytest.approx(np.mean(full), rel=0.1)


def test_stretched_counts_keep_the_total_and_the_shape() -> None:
    mask = uneven(24, 12, 0.3, 0.5, 0)
    counts = stretched_counts(mask, (100, 50), 8, 30, np.random.default_rng(0), spreads=(1.0, 1.0))
    assert counts.shape == (4, 7)
    assert counts.sum() == mask.sum() * 100 * 50 // mask.size


def test_rows_and_columns_change_places_in_the_transposed_product() -> None:
    """Uneven columns slow the forward product; in the transposed one they are rows, which windows average out."""
    run = RunMasks(step=1, blocks=tuple({"q": uneven(192, 192, 0.25, 0.5, seed)} for seed in range(4)))
    q = Matrix(name="q", n_out=768, n_in=768)
    forward, backward = (run.work(q, 0, CS2, MANY_TOKENS, seed=0, transposed=t).imbalance for t in (False, True))
    assert forward > 1.2 * backward
