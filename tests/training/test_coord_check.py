"""Activations keep their size where a parameterization says so, and do not where it does not.

Set-up and bounds: SμPar (arXiv 2405.15743), Figure 5. Theory gives SP and μP a slope of 1 over density at step 1: two
sparse layers in series, each shrinking its output by sqrt(density).
"""

import math

import msgspec
import pytest
import torch

from models.parametrization import ParametrizationName
from training.axis import Axis
from training.coord_check import Activation, CoordCheck, Site, check_coordinates
from training.coord_slopes import Slope, holds, slopes
from training.data import Corpus, load_corpus
from wse_sim.errors import SpecError

DENSITY = CoordCheck(over="density", values=(1.0, 0.25, 0.0625), n_seeds=2, seq_len=32, batch_size=2)
WIDTH = CoordCheck(over="width", values=(64, 128, 256, 512), n_seeds=2, seq_len=32, batch_size=2)
DEPTH = CoordCheck(over="depth", values=(2, 4, 8), n_seeds=2, d_model=64, seq_len=32, batch_size=2)
SMALL = CoordCheck(over="width", values=(32, 64), n_seeds=1, n_steps=3)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus("stdlib")


def _slopes(corpus: Corpus, name: ParametrizationName, setup: CoordCheck) -> list[Slope]:
    return slopes(check_coordinates(corpus, name, setup), setup.over)


def _slope(found: list[Slope], site: Site, step: int, quantity: str = "size") -> float:
    (slope,) = (s for s in found if (s.site, s.step, s.quantity) == (site, step, quantity))
    assert slope.slope.value is not None
    return slope.slope.value


def test_smupar_is_flat_over_density(corpus: Corpus) -> None:
    assert holds(_slopes(corpus, "smupar", DENSITY))


@pytest.mark.parametrize("name", ["sp", "mup"])
def test_sp_and_mup_shrink_with_density(corpus: Corpus, name: ParametrizationName) -> None:
    found = _slopes(corpus, name, DENSITY)
    assert not holds(found)
    for site in ("attention", "mlp"):
        assert _slope(found, site, 1) == pytest.approx(1.0, abs=0.2)
        # Ten steps wash part of the start out (attention under μP: 0.5 measured), but nothing like flat.
        assert _slope(found, site, 10) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "density"), [("mup", 1.0), ("smupar", 0.25)])
def test_mup_is_flat_over_width_and_smupar_at_any_density(
    corpus: Corpus, name: ParametrizationName, density: float
) -> None:
    setup = msgspec.structs.replace(WIDTH, density=density)
    assert holds(_slopes(corpus, name, setup))


@pytest.mark.slow
def test_sp_grows_with_width(corpus: Corpus) -> None:
    found = _slopes(corpus, "sp", WIDTH)
    for site in ("attention", "mlp", "residual"):
        assert _slope(found, site, 1) > 0.7
        assert _slope(found, site, 10, "change") > 1.0


def test_completep_is_flat_over_depth_where_the_others_grow(corpus: Corpus) -> None:
    assert holds(_slopes(corpus, "completep", DEPTH))
    for name in ("sp", "mup"):
        assert _slope(_slopes(corpus, name, DEPTH), "residual", 10) > 0.3


def test_sizes_hide_a_wrong_learning_rate_that_changes_show(corpus: Corpus) -> None:
    """Right initial weights, learning rates not corrected for density: after one update only the change tells."""
    setup = CoordCheck(over="density", values=(1.0, 0.0625), n_seeds=2, n_steps=2, peak_lr=1e-3)
    found = _slopes(corpus, "smupar_init_only", setup)
    for site in ("attention", "mlp", "residual"):
        assert abs(_slope(found, site, 2)) < 0.1
        assert _slope(found, site, 2, "change") > 0.4
    assert not holds(found)
    assert holds(_slopes(corpus, "smupar", setup))


def test_each_step_of_each_model_has_each_site_and_nothing_has_changed_at_the_first(corpus: Corpus) -> None:
    n_models = 0

    def count() -> None:
        nonlocal n_models
        n_models += 1

    activations = check_coordinates(corpus, "mup", SMALL, count)
    assert n_models == 2
    assert len(activations) == n_models * SMALL.n_steps * 5
    assert all((a.change == 0) == (a.step == 1) for a in activations)
    assert all(a.size > 0 for a in activations)


def test_same_check_gives_the_same_numbers_and_leaves_the_process_as_it_was(corpus: Corpus) -> None:
    torch.manual_seed(0)
    before, n_threads = torch.get_rng_state(), torch.get_num_threads()
    assert check_coordinates(corpus, "smupar", SMALL) == check_coordinates(corpus, "smupar", SMALL)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == n_threads


def _power_law(exponents: dict[int, float], over: Axis = "density") -> list[Slope]:
    """Slopes of made-up activations that follow value^exponent, one exponent for each seed."""
    made_up = [
        Activation(
            parametrization="sp",
            value=value,
            seed=seed,
            step=step,
            site=site,
            size=(1 + seed) * value**exponent,
            change=0.0 if step == 1 else value**exponent,
        )
        for value in (1.0, 0.5, 0.25)
        for seed, exponent in exponents.items()
        for step in (1, 2)
        for site in ("mlp", "residual", "logits")
    ]
    return slopes(made_up, over)


def test_slope_of_a_power_law_is_its_exponent_and_its_interval_spans_the_seeds() -> None:
    for slope in _power_law({0: 1.0, 1: 2.0}):
        assert slope.slope.value == pytest.approx(1.5, rel=1e-12)
        # Draws of two seeds: both the first, one each twice, both the second.
        assert (slope.slope.low, slope.slope.high) == (pytest.approx(1.0), pytest.approx(2.0))
    assert all(slope.slope.low is None for slope in _power_law({0: 1.0}))


def test_only_what_must_be_flat_is_judged() -> None:
    def judged(over: Axis) -> set[tuple[str, int, str]]:
        return {(s.site, s.step, s.quantity) for s in _power_law({0: 0.0}, over) if s.is_judged}

    assert judged("depth") == {("residual", 1, "size"), ("residual", 2, "size"), ("residual", 2, "change")}
    assert judged("width") == judged("depth") | {("mlp", 1, "size"), ("mlp", 2, "size"), ("mlp", 2, "change")}


def test_flat_is_within_the_limit_either_way() -> None:
    assert holds(_power_law({0: 0.09}))
    assert not holds(_power_law({0: -0.11}))
    assert holds(_power_law({0: -0.11}), limit=0.2)


def test_activations_that_overflow_are_not_flat() -> None:
    assert not holds(_power_law({0: math.inf}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"over": "height"}, "unknown axis 'height'"),
        ({"values": (1.0,)}, "at least two different ones"),
        ({"values": (1.0, 1.5)}, "density is 1.5: it must be above 0 and at most 1"),
        ({"over": "depth", "values": (2, 2.5)}, "a depth is 2.5: it must be a whole number"),
        ({"over": "width", "values": (64, 65)}, "width 65 is not a whole number of heads of 32"),
        ({"n_steps": 1}, "n_steps is 1, it must be at least 2"),
        ({"peak_lr": 0.0}, "peak_lr is 0.0, it must be positive"),
    ],
)
def test_wrong_set_up_says_what_would_be_right(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        CoordCheck(**{"over": "density", "values": (1.0, 0.5), **changes})  # type: ignore[arg-type]


def test_values_start_with_the_one_that_transfers() -> None:
    assert CoordCheck(over="density", values=(0.25, 1, 0.5)).values == (1.0, 0.5, 0.25)
    assert CoordCheck(over="width", values=(128.0, 64.0)).values == (64, 128)
