"""From run directories to a law: what may be mixed, which law the rows support, what it predicts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.laws.run_directories import CORPUS, shape_of, write_grid, write_run
from wse_sim.errors import SpecError
from wse_sim.laws.chinchilla import ChinchillaLaw
from wse_sim.laws.observation import Observation, Sample, rows_of
from wse_sim.laws.power_law import PowerLaw
from wse_sim.laws.projection import Projection, project
from wse_sim.laws.sparse import SparseLaw
from wse_sim.report.scaling import read_observation
from wse_sim.spec.load import load_model
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import linear_weights, n_parameters

POWER_LAW = PowerLaw(flops_scale=1e15, exponent=0.15, irreducible=0.5)
CHINCHILLA_LAW = ChinchillaLaw(
    irreducible=0.6, size_factor=40.0, size_exponent=0.35, data_factor=60.0, data_exponent=0.3
)
SPARSE_LAW = SparseLaw(a_s=0.4, b_s=0.8, c_s=1.2, b_n=0.25, e=0.0, b_d=0.0, c=0.5, nonzeros_unit=1e6, data_unit=1e6)
TARGET = shape_of(512)
FEW = 20


def by_power(sample: Sample, seed: int) -> float:
    return float(POWER_LAW.loss(sample.flops("paper"))) * (1 + 0.004 * np.cos(7.0 * seed + sample.shape.d_model))


def by_chinchilla(sample: Sample, seed: int) -> float:
    return float(CHINCHILLA_LAW.loss(*sample.inputs(("parameters", "tokens"), "paper")))


def by_density(sample: Sample, seed: int) -> float:
    return float(SPARSE_LAW.loss(*sample.inputs(("density", "nonzeros", "data"), "paper")))


def observations(run_dirs: list[Path]) -> list[Observation]:
    return [read_observation(run_dir) for run_dir in run_dirs]


def projected(run_dirs: list[Path], **given: Any) -> Projection:
    return project(observations(run_dirs), TARGET, n_replicates=FEW, **given)


def test_power_law_through_dense_runs_predicts_the_loss_of_a_larger_one(tmp_path: Path) -> None:
    result = projected(write_grid(tmp_path, by_power, seeds=(0, 1, 2)))
    assert result.law.name == "power"
    assert (result.law.n_rows, result.law.n_runs) == (5, 15)
    flops = training_flops_per_token(TARGET, 64, convention="paper") * 20 * n_parameters(TARGET)
    truth = float(POWER_LAW.loss(flops))
    assert result.prediction.low < truth < result.prediction.high
    assert result.prediction.value == pytest.approx(truth, rel=0.03)
    assert set(result.prediction.intervals) == {"seeds", "rows"}
    assert result.extrapolation["flops"] == pytest.approx(
        flops / max(row.sample.flops("paper") for row in result.rows), rel=1e-3
    )


def test_same_seed_gives_the_same_interval_and_the_order_of_runs_does_not_matter(tmp_path: Path) -> None:
    runs = write_grid(tmp_path, by_power, seeds=(0, 1))
    assert projected(runs).prediction == projected(runs[::-1]).prediction == projected(runs).prediction
    assert projected(runs).prediction != projected(runs, seed=1).prediction


def test_convention_changes_what_flops_mean(tmp_path: Path) -> None:
    runs = write_grid(tmp_path, by_power)
    paper, plain = projected(runs), projected(runs, convention="6nd")
    assert (paper.law.convention, plain.law.convention) == ("paper", "6nd")
    assert paper.law.coefficients["flops_scale"] != plain.law.coefficients["flops_scale"]


def test_several_tokens_per_parameter_take_the_chinchilla_law(tmp_path: Path) -> None:
    result = projected(write_grid(tmp_path, by_chinchilla, tpps=(5.0, 20.0, 60.0)), tokens_per_parameter=100.0)
    assert result.law.name == "chinchilla"
    tokens = 100.0 * n_parameters(TARGET)
    assert result.prediction.value == pytest.approx(float(CHINCHILLA_LAW.loss(n_parameters(TARGET), tokens)), rel=1e-3)
    assert result.target.tokens_per_parameter == pytest.approx(100.0)
    assert any("one seed for each row" in caveat for caveat in result.caveats)


def test_several_densities_take_the_sparse_law(tmp_path: Path) -> None:
    runs = write_grid(tmp_path, by_density, widths=(32, 64, 128), densities=(1.0, 0.5, 0.25))
    result = projected(runs, density=0.125)
    assert result.law.name == "sparse"
    nonzeros = int(0.125 * 512 * 512) * 2 * 12
    assert nonzeros == linear_weights(TARGET) / 8
    assert result.prediction.value == pytest.approx(float(SPARSE_LAW.loss(0.125, nonzeros, 1.0)), rel=1e-3)
    assert any("density 0.125 lies outside the runs' 0.25 to 1" in caveat for caveat in result.caveats)


def test_sparse_law_with_its_data_term_needs_several_tokens_per_parameter(tmp_path: Path) -> None:
    runs = write_grid(tmp_path, by_density, widths=(32, 64), densities=(1.0, 0.5, 0.25), tpps=(10.0, 40.0))
    assert projected(runs, density=0.25).fitted.form.n_coefficients == 7
    with pytest.raises(SpecError, match="cannot say what 40 would give"):
        projected(runs[::2], density=0.25, tokens_per_parameter=40.0, law="sparse")


def test_two_densities_leave_the_power_law_at_the_density_of_the_target(tmp_path: Path) -> None:
    result = projected(write_grid(tmp_path, by_power, densities=(1.0, 0.25)), density=0.25)
    assert result.law.name == "power"
    assert {row.sample.density for row in result.choice.rows} == {0.25}
    assert any("5 rows of other densities were left out" in caveat for caveat in result.caveats)


@pytest.mark.parametrize(
    ("grid", "given", "message"),
    [
        (
            {"widths": (32, 64)},
            {},
            r"no law: the chinchilla law needs .*; the power law needs .*; the sparse law needs 3 densities",
        ),
        ({"widths": (32, 48, 64)}, {"law": "power"}, "the power law needs runs of 4 sizes at the target's density 1"),
        ({}, {"density": 0.5, "law": "power"}, "at the target's density 0.5, there are 0"),
        ({"tpps": (10.0, 20.0)}, {"law": "power"}, "needs runs of one tokens per parameter, these have 10 to 20"),
        ({}, {"law": "power", "tokens_per_parameter": 80.0}, "holds at the runs' 20 tokens per parameter, not at"),
        ({}, {"law": "chinchilla"}, "needs runs of two or more tokens per parameter"),
        ({"widths": (32, 48), "tpps": (5.0, 9.0, 20.0)}, {"law": "chinchilla"}, "needs runs of 3 sizes"),
        ({"densities": (1.0, 0.5)}, {"law": "sparse"}, "needs 3 densities .* the runs have 2"),
        (
            {"widths": (64,), "densities": (1.0, 0.5, 0.25)},
            {"law": "sparse"},
            "needs runs of 2 sizes, there are 1; without any runs the published law",
        ),
        ({}, {"law": "sparce"}, "unknown law 'sparce': did you mean 'sparse'"),
        ({}, {"tokens_per_parameter": -1.0}, "tpp is -1.0: it must be at least 1e-06"),
    ],
)
def test_rows_that_cannot_answer_are_refused_and_it_says_why(
    tmp_path: Path, grid: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        projected(write_grid(tmp_path, by_power, **grid), **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "cosine"}, "runs cannot be mixed: schedule is 'linear' in a and 'cosine' in b"),
        ({"seq_len": 32}, "seq_len is 64 in a and 32 in b"),
        ({"clip": 1.0}, "clip is not set in a and 1.0 in b"),
        ({"corpus": {**CORPUS, "sha256": "cd" * 32}}, "a was trained on stdlib .abab.*, b on stdlib .cdcd"),
        ({"weight_decay": 0.0, "seed": 1}, "weight_decay is 0.1 in a and 0.0 in b; name only those"),
        ({"base": {"peak_lr": 0.02, "d_base": 64}, "seed": 1}, "base.peak_lr is 0.01 in a and 0.02 in b"),
        ({}, "a and b are the same run: name it once"),
    ],
)
def test_runs_that_cannot_be_mixed_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    runs = [write_run(tmp_path / "a", by_power), write_run(tmp_path / "b", by_power, **changes)]
    with pytest.raises(SpecError, match=message):
        rows_of(observations(runs))


def test_hyper_parameters_may_go_with_the_size_and_it_is_said(tmp_path: Path) -> None:
    runs = write_grid(tmp_path / "small", by_power, widths=(32, 48, 64))
    runs += write_grid(tmp_path / "large", by_power, widths=(96, 128), weight_decay=0.05)
    assert any("the runs differ in weight_decay" in caveat for caveat in projected(runs).caveats)


def test_the_target_takes_the_vocabulary_and_the_context_of_the_runs(tmp_path: Path) -> None:
    runs = observations(write_grid(tmp_path, by_power))
    result = project(runs, load_model("111m").shape, n_replicates=FEW)
    assert (result.target.shape.vocab_size, result.target.seq_len) == (256, 64)
    assert result.target.tokens == pytest.approx(20 * n_parameters(result.target.shape), rel=0.02)
    text = " ".join(result.caveats)
    assert "vocabulary of 256" in text
    assert "times over this text" in text
    assert "far beyond what its interval can cover" in text


def test_losses_without_a_bend_are_told(tmp_path: Path) -> None:
    def straight(sample: Sample, seed: int) -> float:
        return float((sample.flops("paper") / 1e15) ** -0.1 * (1 - 1e-4 * np.log(sample.flops("paper"))))

    assert any("irreducible loss comes out as 0" in c for c in projected(write_grid(tmp_path, straight)).caveats)


def test_no_runs_are_refused() -> None:
    with pytest.raises(SpecError, match="no runs to project from"):
        project([], TARGET)


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"the run stopped after step 1 of \d+: finish it, or leave it out"):
        read_observation(write_run(tmp_path / "a", by_power, is_cut_short=True))


def test_the_text_is_found_in_the_checkpoint_where_there_is_no_summary(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", by_power)
    (run / "summary.json").unlink()
    with pytest.raises(SpecError, match="says what text the run was trained on"):
        read_observation(run)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "step-00000010.json").write_bytes(msgspec.json.encode({"data": CORPUS}))
    assert read_observation(run).corpus == CORPUS


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"there is no config\.toml in it"):
        read_observation(tmp_path)
    (tmp_path / "config.toml").write_text("density = 1.0\n", encoding="utf-8")
    with pytest.raises(SpecError, match="missing required field `shape`"):
        read_observation(tmp_path)


def test_flops_of_a_sample_leave_zeros_out() -> None:
    dense = Sample(shape=TARGET, density=1.0, tokens=1e6, seq_len=64)
    assert replace(dense, density=0.5).flops("6nd") == dense.flops("6nd") - 6 * 1e6 * linear_weights(TARGET) / 2
