"""The published law of Cerebras-GPT: its printed figures, and what another fit makes of the same seven losses."""

from statistics import fmean, pstdev

import numpy as np
import pytest

from wse_sim.errors import SpecError
from wse_sim.laws.cerebras_gpt import cerebras_gpt_loss, dense_equivalent_parameters, knows_loss_of, project_loss
from wse_sim.laws.fit import fit
from wse_sim.laws.power_law import POWER
from wse_sim.laws.published import published_laws
from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters

CEREBRAS_GPT = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")
PREDICTED = (2.603, 2.369, 2.168, 1.992, 1.849, 1.687, 1.580)
PUBLISHED = [read_toml(data_path("models", f"{name}.toml"))["published"] for name in CEREBRAS_GPT]
LAW = published_laws().cerebras_gpt
LOSSES = np.array([row["pile_loss_sp"] for row in PUBLISHED])
PRINTED_FLOPS = np.array([row["training_flops"] for row in PUBLISHED])
COUNTED_FLOPS = np.array(
    [
        training_flops_per_token(load_model(name).shape, 2048, convention="paper") * row["n_tokens"]
        for name, row in zip(CEREBRAS_GPT, PUBLISHED, strict=True)
    ]
)


def test_equation_1_at_the_printed_flops() -> None:
    assert tuple(round(cerebras_gpt_loss(row["training_flops"]), 3) for row in PUBLISHED) == PREDICTED


def test_residuals_of_the_standard_models_have_the_published_spread() -> None:
    residuals = [row["pile_loss_sp"] / cerebras_gpt_loss(row["training_flops"]) - 1 for row in PUBLISHED]
    assert f"{100 * pstdev(residuals):.3f}" == "0.661"  # paper: 0.66 %


def test_mup_models_are_0_43_percent_better_but_not_with_the_published_spread() -> None:
    rows = [row for row in PUBLISHED if "pile_loss_mup" in row]
    residuals = [row["pile_loss_mup"] / cerebras_gpt_loss(row["training_flops"]) - 1 for row in rows]
    assert len(rows) == 5
    assert f"{100 * fmean(residuals):.2f}" == "-0.43"
    # The paper says 0.04 %: the printed losses have three decimals, which alone is worth 0.02 %. It does not reproduce.
    assert f"{100 * pstdev(residuals):.2f}" == "0.16"


# Seven points hold three correlated coefficients loosely: the exponent to 1.4 %, the irreducible loss to 2.4 %, the
# scale to 12 %. The curve itself they hold to 0.2 % within their range.
def test_free_fit_to_the_losses_gives_the_published_law() -> None:
    fitted = fit(POWER, (PRINTED_FLOPS,), LOSSES)
    assert fitted.law.exponent == pytest.approx(LAW.exponent, abs=0.001)
    assert fitted.law.irreducible == pytest.approx(LAW.irreducible, abs=0.012)
    assert fitted.law.flops_scale == pytest.approx(LAW.flops_scale, rel=0.12)
    np.testing.assert_allclose(fitted.law.loss(PRINTED_FLOPS), LAW.loss(PRINTED_FLOPS), rtol=1e-3)
    assert fitted.n_agreeing == fitted.n_starts
    assert f"{100 * fitted.residual_std:.2f}" == "0.66"


def test_free_fit_to_our_count_of_flops_gives_it_too() -> None:
    law = fit(POWER, (COUNTED_FLOPS,), LOSSES).law
    assert f"{law.flops_scale:.2e} {law.exponent:.4f} {law.irreducible:.4f}" == "5.51e+22 0.0740 0.5126"
    np.testing.assert_allclose(law.loss(COUNTED_FLOPS), LAW.loss(COUNTED_FLOPS), rtol=2e-3)


def test_fit_to_the_log_of_the_losses_gives_other_coefficients() -> None:
    law = fit(POWER, (PRINTED_FLOPS,), LOSSES, residual="log_loss").law
    assert f"{law.flops_scale:.2e} {law.exponent:.4f} {law.irreducible:.3f}" == "1.12e+23 0.0713 0.459"
    assert abs(law.exponent - LAW.exponent) > 0.001
    assert abs(law.irreducible - LAW.irreducible) > 0.012


@pytest.mark.parametrize("flops", [1e18, 2.3e22, 1e25])
def test_the_inverse_gives_the_compute_back(flops: float) -> None:
    assert LAW.flops(cerebras_gpt_loss(flops)) == pytest.approx(flops, rel=1e-9)


def test_a_loss_below_the_irreducible_one_is_refused() -> None:
    with pytest.raises(SpecError, match=r"never goes below 0\.5066"):
        LAW.flops(0.5)


@pytest.mark.parametrize(
    ("sparsity", "printed"),
    [(0.0, "1.00"), (0.5, "1.59"), (0.75, "2.16"), (0.875, "2.63"), (0.9375, "2.98"), (0.992, "3.48")],
)
def test_dense_equivalent_size_per_nonzero(sparsity: float, printed: str) -> None:
    assert f"{dense_equivalent_parameters(1.0, 1 - sparsity):.2f}" == printed


def test_dense_equivalent_size_has_a_limit() -> None:
    assert f"{dense_equivalent_parameters(1.0, 1e-12):.2f}" == "3.64"


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_density_one_equals_the_dense_law(name: str) -> None:
    shape = load_model(name).shape
    tokens = 20.0 * n_parameters(shape)
    projection = project_loss(shape, density=1.0, tokens=tokens)
    flops = training_flops_per_token(shape, 2048, convention="paper") * tokens
    assert projection.value == pytest.approx(cerebras_gpt_loss(flops), rel=1e-12)


def test_away_from_20_tokens_per_parameter_the_loss_changes_as_chinchillas() -> None:
    shape = load_model("1.3b").shape
    size = n_parameters(shape)
    losses = [project_loss(shape, density=1.0, tokens=tpp * size).value for tpp in (5, 20, 80)]
    law = published_laws().chinchilla_replication
    for tpp, loss in zip((5, 80), (losses[0], losses[2]), strict=True):
        assert loss / losses[1] == pytest.approx(float(law.loss(size, tpp * size) / law.loss(size, 20 * size)))


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
    far = project_loss(load_model("gpt-neox-20b").shape, density=1.0, tokens=4e11)
    near = project_loss(load_model("1.3b").shape, density=1.0, tokens=2.6e10)
    assert any("extrapolated" in caveat for caveat in far.caveats)
    assert not any("extrapolated" in caveat for caveat in near.caveats)


@pytest.mark.parametrize(("model", "is_encoder"), [("bert-large", True), ("1.3b", False)])
def test_an_encoder_s_loss_is_said_to_be_a_decoder_s(model: str, is_encoder: bool) -> None:
    shape = load_model(model).shape
    assert knows_loss_of(shape) is not is_encoder
    caveats = project_loss(shape, density=1.0, tokens=1e9).caveats
    assert any("bert-large is an encoder" in caveat for caveat in caveats) is is_encoder


def test_no_tokens_and_no_flops_are_refused() -> None:
    with pytest.raises(SpecError, match="tokens"):
        project_loss(load_model("111m").shape, density=1.0, tokens=0)
    with pytest.raises(SpecError, match="FLOPs above 0"):
        cerebras_gpt_loss(0.0)
