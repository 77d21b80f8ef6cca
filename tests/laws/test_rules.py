"""Closed forms: compute-optimal size, the collapse curve, the power lines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.errors import SpecError
from wse_sim.laws.chinchilla import ChinchillaLaw
from wse_sim.laws.collapse import collapse_curve, collapse_spread
from wse_sim.laws.power_lines import (
    critical_batch_tokens,
    optimal_batch_tokens,
    optimal_timescale,
    optimal_weight_decay,
    recommend,
)
from wse_sim.laws.published import published_laws

CHINCHILLA_FLOPS = 5.76e23  # budget of Chinchilla, arXiv 2203.15556, Section 4


def test_replicated_chinchilla_law_asks_for_about_20_tokens_per_parameter_and_the_printed_one_does_not() -> None:
    replicated, printed = (
        tokens / parameters
        for parameters, tokens in (
            law.compute_optimal(CHINCHILLA_FLOPS)
            for law in (published_laws().chinchilla_replication, published_laws().chinchilla)
        )
    )
    assert 15 < replicated < 25  # arXiv 2404.10102: consistent with the 20 of Chinchilla itself
    assert printed > 60  # and the coefficients as printed are not


@given(flops=st.floats(1e18, 1e26), change=st.floats(0.1, 10.0))
def test_no_other_size_of_the_same_compute_has_a_lower_loss(flops: float, change: float) -> None:
    law = published_laws().chinchilla_replication
    parameters, tokens = law.compute_optimal(flops)
    assert 6 * parameters * tokens == pytest.approx(flops)
    assert float(law.loss(parameters, tokens)) <= float(law.loss(parameters * change, tokens / change)) + 1e-12


@given(exponent=st.floats(0.1, 1.0), parameters=st.floats(1e6, 1e10), tpp=st.floats(1.0, 500.0), t=st.floats(0.01, 1.0))
def test_collapse_curve_is_the_chinchilla_law_of_a_run_that_is_cut(
    exponent: float, parameters: float, tpp: float, t: float
) -> None:
    law = ChinchillaLaw(
        irreducible=1.5, size_factor=300.0, size_exponent=exponent, data_factor=900.0, data_exponent=exponent
    )
    tokens = tpp * parameters
    ratio = (law.loss(parameters, t * tokens) - 1.5) / (law.loss(parameters, tokens) - 1.5)
    best, of = law.compute_optimal(1e21)  # with one exponent, the optimal tokens per parameter are the same everywhere
    assert float(collapse_curve(t, tpp / (of / best), exponent)) == pytest.approx(float(ratio), rel=1e-6)


def test_collapse_curve_ends_at_one_and_falls() -> None:
    curve = collapse_curve(np.linspace(0.05, 1.0, 20), 1.0, 0.3)
    assert curve[-1] == 1.0
    assert (np.diff(curve) < 0).all()
    assert collapse_spread(np.stack([curve, curve])).max() == 0.0
    assert collapse_spread(np.array([[0.9], [1.1]]))[0] == pytest.approx(0.1)


@pytest.mark.parametrize(("t", "v", "a"), [(0.0, 1.0, 0.3), (0.5, -1.0, 0.3), (0.5, 1.0, 0.0)])
def test_collapse_curve_needs_positive_numbers(t: float, v: float, a: float) -> None:
    with pytest.raises(SpecError, match="above 0"):
        collapse_curve(t, v, a)


def test_weight_decay_has_the_timescale_that_it_was_made_for() -> None:
    # 610M at 20 TPP, 504 sequences of 2048, width-adjusted lr 0.0162 / 8: tau = 0.42 at weight decay 0.1.
    tokens, batch = 11752 * 504 * 2048, 504 * 2048
    assert optimal_weight_decay(batch_tokens=batch, peak_lr=0.0162 / 8, tokens=tokens, timescale=0.42) == pytest.approx(
        0.1, rel=2e-3
    )


def test_rules_follow_their_exponents() -> None:
    assert optimal_timescale(200) / optimal_timescale(20) == pytest.approx(10**-0.527)
    assert optimal_batch_tokens(1e11) / optimal_batch_tokens(1e10) == pytest.approx(10**0.383)
    assert critical_batch_tokens(1e11) > optimal_batch_tokens(1e11)


def test_weight_decay_is_proportional_to_the_batch() -> None:
    small, large = (
        recommend(tokens=2e10, parameters=1e9, seq_len=2048, batch_size=batch, peak_lr=2e-3) for batch in (256, 512)
    )
    assert small.weight_decay is not None
    assert large.weight_decay == pytest.approx(2 * small.weight_decay)
    assert small.timescale == large.timescale
    assert small.lr_times_weight_decay == pytest.approx(2e-3 * small.weight_decay)


def test_advice_without_a_recipe_is_for_the_optimal_batch_and_names_what_was_not_checked() -> None:
    advice = recommend(tokens=2e10, parameters=1e9, seq_len=1024)
    assert advice.batch_size == advice.optimal_batch_size == pytest.approx(optimal_batch_tokens(2e10) / 1024)
    assert advice.weight_decay is None
    assert "timescale.factor" in advice.uncertain
    assert "timescale.exponent" not in advice.uncertain
    with pytest.raises(SpecError, match="must be above 0"):
        recommend(tokens=0, parameters=1e9, seq_len=1024)
