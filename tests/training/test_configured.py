"""A configuration of Cerebras ModelZoo trains as it says: learning rates of every step, AdamW's numbers, masks."""

import math
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from models.build import build_model
from tests.spec.model_zoo.published import ALL, PAIR, Row, configuration
from tests.training.test_proxy import PROFILE
from training.choice import choose_run
from training.config import TrainConfig
from training.configured import job_from_configuration
from training.itself import config_of_itself
from training.job import Job, read_job, write_job
from training.schedules import lr_factors, warmup_steps
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.configuration import Configuration
from wse_sim.spec.configuration_text import configuration_text
from wse_sim.spec.read_configuration import read_configuration
from wse_sim.spec.sparsity import SPDF, RigL, Update
from wse_sim.spec.sparsity.hyper import Cosine

# Both formulas have a few roundings of a double; no more.
ROUNDING = 1e-13

Floats = npt.NDArray[np.float64]
factors = cache(lr_factors)  # several files have one schedule


def published(row: Row) -> Floats:
    """Learning rates by the formulas of Cerebras PyTorch's LinearLR and CosineDecayLR, one after the other."""
    step = np.arange(row.run or row.steps, dtype=np.float64)
    into = np.clip((step - row.warmup) / (row.steps - row.warmup), 0.0, 1.0)
    left = 1.0 - into if row.decay == "linear" else (1.0 + np.cos(math.pi * into)) / 2.0
    decayed = row.end + (row.peak - row.end) * left
    return np.where(step < row.warmup, row.peak * step / row.warmup, decayed)


def of(said: Configuration, n_steps: int | None = None) -> Floats:
    training, base = said.training, said.base
    assert base is not None
    n_steps = said.n_steps if n_steps is None else n_steps
    warmup = warmup_steps(training.warmup, n_steps=n_steps, tokens_per_step=1)
    return base.peak_lr * factors(training.schedule, n_steps, warmup, training.first_step_lr)


@pytest.mark.parametrize(("name", "row"), ALL.items())
def test_every_step_has_the_learning_rate_of_the_file(name: str, row: Row) -> None:
    found, expected = of(configuration(name)), published(row)
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING * row.peak)
    assert (found[0], found[row.warmup]) == (0.0, row.peak)


def test_the_pair_of_vspdf_follows_both_schedules() -> None:
    rates = of(configuration(*PAIR))
    first, second = (published(ALL[name]) for name in PAIR)
    assert rates == pytest.approx(np.concatenate([first, second]), rel=ROUNDING, abs=ROUNDING * 3.6e-4)


def test_a_shorter_run_has_the_same_learning_rate_at_the_same_fraction() -> None:
    said = configuration("13b_bs720")
    whole, short = of(said), of(said, 570)
    assert short == pytest.approx(whole[::100], rel=1e-9, abs=1e-9 * 1.2e-4)


def config_of(said: Configuration, mode: str = "full", **given: object) -> TrainConfig:
    return config_of_itself(job_from_configuration(said, mode=mode, **given), PROFILE)


def test_the_model_itself_takes_every_number_of_the_file() -> None:
    said = configuration("125m_rigl75")
    config = config_of(said)
    assert (config.n_steps, config.batch_size, config.seq_len) == (4778, 256, 2048)
    assert (config.betas, config.eps, config.weight_decay, config.clip) == ((0.9, 0.95), 1e-8, 0.1, 1.0)
    assert (config.n_warmup_steps, config.schedule, config.first_step_lr) == (716, "cosine_10x", "zero")
    assert (config.parametrization, config.base.peak_lr, config.base.init_std) == ("sp", 6e-4, 0.02)
    assert (config.eval_interval, config.checkpoint_interval, config.log_interval) == (956, 956, 50)
    assert (config.execution.precision, config.n_eval_sequences) == ("bf16", 256)
    assert config.sparsity == RigL(drop_fraction=Cosine(init=0.3, half_period=3584), update=Update(freq=100, stop=3584))
    (group,) = config.sparsity_plan.groups
    assert list(group.steps) == list(range(0, 3584, 100))
    assert set(config.sparsity_plan.densities.values()) == {0.25}
    dense = config_of(configuration("6p7b"), "dense")
    assert (dense.n_steps, dense.batch_size, dense.eps, dense.density) == (62_522, 1040, 1e-9, 1.0)


def test_what_is_given_beside_the_file_wins() -> None:
    said = configuration("125m_rigl75")
    config = config_of(said, steps=478, density=0.5, clip="none", precision="fp32", peak_lr=1e-3, data="markov", seed=3)
    assert (config.n_steps, config.density, config.clip, config.execution.precision) == (478, 0.5, "none", "fp32")
    assert (config.base.peak_lr, config.data, config.seed, config.n_warmup_steps) == (1e-3, "markov", 3, 72)
    assert isinstance(config.sparsity, RigL)
    assert config.sparsity.update is not None
    assert config.sparsity.update.freq == 10
    assert list(config.sparsity_plan.groups[0].steps)[-1] == 350
    static = config_of(said, sparsity_algorithm="static")
    assert (static.sparsity_plan.is_dynamic, static.density) == (False, 0.25)
    cosine = config_of(configuration("13b_bs720"), schedule="linear")
    assert (cosine.schedule, cosine.n_warmup_steps) == ("linear", 254)
    half = config_of(configuration("111m"), batch_size=60)
    assert (half.batch_size, half.n_steps, half.n_warmup_steps) == (60, 2 * 9_037, 2 * 1_525)


def test_a_proxy_has_the_schedule_density_masks_and_tokens_of_the_file() -> None:
    said = configuration("125m_rigl75")
    choice = choose_run(job_from_configuration(said, mode="proxy"), PROFILE)
    config = choice.config
    assert (choice.mode, config.density, config.schedule, config.first_step_lr) == ("proxy", 0.25, "cosine_10x", "zero")
    assert config.n_warmup_steps == round(716 * config.n_steps / 4778)
    assert isinstance(config.sparsity, RigL)
    assert config.sparsity.update is not None
    assert config.sparsity.update.freq == max(1, round(100 * config.n_steps / 4778))
    assert config.sparsity.update.stop == 3584 / 4778
    assert any("data_dir" in gap for gap in choice.not_covered)
    by_pieces = choose_run(job_from_configuration(configuration(*PAIR), mode="proxy"), PROFILE).config
    assert by_pieces.sparsity == SPDF(lift_at=62_523 / 71_902)
    assert by_pieces.schedule.startswith("segments(of=71902,")


def test_a_model_that_fits_the_budget_trains_itself_without_being_asked() -> None:
    said = configuration("tiny_rigl")
    recipe = msgspec.structs.replace(said.recipe, clip=0.5)
    choice = choose_run(job_from_configuration(msgspec.structs.replace(said, recipe=recipe)), PROFILE)
    config = choice.config
    assert (choice.mode, config.n_steps, config.batch_size, config.clip) == ("dense", 20, 4, 0.5)
    assert (config.eval_interval, config.n_warmup_steps, config.base) == (10, 4, said.base)


def test_mup_trains_from_the_base_of_the_file() -> None:
    said = configuration("111m_mup")
    config = config_of(said)
    assert config.parametrization == "mup"
    assert config.base == said.base
    small = msgspec.structs.replace(config.shape, n_layers=1, vocab_size=300, seq_len=16)
    built = build_model(
        small, config.parameters_transfer_by, seed=0, density=1.0, weight_decay=config.weight_decay, eps=config.eps
    )
    rows = {row.name: row for row in built.table}
    assert rows["blocks.0.attention.qkv.weight"].lr == pytest.approx(6e-3 / 3, rel=1e-15)
    assert rows["token.weight"].lr == 6e-3
    assert rows["blocks.0.mlp.up.weight"].init_std == pytest.approx(0.08 / math.sqrt(3), rel=1e-15)
    assert rows["blocks.0.mlp.down.weight"].init_std == pytest.approx(0.08 / math.sqrt(3 * 2), rel=1e-15)
    assert (built.model.multipliers.embedding, built.model.multipliers.logits) == (10.0, 1 / 3)


def test_initial_weights_of_residual_outputs_are_the_files() -> None:
    config = config_of(configuration("1p3b"))
    rows = build_model(
        msgspec.structs.replace(config.shape, d_model=16, n_heads=1, d_ff=64, vocab_size=300, seq_len=16),
        config.parameters_transfer_by, seed=0, density=1.0, weight_decay=0.1, eps=1e-8,
    ).table  # fmt: skip
    stds = {row.name: row.init_std for row in rows}
    assert stds["blocks.5.attention.out.weight"] == pytest.approx(0.0025, rel=1e-15)  # 24 layers: not 0.02/sqrt(48)
    assert stds["blocks.5.attention.qkv.weight"] == 0.02


def test_a_job_in_a_folder_is_the_job_of_the_file(tmp_path: Path) -> None:
    for name in ("125m_rigl75", "111m_mup", "13b_bs720"):
        job = job_from_configuration(configuration(name), mode="full", steps=5)
        write_job(job, tmp_path / name)
        assert read_job(tmp_path / name) == job
    assert len(job_from_configuration(configuration(*PAIR)).name) < 150


def test_the_equivalent_toml_makes_the_identical_run(tmp_path: Path) -> None:
    def job_of(said: Configuration) -> Job:
        return job_from_configuration(said, mode="full")

    for names in (("125m_rigl75",), ("2p7b_mup",), PAIR):
        said = configuration(*names)
        path = tmp_path / "run.toml"
        path.write_text(configuration_text(said), encoding="utf-8")
        again = read_configuration([str(path)]).configuration
        assert job_of(again) == job_of(said)
        assert config_of(again) == config_of(said)


def test_a_sparse_file_trains_and_ends_on_its_learning_rate_and_masks(tmp_path: Path) -> None:
    config = config_of(configuration("tiny_rigl"), "dense", data="markov")
    record = train(config, tmp_path / "run")
    assert len(record.rows) == 20
    expected = published(Row(64, 2, 2, 256, 4, 20, 4, 6e-3, 6e-4, "cosine"))
    assert [row.lr for row in record.rows] == pytest.approx(expected, rel=1e-12)
    assert [update.step for update in record.mask_updates] == [5, 10]
    assert record.rows[-1].density == 0.25
    assert record.rows[-1].loss < record.rows[0].loss - 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sparsity_algorithm": "rigl", "density": 1.0}, "nothing to mask at density 1"),
        ({"mask_update_steps": 5}, "name the --sparsity-algorithm too"),
        ({"sparsity_algorithm": "static", "mask_update_steps": 5}, "static masks never change"),
        ({"schedule": "lnear"}, "did you mean 'linear'"),
        ({"parametrization": "completep"}, "unknown parametrization 'completep'"),
        ({"num_csx": 7}, "batch_size 256 is not a multiple of num_csx 7"),
        ({"steps": 5}, "steps is 5, but a run in mode auto has its own"),
    ],
)
def test_what_does_not_go_with_a_file_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        job_from_configuration(configuration("125m_rigl75"), **given)


def test_a_file_that_would_train_as_something_else_is_refused() -> None:
    said = configuration("111m")
    training = msgspec.structs.replace(said.training, cannot_train=("the optimizer is SGD",))
    with pytest.raises(SpecError, match="111m cannot be trained as it is configured: the optimizer is SGD"):
        job_from_configuration(msgspec.structs.replace(said, training=training))
