"""Activations keep their size over density under SμPar, and do not under SP and μP.

Set-up and bounds: SμPar (arXiv 2405.15743), Figure 5, at width 256. Theory gives SP and μP a slope of 1 at step 1:
two sparse layers in series, each shrinking its output by sqrt(density).
"""

import pytest
import torch

from training.coord_check import Activation, check_coordinates, log_log_slope
from training.data import Corpus, load_corpus

DENSITIES = (1.0, 0.5, 0.25, 0.125, 0.0625)
SITES = ("attention", "mlp")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus("stdlib")


def _activations(corpus: Corpus, name: str) -> list[Activation]:
    return check_coordinates(corpus, name, densities=DENSITIES, widths=(256,), seeds=(0, 1))


@pytest.mark.slow
def test_smupar_activations_do_not_depend_on_density(corpus: Corpus) -> None:
    activations = _activations(corpus, "smupar")
    for step in (1, 10):
        for site in SITES:
            assert abs(log_log_slope(activations, against="density", step=step, site=site)) < 0.1


@pytest.mark.slow
def test_sp_activations_shrink_with_density(corpus: Corpus) -> None:
    activations = _activations(corpus, "sp")
    for step in (1, 10):
        for site in SITES:
            assert log_log_slope(activations, against="density", step=step, site=site) > 0.7


@pytest.mark.slow
def test_mup_activations_shrink_with_density(corpus: Corpus) -> None:
    activations = _activations(corpus, "mup")
    for site in SITES:
        assert log_log_slope(activations, against="density", step=1, site=site) > 0.7
        # Ten steps wash part of the start out (attention: 0.50 measured), but nothing like flat.
        assert log_log_slope(activations, against="density", step=10, site=site) > 0.3


def test_slope_of_a_power_law_is_its_exponent() -> None:
    activations = [
        Activation(
            parametrization="sp",
            density=density,
            d_model=64,
            seed=seed,
            step=1,
            site="mlp",
            mean_abs=seed_size * density**1.5,
        )
        for density in DENSITIES
        for seed, seed_size in ((0, 1.0), (1, 3.0))
    ]
    assert log_log_slope(activations, against="density", step=1, site="mlp") == pytest.approx(1.5)


def test_check_leaves_the_global_generator_alone(corpus: Corpus) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check_coordinates(corpus, "smupar", densities=(0.5,), widths=(64,), seeds=(0,))
    assert torch.equal(before, torch.get_rng_state())
