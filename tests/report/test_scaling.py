"""The laws of the loss."""

from statistics import fmean, pstdev

import pytest

from wse_sim.errors import SpecError
from wse_sim.report.scaling import (
    cerebras_gpt_flops,
    cerebras_gpt_loss,
    dense_equivalent_parameters,
    project_loss,
)
from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.workload.flops import training_flops_per_token

CEREBRAS_GPT = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")
PREDICTED = (2.603, 2.369, 2.168, 1.992, 1.849, 1.687, 1.580)
PUBLISHED = [read_toml(data_path("models", f"{name}.toml"))["published"] for name in CEREBRAS_GPT]


def test_equation_1_at_the_printed_flops() -> None:
    assert tuple(round(cerebras_gpt_loss(row["training_flops"]), 3) for row in PUBLISHED) == PREDICTED


def test_residuals_of_the_standard_models_have_the_published_spread() -> None:
    residuals = [row["pile_loss_sp"] / cerebras_gpt_loss(row["training_flops"]) - 1 for row in PUBLISHED]
    assert f"{100 * pstdev(residuals):.3f}" == "0.661"  # paper: 0.66 %


def test_mup_models_are_0_43_percent_better() -> None:
    rows = [row for row in PUBLISHED if "pile_loss_mup" in row]
    mean = fmean(row["pile_loss_mup"] / cerebras_gpt_loss(row["training_flops"]) - 1 for row in rows)
    assert len(rows) == 5
    assert f"{100 * mean:.2f}" == "-0.43"


@pytest.mark.parametrize("flops", [1e18, 2.3e22, 1e25])
def test_the_inverse_gives_the_compute_back(flops: float) -> None:
    assert cerebras_gpt_flops(cerebras_gpt_loss(flops)) == pytest.approx(flops, rel=1e-9)


def test_a_loss_below_the_irreducible_one_is_refused() -> None:
    with pytest.raises(SpecError, match=r"never goes below 0\.5066"):
        cerebras_gpt_flops(0.5)


@pytest.mark.parametrize(
    ("sparsity", "printed"),
    [(0.0, "1.00"), (0.5, "1.59"), (0.75, "2.16"), (0.875, "2.63"), (0.9375, "2.98"), (0.992, "3.48")],
)
def test_dense_equivalent_size_per_nonzero(sparsity: float, printed: str) -> None:
    assert f"{dense_equivalent_parameters(1.0, 1 - sparsity):.2f}" == printed


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_density_one_equals_the_dense_law(name: str) -> None:
    shape = load_model(name).shape
    projection = project_loss(shape, density=1.0, tokens=1e10)
    assert projection.value == cerebras_gpt_loss(training_flops_per_token(shape, 2048, convention="paper") * 1e10)


def test_near_density_one_is_near_the_dense_loss() -> None:
    shape = load_model("1.3b").shape
    dense, nearly = (project_loss(shape, density=rho, tokens=2.6e10) for rho in (1.0, 0.999999))
    assert nearly.value == pytest.approx(dense.value, rel=1e-5)
    assert nearly.high == pytest.approx(dense.high, rel=1e-5)


def test_loss_falls_with_density_and_with_tokens() -> None:
    shape = load_model("111m").shape
    by_density = [project_loss(shape, density=rho, tokens=2e9).value for rho in (0.01, 0.05, 0.25, 0.5, 0.9, 1.0)]
    by_tokens = [project_loss(shape, density=0.25, tokens=tokens).value for tokens in (1e9, 2e9, 1e10)]
    assert by_density == sorted(by_density, reverse=True)
    assert by_tokens == sorted(by_tokens, reverse=True)


@pytest.mark.parametrize("density", [0.05, 0.25, 0.75, 1.0])
def test_the_range_holds_the_value_and_the_plain_count_of_nonzeros(density: float) -> None:
    projection = project_loss(load_model("2.7b").shape, density=density, tokens=5.3e10)
    assert projection.low < projection.value < projection.high
    assert ("static masks" in " ".join(projection.caveats)) == (density < 1.0)


def test_compute_outside_the_fitted_range_is_called_extrapolated() -> None:
    far = project_loss(load_model("13b").shape, density=1.0, tokens=1e13)
    near = project_loss(load_model("1.3b").shape, density=1.0, tokens=2.6e10)
    assert any("extrapolated" in caveat for caveat in far.caveats)
    assert not any("extrapolated" in caveat for caveat in near.caveats)


def test_no_tokens_is_refused() -> None:
    with pytest.raises(SpecError, match="tokens"):
        project_loss(load_model("111m").shape, density=1.0, tokens=0)
