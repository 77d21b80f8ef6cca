"""Losses drawn from a law are fitted back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_sim.errors import SpecError
from wse_sim.laws.bootstrap import interval, replicate_laws, residual_draws, seed_draws
from wse_sim.laws.chinchilla import CHINCHILLA, ChinchillaLaw
from wse_sim.laws.fit import fit, refit
from wse_sim.laws.form import Form
from wse_sim.laws.power_law import POWER, PowerLaw
from wse_sim.laws.published import published_laws
from wse_sim.laws.sparse import SPARSE, SPARSE_FIXED_TPP, SparseLaw

FLOPS = np.geomspace(1e15, 1e20, 8)
SIZES, TOKENS = (column.ravel() for column in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 1e11, 4)))
DENSITIES, NONZEROS = (column.ravel() for column in np.meshgrid([1.0, 0.5, 0.25, 0.125], np.geomspace(1e6, 1e8, 4)))


@settings(max_examples=15)
@given(exponent=st.floats(0.03, 0.3), irreducible=st.floats(0.3, 2.0), scale=st.floats(1e19, 1e23))
def test_power_law_is_fitted_back(exponent: float, irreducible: float, scale: float) -> None:
    law = PowerLaw(flops_scale=scale, exponent=exponent, irreducible=irreducible)
    fitted = fit(POWER, (FLOPS,), law.loss(FLOPS), n_starts=6)
    assert fitted.law.exponent == pytest.approx(exponent, rel=1e-4)
    assert fitted.law.irreducible == pytest.approx(irreducible, rel=1e-3)
    np.testing.assert_allclose(fitted.law.loss(FLOPS * 1e3), law.loss(FLOPS * 1e3), rtol=1e-4)


@settings(max_examples=10)
@given(
    size_exponent=st.floats(0.2, 0.5),
    data_exponent=st.floats(0.2, 0.5),
    irreducible=st.floats(0.5, 2.0),
    shares=st.tuples(st.floats(0.3, 1.0), st.floats(0.3, 1.0)),
)
def test_chinchilla_law_is_fitted_back(
    size_exponent: float, data_exponent: float, irreducible: float, shares: tuple[float, float]
) -> None:
    law = ChinchillaLaw(
        irreducible=irreducible,
        size_factor=shares[0] * 3e7**size_exponent,  # loss that size, or data, is worth in the middle of the rows
        size_exponent=size_exponent,
        data_factor=shares[1] * 3e9**data_exponent,
        data_exponent=data_exponent,
    )
    fitted = fit(CHINCHILLA, (SIZES, TOKENS), law.loss(SIZES, TOKENS), n_starts=8).law
    assert fitted.size_exponent == pytest.approx(size_exponent, rel=1e-3)
    assert fitted.data_exponent == pytest.approx(data_exponent, rel=1e-3)
    assert fitted.irreducible == pytest.approx(irreducible, rel=1e-3)


@settings(max_examples=5)
@given(a_s=st.floats(-0.3, 1.5), b_s=st.floats(0.4, 2.0), b_n=st.floats(0.15, 0.4), c=st.floats(0.4, 1.5))
def test_sparse_law_of_one_tokens_per_parameter_is_fitted_back(a_s: float, b_s: float, b_n: float, c: float) -> None:
    law = SparseLaw(a_s=a_s, b_s=b_s, c_s=1.5, b_n=b_n, e=0, b_d=0, c=c, nonzeros_unit=1e6, data_unit=1e6)
    inputs = (DENSITIES, NONZEROS, 20 * NONZEROS / DENSITIES)
    fitted = fit(SPARSE_FIXED_TPP, inputs, law.loss(*inputs), n_starts=4).law
    far = (0.25, 1e9, 1e11)
    assert float(fitted.loss(*far)) == pytest.approx(float(law.loss(*far)), rel=1e-3)
    assert fitted.dense_equivalent(1.0, 0.25) == pytest.approx(law.dense_equivalent(1.0, 0.25), rel=2e-3)


def test_sparse_law_with_data_is_fitted_back() -> None:
    law = published_laws().sparse_t5
    density, nonzeros, steps = (
        column.ravel() for column in np.meshgrid([1, 0.5, 0.25, 0.125], np.geomspace(1e6, 1e8, 4), [1e5, 3e5, 1e6])
    )
    fitted = fit(SPARSE, (density, nonzeros, steps), law.loss(density, nonzeros, steps), n_starts=8)
    found = fitted.law.in_units(1e6, 1e5)
    for name in law.__struct_fields__:
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-2), name


@pytest.mark.parametrize("form", [POWER, CHINCHILLA, SPARSE, SPARSE_FIXED_TPP], ids=lambda form: form.name)
def test_slopes_are_those_of_the_values(form: Form) -> None:
    rng = np.random.default_rng(0)
    theta = rng.uniform(0.2, 1.0, size=form.n_coefficients)
    x = rng.uniform(0.1, 3.0, size=(len(form.inputs), 5))
    _, slopes = form.value_and_slopes(theta, x)
    step = 1e-6
    for number, slope in enumerate(slopes):
        bump = step * np.eye(form.n_coefficients)[number]
        ends = [form.value_and_slopes(theta + sign * bump, x)[0] for sign in (1, -1)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-9)


def test_a_change_of_units_changes_no_loss() -> None:
    law = published_laws().sparse_t5
    other = law.in_units(1.0, 7e3)
    np.testing.assert_allclose(other.loss(0.25, 3e7, 4e5), law.loss(0.25, 3e7, 4e5), rtol=1e-12)
    assert other.dense_equivalent(1.0, 0.25) == pytest.approx(law.dense_equivalent(1.0, 0.25), rel=1e-12)


def test_outliers_move_the_huber_fit_little() -> None:
    law = published_laws().chinchilla_replication
    losses = law.loss(SIZES, TOKENS)
    losses[7] *= 1.1
    fitted = fit(CHINCHILLA, (SIZES, TOKENS), losses, n_starts=8)
    np.testing.assert_allclose(np.delete(fitted.law.loss(SIZES, TOKENS) / law.loss(SIZES, TOKENS), 7), 1.0, rtol=2e-3)
    assert fitted.largest_residual == pytest.approx(0.1, abs=0.005)


def test_same_seed_gives_the_same_fit() -> None:
    losses = PowerLaw(flops_scale=1e20, exponent=0.1, irreducible=1.0).loss(FLOPS) * (1 + 0.01 * np.cos(FLOPS))
    assert fit(POWER, (FLOPS,), losses, seed=3).law == fit(POWER, (FLOPS,), losses, seed=3).law


def test_a_refit_to_the_same_losses_stays() -> None:
    losses = PowerLaw(flops_scale=1e20, exponent=0.1, irreducible=1.0).loss(FLOPS) * (1 + 0.01 * np.cos(np.arange(8)))
    fitted = fit(POWER, (FLOPS,), losses)
    np.testing.assert_allclose(refit(fitted, (FLOPS,), losses).loss(FLOPS), fitted.law.loss(FLOPS), rtol=1e-5)


@pytest.mark.parametrize(
    ("flops", "losses", "message"),
    [
        (FLOPS[:3], np.ones(3), "3 rows cannot hold 3 coefficients to account: at least 4"),
        (FLOPS, np.zeros(8), "losses must be positive"),
        (np.append(FLOPS[:-1], np.nan), np.ones(8), "flops must be positive and finite"),
        (FLOPS[:5], np.ones(8), "needs 1 inputs of 8 rows"),
    ],
)
def test_rows_that_cannot_be_fitted_are_refused(flops: np.ndarray, losses: np.ndarray, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        fit(POWER, (flops,), losses)


def test_bootstrap_over_rows_covers_the_truth_about_as_often_as_it_says() -> None:
    law = PowerLaw(flops_scale=1e20, exponent=0.12, irreducible=1.0)
    rng = np.random.default_rng(1)
    n_covered, n_trials = 0, 30
    for _ in range(n_trials):
        losses = law.loss(FLOPS) * (1 + 0.003 * rng.standard_normal(FLOPS.size))
        fitted = fit(POWER, (FLOPS,), losses, n_starts=3)
        drawn = residual_draws(fitted, (FLOPS,), losses, 60, seed=0)
        low, high = interval(np.array([float(of.loss(1e21)) for of in replicate_laws(fitted, (FLOPS,), drawn)]))
        n_covered += low <= float(law.loss(1e21)) <= high
    assert 0.75 <= n_covered / n_trials <= 1.0  # 95 % of 30, less three standard deviations, less what few rows cost


def test_seed_draws_scatter_as_the_mean_of_the_seeds_does() -> None:
    rng = np.random.default_rng(0)
    losses = [2.0 * (1 + 0.01 * rng.standard_normal(3)) for _ in range(200)]
    drawn = seed_draws(losses, 400, seed=0)
    assert drawn is not None
    assert drawn.shape == (400, 200)
    scatter = (drawn / np.array([np.mean(of) for of in losses])).std()
    assert scatter == pytest.approx(0.01 / np.sqrt(3), rel=0.1)  # 200 rows of 3 seeds


def test_one_seed_for_each_row_gives_no_draws() -> None:
    assert seed_draws([np.array([2.0]), np.array([1.9])], 10, seed=0) is None
