"""Claims that train: each runs in small, and each judges losses made up for it as its criterion says."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from models.parametrization import ParametrizationName
from tests.watching import Heard
from training.claims import coordinates, curve_collapse, iso_wpn, lr_over_density, straight_to_zero
from training.claims.claim import Claim, Finding, Setting, Verdict
from training.claims.registry import CLAIMS
from training.claims.straight_to_zero import D2Z, TENFOLD, Losses
from training.claims.transfer_study import Transfer, transfer_of
from training.coord_check import Activation
from training.grid import Outcome
from training.transfer import Study, study_points
from wse_sim.progress import UNWATCHED

SETTING = Setting(out=Path("unused"), n_seeds=3, n_workers=1, is_smoke=False, watch=UNWATCHED)
TRAINED = [claim for claim in CLAIMS if claim.needs_training and claim.name != "frontier"]  # tests/cli runs that one


@pytest.mark.usefixtures("runs_here")
@pytest.mark.parametrize("claim", TRAINED, ids=lambda claim: claim.name)
def test_a_smoke_run_trains_and_decides_nothing(claim: Claim, tmp_path: Path) -> None:
    heard = Heard()
    finding = claim.find(Setting(out=tmp_path, n_seeds=3, n_workers=1, is_smoke=True, watch=heard))
    assert finding.verdict == "inconclusive"
    assert all(table.rows for table in finding.tables)
    assert all(len(curve.x) for panel in finding.panels for curve in panel.curves)
    assert heard.n_came == sum(n for n, _, _ in heard.begun) > 0


# --- learning rates over density and width

Optimum = Callable[[ParametrizationName, float], float]  # octaves above the first value's


def made_up(study: Study, drift: Optimum, *, noise: float = 0.05) -> Transfer:
    """Parabolas over a wide grid; a seed shifts the optima of all values but the first by `noise`."""
    grids = {(name, value): tuple(range(-14, 0)) for name in study.log2_lrs for value in study.values}
    outcomes = []
    for point in study_points(study, grids):
        name, value = point.key["parametrization"], float(point.key[study.over])
        shift = 0.0 if value == study.values[0] else noise * (int(point.key["seed"]) - 1)
        optimum = -8.0 + drift(name, value) + shift  # type: ignore[arg-type]
        loss = 2.5 + 0.02 * (float(point.key["log2_lr"]) - optimum) ** 2
        outcomes.append(outcome(point.key, loss))
    return transfer_of(study, outcomes)


def outcome(key: dict[str, str | int | float], loss: float, curve: Sequence[tuple[int, float]] = ()) -> Outcome:
    return Outcome(
        key=key,
        digest="",
        val_loss=loss,
        train_loss=loss,
        is_diverged=False,
        n_steps=curve[-1][0] if curve else 1,
        tokens=1,
        host_s=1.0,
        curve=tuple(curve),
        data="stdlib",
        data_sha256="",
    )


def over_density(name: str) -> Callable[[ParametrizationName, float], float]:
    """Octaves by which a parameterization's optimum rises for each octave of density that is lost."""
    slopes = {"sp": 1.0, "mup": 1.0, "smupar": 0.0, "drifting": 0.6, "falling": -0.6}
    return lambda parametrization, density: -slopes[name or parametrization] * math.log2(density)


@pytest.mark.parametrize(
    ("smupar", "noise", "verdict"),
    [("smupar", 0.05, "reproduced"), ("drifting", 0.05, "not reproduced"), ("smupar", 2.0, "inconclusive")],
)
def test_smupar_must_stay_and_the_others_must_rise(smupar: str, noise: float, verdict: Verdict) -> None:
    study = lr_over_density.study(SETTING, ("sp", "mup", "smupar"))
    drift: Optimum = lambda name, rho: over_density(smupar if name == "smupar" else name)(name, rho)  # noqa: E731
    found = lr_over_density.judge_lr_over_density(SETTING, made_up(study, drift, noise=noise))
    assert found.verdict == verdict
    assert {row[0] for row in found.tables[0].rows} == {"sp", "mup", "smupar"}


def test_sp_that_stays_refutes_the_claim() -> None:
    study = lr_over_density.study(SETTING, ("sp", "mup", "smupar"))
    found = lr_over_density.judge_lr_over_density(SETTING, made_up(study, over_density("smupar")))
    assert found.verdict == "not reproduced"
    assert "Fails: sp at density 0.0625 drifts +0.00 ± 0.12 (3 seeds) octaves, at least 2 steps up" in found.why


@pytest.mark.parametrize(
    ("slope", "verdict"), [("drifting", "reproduced"), ("falling", "reproduced"), ("smupar", "not reproduced")]
)
def test_each_correction_alone_must_move_either_way(slope: str, verdict: Verdict) -> None:
    study = lr_over_density.study(SETTING, ("smupar_init_only", "smupar_lr_only"))
    assert lr_over_density.judge_both_corrections(SETTING, made_up(study, over_density(slope))).verdict == verdict


@pytest.mark.parametrize(
    ("slope", "verdict"), [("falling", "reproduced"), ("drifting", "not reproduced"), ("smupar", "inconclusive")]
)
def test_under_rigl_the_optimum_must_fall(slope: str, verdict: Verdict) -> None:
    study = lr_over_density.study(SETTING, ("smupar",))
    assert lr_over_density.judge_rigl_breaks_smupar(SETTING, made_up(study, over_density(slope))).verdict == verdict


@pytest.mark.parametrize(("octaves", "verdict"), [(0.0, "reproduced"), (1.5, "not reproduced")])
def test_at_as_many_weights_per_neuron_sp_must_stay(octaves: float, verdict: Verdict) -> None:
    iso, dense = (iso_wpn.study(SETTING, is_iso_wpn=is_iso) for is_iso in (True, False))
    found = iso_wpn.judge(
        SETTING,
        made_up(iso, lambda name, width: -octaves * math.log2(width / 64)),
        made_up(dense, lambda name, width: -math.log2(width / 64)),
    )
    assert found.verdict == verdict
    assert "the optimum drifts -2.00 ± 0.12 (3 seeds) octaves up to width 256" in found.why
    densities = {point.key["width"]: point.config.density for point in study_points(iso, {("sp", 256): (-8.0,)})}
    assert densities == {256: 0.25}


# --- schedules


def schedules(gaps: dict[float, float], *, zero_octave: int = 1, noise: float = 1e-3) -> Losses:
    """Bowls around octave 1; decay to zero `gaps` per cent above decay to a tenth, its best rate at `zero_octave`."""
    return {
        (tpp, schedule, octave): {
            seed: (2.0 + 0.1 * (octave - (zero_octave if schedule == D2Z else 1)) ** 2)
            * (1 + (gap / 100 if schedule == D2Z else 0.0))
            + (noise * (seed - 1) * (1 if tpp == 80 else -1) if schedule == D2Z else 0.0)
            for seed in range(3)
        }
        for tpp, gap in gaps.items()
        for schedule in (TENFOLD, D2Z)
        for octave in range(4)
    }


@pytest.mark.parametrize(
    ("gaps", "zero_octave", "verdict"),
    [
        ({2: 0.6, 20: -0.8, 80: -1.8}, 1, "reproduced"),
        ({2: 0.6, 20: -0.8, 80: -1.8}, 2, "reproduced"),  # a higher best rate is what the paper says
        ({2: 0.6, 20: -0.8, 80: -1.8}, 0, "not reproduced"),  # a lower one is not
        ({2: -0.6, 20: -0.8, 80: -1.8}, 1, "not reproduced"),
        ({2: 0.6, 20: -0.8, 80: -0.2}, 1, "not reproduced"),
        ({2: 0.6, 20: -0.8, 80: -0.8}, 1, "inconclusive"),
    ],
)
def test_decay_to_zero_must_lose_short_runs_and_win_long_ones(
    gaps: dict[float, float], zero_octave: int, verdict: Verdict
) -> None:
    setup, _ = straight_to_zero._experiment(SETTING)
    found = straight_to_zero.judge(SETTING, schedules(gaps, zero_octave=zero_octave), setup)
    assert found.verdict == verdict
    assert [row[0] for row in found.tables[0].rows] == ["2", "20", "80"]


def test_the_gap_at_a_matched_rate_is_taken_seed_by_seed() -> None:
    losses = schedules({2: 0.5, 20: 0.5, 80: 0.5}, noise=0.0)
    assert straight_to_zero.gap(losses, 2, octave=3).mean == pytest.approx(0.5)
    assert straight_to_zero.gap(losses, 2, octave=3).half == pytest.approx(0.0, abs=1e-9)


# --- curves


@pytest.mark.parametrize(("spread", "verdict"), [(0.01, "reproduced"), (0.05, "not reproduced")])
def test_curves_must_be_within_two_per_cent(spread: float, verdict: Verdict) -> None:
    widths, setup = curve_collapse._experiment(SETTING)
    found = curve_collapse.judge(SETTING, [*curves(widths, spread)], setup)
    assert found.verdict == verdict
    assert "With timescale 0.0625 at width 32 in place of 0.25 they are" in found.why


def curves(widths: Sequence[int], spread: float) -> list[Outcome]:
    """(1 + t^-1/2) curves; each width lies `spread` x its place / 2 higher at the start of the comparison."""
    taus = [(width, curve_collapse._TAU) for width in widths] + [(widths[0], t) for t in curve_collapse._OTHER_TAUS]
    found = []
    for width, tau in taus:
        extra = spread * widths.index(width) / 2 + (0.2 if tau != curve_collapse._TAU else 0.0)
        for seed in range(3):
            at = range(1, 101)
            losses = [1.0 + (t / 100) ** -0.5 + extra * (2 + 1e-3 * seed) * (100 - t) / 80 for t in at]
            key = {"width": width, "tau": tau, "seed": seed}
            found.append(outcome(key, losses[-1], list(zip(at, losses, strict=True))))  # type: ignore[arg-type]
    return found


# --- coordinates


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [
        ({"smupar": 0.0, "mup": 1.0, "sp": 1.5}, "reproduced"),
        ({"smupar": 0.3, "mup": 1.0, "sp": 1.5}, "not reproduced"),
        ({"smupar": 0.0, "mup": 0.1, "sp": 1.5}, "not reproduced"),
    ],
)
def test_over_density_smupar_must_be_flat_and_the_others_must_not(slopes: dict[str, float], verdict: Verdict) -> None:
    setup = coordinates.check(SETTING, "density")
    found = coordinates.judge_over_density(SETTING, setup, activations(setup.values, slopes, setup.n_steps))
    assert found.verdict == verdict
    assert_slopes(found, slopes)


def test_over_width_mup_must_be_flat_and_sp_must_grow() -> None:
    setup = coordinates.check(SETTING, "width")
    slopes = {"mup": 0.0, "sp": 1.0}
    found = coordinates.judge_over_width(SETTING, setup, activations(setup.values, slopes, setup.n_steps))
    assert found.verdict == "reproduced"
    grown = activations(setup.values, {"mup": 0.0, "sp": 0.0}, setup.n_steps)
    assert coordinates.judge_over_width(SETTING, setup, grown).verdict == "not reproduced"


def activations(values: Sequence[float], slopes: dict[str, float], n_steps: int) -> list[Activation]:
    return [
        Activation(
            parametrization=name,  # type: ignore[arg-type]
            value=value,
            seed=seed,
            step=step,
            site=site,
            size=value**slope * (1 + 1e-3 * seed),
            change=1.0,
        )
        for name, slope in slopes.items()
        for value in values
        for seed in range(3)
        for step in range(1, n_steps + 1)
        for site in coordinates._SITES
    ]


def assert_slopes(finding: Finding, slopes: dict[str, float]) -> None:
    for name, _, *cells in finding.tables[0].rows:
        assert all(str(cell).startswith(f"{slopes[str(name)]:+.3f}") for cell in cells)
