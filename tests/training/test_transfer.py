"""A study finds optima where they are, says how far they moved, and claims no more than its grids and seeds show."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.parametrization import BASES
from tests.watching import Heard
from training.axis import scaled
from training.config import TrainConfig
from training.grid import Outcome, Point, run_points
from training.transfer import Study, make_study, read_study, run_study, study_points
from training.transfer_figure import panels
from training.transfer_result import Bowl, ParametrizationResult, judge
from training.transfer_setup import transfer_setup
from wse_sim.errors import SpecError
from wse_sim.spec.sparsity import Static
from wse_sim.workload.transformer import n_parameters

RATES = tuple(float(k) for k in range(-10, -3))
SETUP = transfer_setup(n_steps=20, d_model=64, data="markov")
LossAt = Callable[[dict[str, Any]], float]


def _bowl(value: float, optimum: float, noise: Sequence[float] = (0.0,), rates: Sequence[float] = RATES) -> Bowl:
    """A parabola in log2 LR whose optimum each seed shifts by its noise."""
    losses = np.array([[3.0 + 0.1 * (rate - optimum - shift) ** 2 for rate in rates] for shift in noise])
    return Bowl(value, tuple(rates), losses)


def _judged(*bowls: Bowl) -> ParametrizationResult:
    return judge("mup", bowls, 1.0)


@given(st.floats(-8.9, -5.1), st.floats(0.5, 3.0))
def test_optimum_of_a_parabola_is_found_between_the_points_of_any_grid(optimum: float, step: float) -> None:
    rates = [-7.0 + step * k for k in range(-6, 7)]
    assert _judged(_bowl(1, -7.0), _bowl(2, optimum, rates=rates)).values[1].optimum_log2_lr.value == pytest.approx(
        optimum, abs=1e-9
    )


def test_drift_slope_and_cost_by_hand() -> None:
    result = _judged(_bowl(1.0, -7.0, (0, 0)), _bowl(0.25, -5.0, (0, 0)), _bowl(0.0625, -3.5, (0, 0), (*RATES, -3, -2)))
    assert [value.drift.value for value in result.values] == pytest.approx([0.0, 2.0, 3.5])
    # Least squares of (0, 2, 3.5) against (0, -2, -4): sum of (x + 2)(y) / sum of (x + 2)^2 = (0 - 7) / 8.
    assert result.slope.value == pytest.approx(-7 / 8)
    # At 0.25 the rate 2^-7 is two octaves off: 0.1 x 2^2 above 3.
    assert result.values[1].cost.value == pytest.approx(0.4 / 3.0)
    assert result.values[1].loss_untuned == pytest.approx(3.4)
    assert result.verdict == "does not transfer"
    assert result.reason == "at 0.0625 the optimum lies at least 3.5 octaves further up"  # the farthest is named


def test_interval_of_the_drift_is_of_seeds_drawn_together() -> None:
    """Noise that a seed has at both values cancels in the drift, and not in the optima."""
    noise = (-0.4, 0.0, 0.4)
    value = _judged(_bowl(1, -7.0, noise), _bowl(2, -6.5, noise)).values[1]
    assert (value.drift.low, value.drift.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (value.optimum_log2_lr.low, value.optimum_log2_lr.high) == (pytest.approx(-6.9), pytest.approx(-6.1))


def test_one_seed_gives_half_a_step_either_way() -> None:
    drift = _judged(_bowl(1, -7.0), _bowl(2, -6.5)).values[1].drift
    assert (drift.low, drift.value, drift.high) == (pytest.approx(0.0), pytest.approx(0.5), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("optimum", "noise", "verdict"),
    [
        (-6.2, (0.0, 0.0), "transfers"),
        (-5.8, (0.0, 0.0), "does not transfer"),
        (-8.2, (0.0, 0.0), "does not transfer"),
        (-6.2, (-0.4, 0.4), "inconclusive"),
        (-4.8, (-0.4, 0.4), "does not transfer"),
    ],
)
def test_verdict_follows_the_rule(optimum: float, noise: tuple[float, ...], verdict: str) -> None:
    assert _judged(_bowl(1, -7.0, (0.0, 0.0)), _bowl(2, optimum, noise)).verdict == verdict


def test_edge_bounds_the_drift_on_one_side_only() -> None:
    beyond = _judged(_bowl(1, -7.0, (0, 0)), _bowl(2, -2.0, (0, 0)))
    assert beyond.values[1].edge == "high"
    assert beyond.values[1].drift == msgspec.structs.replace(beyond.values[1].drift, value=3.0, low=3.0, high=None)
    assert beyond.verdict == "does not transfer"
    assert "at least 3.0 octaves further up" in beyond.reason
    near = _judged(_bowl(1, -4.6, (0, 0)), _bowl(2, -3.0, (0, 0)))
    assert near.verdict == "inconclusive"
    assert "grid ends too early" in near.reason


def test_edge_of_the_first_value_leaves_the_others_open_too() -> None:
    result = _judged(_bowl(1, -12.0, (0, 0)), _bowl(2, -7.0, (0, 0)))
    assert (result.values[1].drift.low, result.values[1].drift.high) == (pytest.approx(3.0), None)
    result = _judged(_bowl(1, -12.0, (0, 0)), _bowl(2, -12.0, (0, 0)))
    assert (result.values[1].drift.low, result.values[1].drift.high) == (None, None)
    assert result.verdict == "inconclusive"


def test_a_draw_at_the_edge_opens_the_interval() -> None:
    """The mean of the seeds has its optimum inside the grid; one seed alone does not."""
    value = _judged(_bowl(1, -7.0, (0.0, 0.0)), _bowl(2, -5.0, (-1.0, 1.5))).values[1]
    assert value.edge is None
    assert value.optimum_log2_lr.high is None
    assert value.drift.high is None


def test_rates_that_diverge_bound_the_optimum_but_make_no_parabola() -> None:
    bowl = _bowl(2, -5.0, (0, 0))
    bowl.losses[1, 5:] = math.inf  # one of two seeds, from the best rate on
    value = _judged(_bowl(1, -7.0, (0, 0)), bowl).values[1]
    assert (value.best_log2_lr, value.optimum_log2_lr.value, value.edge) == (-6.0, -6.0, None)
    assert value.rates[5].loss.value is None
    assert value.rates[5].n_diverged == 1


def test_value_at_which_everything_diverges_has_no_loss_and_an_open_end() -> None:
    bowl = _bowl(2, -5.0, (0, 0))
    bowl.losses[:] = math.inf
    result = _judged(_bowl(1, -7.0, (0, 0)), bowl)
    value = result.values[1]
    assert (value.edge, value.best_loss, value.cost.value) == ("low", None, None)
    assert result.verdict == "does not transfer"
    assert "at least 3.0 octaves further down" in result.reason
    assert panels([result], "width")[0].title == "mup: does not transfer"


def _study(**changes: Any) -> Study:
    given: dict[str, Any] = {"over": "density", "values": (0.25, 1.0), "parametrizations": ["mup"], "setup": SETUP}
    return make_study(**{**given, "n_seeds": 2, "log2_lrs": {"mup": (-8.0, -7.0, -6.0)}, **changes})


def _faked(monkeypatch: pytest.MonkeyPatch, loss_at: LossAt) -> list[Point]:
    """Outcomes of a formula instead of training; returns what is asked for, filled as it comes."""
    asked: list[Point] = []

    def fake(points: Sequence[Point], out: Path, **options: object) -> list[Outcome]:
        asked[:] = points
        return [_outcome(point, loss_at(point.key)) for point in points]

    monkeypatch.setattr("training.transfer.run_points", fake)
    return asked


def _outcome(point: Point, loss: float) -> Outcome:
    return Outcome(
        key=point.key,
        digest=point.digest,
        val_loss=loss,
        train_loss=loss,
        is_diverged=False,
        n_steps=1,
        tokens=1,
        host_s=0.0,
        curve=(),
        data="markov",
        data_sha256="",
    )


def _by_density(optima: Mapping[float, float]) -> LossAt:
    return lambda key: 3.0 + (key["log2_lr"] - optima[key["density"]]) ** 2


def test_grid_grows_until_the_optimum_is_inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = _faked(monkeypatch, _by_density({1.0: -7.0, 0.25: -4.2}))
    heard = Heard()
    (result,) = run_study(_study(extend=3), tmp_path, watch=heard)
    assert result.values[1].optimum_log2_lr.value == pytest.approx(-4.2)
    assert result.values[1].edge is None
    rates = {density: {p.key["log2_lr"] for p in asked if p.key["density"] == density} for density in (1.0, 0.25)}
    assert rates == {1.0: {-8.0, -7.0, -6.0}, 0.25: {-8.0, -7.0, -6.0, -5.0, -4.0, -3.0}}
    assert heard.lines.count("1 more learning rate, where the best one was the last of its grid") == 3


def test_grid_grows_no_further_than_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = _faked(monkeypatch, _by_density({1.0: -7.0, 0.25: 0.0}))
    (result,) = run_study(_study(extend=2), tmp_path)
    assert max(point.key["log2_lr"] for point in asked) == -4.0
    assert result.values[1].edge == "high"


def test_rate_that_is_best_for_the_first_value_is_trained_for_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _faked(monkeypatch, _by_density({1.0: -9.8, 0.25: -7.0}))
    (result,) = run_study(_study(extend=3), tmp_path)
    assert result.values[0].best_log2_lr == -10.0
    assert result.values[1].loss_untuned == pytest.approx(3.0 + 3.0**2)


def test_points_differ_in_what_the_study_varies_and_in_nothing_else() -> None:
    study = _study(over="width", values=(64, 128), tokens_per_parameter=0.5)
    grids = {("mup", value): (-8.0, -7.0) for value in study.values}
    points = study_points(study, grids)  # type: ignore[arg-type]
    assert len(points) == 2 * 2 * study.n_seeds
    for point in points:
        config = point.config
        assert config.shape.d_model == point.key["width"]
        assert config.shape.d_head == SETUP.shape.d_head
        assert config.base == msgspec.structs.replace(BASES["bytes-64"], peak_lr=2.0 ** point.key["log2_lr"])
        assert config.n_steps == round(0.5 * n_parameters(config.shape) / SETUP.tokens_per_step)
        assert (config.seed, config.schedule, config.data) == (point.key["seed"], SETUP.schedule, SETUP.data)


def test_iso_wpn_keeps_live_weights_per_neuron() -> None:
    study = _study(over="width", values=(64, 128, 256), is_iso_wpn=True)
    grids = {("mup", value): (-8.0, -7.0) for value in study.values}
    live = {p.config.shape.d_model * p.config.density for p in study_points(study, grids)}  # type: ignore[arg-type]
    assert live == {64.0}


def test_wider_shape_keeps_heads_and_proportions() -> None:
    shape = msgspec.structs.replace(SETUP.shape, n_heads=2, n_kv_heads=1, d_ff=171)
    wide, density = scaled(shape, 0.5, "width", 192)
    assert (wide.d_model, wide.n_heads, wide.n_kv_heads, wide.d_ff, density) == (192, 6, 3, 513, 0.5)
    assert scaled(shape, 0.5, "depth", 7)[0].n_layers == 7
    assert scaled(shape, 0.5, "density", 0.125) == (shape, 0.125)


def test_study_comes_back_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _faked(monkeypatch, _by_density({1.0: -7.0, 0.25: -7.0}))
    study = _study()
    run_study(study, tmp_path)
    assert read_study(tmp_path) == study


def test_study_may_grow_in_its_folder_and_may_not_become_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _faked(monkeypatch, lambda key: 3.0 + (key["log2_lr"] + 7.0) ** 2)
    run_study(_study(), tmp_path)
    run_study(_study(n_seeds=3, values=(1.0, 0.5, 0.25), parametrizations=["mup", "smupar"]), tmp_path)
    with pytest.raises(SpecError, match=r"another study in this folder \(n_steps was 20, not 30\)"):
        run_study(_study(setup=msgspec.structs.replace(SETUP, n_steps=30)), tmp_path)
    with pytest.raises(SpecError, match=r"another study in this folder \(tokens_per_parameter was None, not 1.0\)"):
        run_study(_study(tokens_per_parameter=1.0), tmp_path)
    with pytest.raises(SpecError, match=r"another study in this folder \(base of mup was "):
        run_study(_study(bases={"mup": "smupar-paper"}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": (1.0,)}, "at least two different ones"),
        ({"is_iso_wpn": True}, "the axis must be width"),
        ({"n_seeds": 0}, "n_seeds is 0: it must be at least 1 and at most 1,000"),
        ({"extend": -1}, "extend is -1, it must be at least 0"),
        ({"tokens_per_parameter": 0.0}, "tpp is 0.0: it must be at least 1e-06"),
        ({"tokens_per_parameter": 1e-5}, "a run has at least one step"),
        ({"tokens_per_parameter": 1e8}, "it must be at least 1 and at most 1,000,000,000"),
        ({"n_seeds": 10**9}, "n_seeds is 1000000000: it must be at least 1 and at most 1,000"),
        (
            {"n_seeds": 1000, "values": [2.0**-k for k in range(40)]},
            "the number of runs is 120000: it must be at most 100,000",
        ),
        ({"log2_lrs": {"mup": (-7.0,)}}, "learning rates of mup must be at least two"),
        ({"over": "width", "values": (64, 100)}, "width 100 is not a whole number of heads of 32"),
        ({"parametrizations": ["completep"], "bases": {"completep": "smupar-610m-sp"}}, "have no depth_base"),
        ({"bases": {"mup": "bytes-46"}}, "did you mean 'bytes-64'"),
        ({"setup": msgspec.structs.replace(SETUP, sparsity=Static(sparsity=0.5))}, "densities vary, and .sparsity. of"),
    ],
)
def test_wrong_study_says_what_would_be_right(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        _study(**changes)


def test_set_up_of_a_file_is_taken_with_changes(tmp_path: Path) -> None:
    from training.toml_text import toml_text

    (tmp_path / "config.toml").write_text(toml_text(SETUP), encoding="utf-8")
    setup = transfer_setup(tmp_path / "config.toml", d_model=128, n_layers=3, schedule="cosine")
    assert (setup.shape.d_model, setup.shape.n_layers, setup.schedule) == (128, 3, "cosine")
    assert (setup.n_steps, setup.data) == (SETUP.n_steps, "markov")


@pytest.mark.usefixtures("runs_here")
def test_trained_study_agrees_with_its_outcomes(tmp_path: Path) -> None:
    study = _study(n_seeds=1, setup=msgspec.structs.replace(SETUP, n_steps=4, n_eval_sequences=8))
    (result,) = run_study(study, tmp_path)
    grids = {("mup", value): (-8.0, -7.0, -6.0) for value in study.values}
    outcomes = run_points(study_points(study, grids), tmp_path)  # type: ignore[arg-type]
    best = min(o.val_loss or math.inf for o in outcomes if o.key["density"] == 1.0)
    assert result.values[0].best_loss == best
    assert isinstance(read_study(tmp_path).setup, TrainConfig)
