"""Claims 5 and 6: do activations keep their size over density, and over width, while the first steps are taken?"""

import math
from collections.abc import Sequence

from models.parametrization import ParametrizationName
from training.axis import Axis
from training.claims.claim import Claim, Finding, Setting, Table
from training.claims.interval import Interval, over_seeds
from training.claims.judgement import Check, all_of, concluded, is_within
from training.coord_check import Activation, CoordCheck, Site, check_coordinates
from training.coord_slopes import FLAT, slopes
from training.data import STDLIB, load_corpus
from wse_sim.report.curves import Curve, Panel

_DENSITIES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
_WIDTHS = (64, 128, 256, 512)
_N_STEPS = 10
_RISES_OVER_DENSITY = 0.7
_SITES: tuple[Site, ...] = ("attention", "mlp")


def check(setting: Setting, over: Axis) -> CoordCheck:
    """The set-up over an axis, at the scale of a laptop or of a smoke run."""
    if setting.is_smoke:
        values: tuple[float, ...] = (1.0, 0.25) if over == "density" else (32, 64)
        return CoordCheck(over=over, values=values, n_seeds=1, n_steps=2, d_model=32, seq_len=16)
    return CoordCheck(
        over=over,
        values=_DENSITIES if over == "density" else _WIDTHS,
        n_seeds=setting.n_seeds,
        n_steps=_N_STEPS,
        d_model=256,
        seq_len=64,
        batch_size=4,
        peak_lr=1e-2,
    )


def find_over_density(setting: Setting) -> Finding:
    """Claim 5."""
    setup = check(setting, "density")
    return judge_over_density(setting, setup, activations(setting, setup, ("sp", "mup", "smupar")))


def judge_over_density(setting: Setting, setup: CoordCheck, found: Sequence[Activation]) -> Finding:
    """SμPar is flat at the first and the last step, SP and μP fall with the density at both."""
    steps = (1, setup.n_steps)
    checks = [_is_flat(found, setup, "smupar", steps)]
    checks += [_rises(found, setup, name, steps, _RISES_OVER_DENSITY) for name in ("sp", "mup")]
    return _concluded(setting, setup, found, checks)


def find_over_width(setting: Setting) -> Finding:
    """Claim 6."""
    setup = check(setting, "width")
    return judge_over_width(setting, setup, activations(setting, setup, ("sp", "mup")))


def judge_over_width(setting: Setting, setup: CoordCheck, found: Sequence[Activation]) -> Finding:
    """μP is flat at the first and the last step, SP grows by the last."""
    checks = [
        _is_flat(found, setup, "mup", (1, setup.n_steps)),
        _rises(found, setup, "sp", (setup.n_steps,), FLAT),
    ]
    return _concluded(setting, setup, found, checks)


def activations(setting: Setting, setup: CoordCheck, names: Sequence[ParametrizationName]) -> list[Activation]:
    """Of all parameterizations."""
    corpus = load_corpus(STDLIB)
    found: list[Activation] = []
    for name in names:
        setting.watch.begin(len(setup.values) * setup.n_seeds, f"models in {name}")
        found += check_coordinates(corpus, name, setup, on_model=setting.watch.came)
    return found


def slope(found: Sequence[Activation], over: Axis, name: ParametrizationName, site: Site, step: int) -> Interval:
    """Of log(mean |activation|) against log(value), over seeds."""
    here = [a for a in found if (a.parametrization, a.site, a.step) == (name, site, step)]
    seeds = sorted({activation.seed for activation in here})
    of_seeds = (slopes([activation for activation in here if activation.seed == seed], over)[0] for seed in seeds)
    return over_seeds([math.nan if of.slope.value is None else of.slope.value for of in of_seeds])


def _is_flat(found: Sequence[Activation], setup: CoordCheck, name: ParametrizationName, steps: Sequence[int]) -> Check:
    return _slopes_check(found, setup, name, steps, -FLAT, FLAT, f"all within ±{FLAT:g}")


def _rises(
    found: Sequence[Activation], setup: CoordCheck, name: ParametrizationName, steps: Sequence[int], least: float
) -> Check:
    return _slopes_check(found, setup, name, steps, least, math.inf, f"all above {least:g}")


def _slopes_check(
    found: Sequence[Activation],
    setup: CoordCheck,
    name: ParametrizationName,
    steps: Sequence[int],
    low: float,
    high: float,
    asked: str,
) -> Check:
    places = [(site, step) for site in _SITES for step in steps]
    of_places = [slope(found, setup.over, name, site, step) for site, step in places]
    answers = [is_within(of, low, high) for of in of_places]
    means = [of.mean for of in of_places]
    doubtful = [
        f"{site} at step {step} {of.text('+.2f')}"
        for (site, step), of, holds in zip(places, of_places, answers, strict=True)
        if not holds
    ]
    at = "steps " + " and ".join(map(str, steps)) if len(steps) > 1 else f"step {steps[0]}"
    return Check(
        f"slopes of {name} at {at} are {min(means):+z.2f} to {max(means):+z.2f}, {asked}"
        + (f" (but {', '.join(doubtful)})" if doubtful else ""),
        all_of(answers),
    )


def _concluded(setting: Setting, setup: CoordCheck, found: Sequence[Activation], checks: Sequence[Check]) -> Finding:
    names = list(dict.fromkeys(activation.parametrization for activation in found))
    return concluded(
        setting,
        checks,
        setup=_said(setup),
        tables=(_slope_table(found, setup, names),),
        panels=[_panel(found, setup, name) for name in names],
    )


def _said(setup: CoordCheck) -> tuple[str, ...]:
    values = ", ".join(f"{value:g}" for value in setup.values)
    models = f"densities {values} at width {setup.d_model}" if setup.over == "density" else f"widths {values}, dense"
    return (
        f"GPT-2-like models of {setup.n_layers} layers, {models}, on bytes of the Python standard library's sources.",
        f"{setup.n_steps} forward passes and the updates between them, {setup.batch_size} x {setup.seq_len} tokens "
        f"each, constant base learning rate {setup.peak_lr:g}, base width {setup.d_base}, {setup.n_seeds} seed(s).",
        "What is measured: the mean |activation| that leaves the attention layers and the feed-forward layers (mlp). "
        "Step 1 is before the first update.",
    )


def _slope_table(found: Sequence[Activation], setup: CoordCheck, names: Sequence[ParametrizationName]) -> Table:
    steps = (1, setup.n_steps)
    rows = tuple(
        (name, site, *(slope(found, setup.over, name, site, step).text("+.3f") for step in steps))
        for name in names
        for site in _SITES
    )
    columns = ("parameterization", "site", *(f"step {step}" for step in steps))
    return Table(f"Slope of log(mean |activation|) against log({setup.over})", columns, rows)


def _panel(found: Sequence[Activation], setup: CoordCheck, name: ParametrizationName) -> Panel:
    return Panel(
        title=name,
        x_label=setup.over,
        y_label="mean |activation|",
        curves=[_curve(found, setup, name, site, step) for site in _SITES for step in (1, setup.n_steps)],
        x_scale="log2",
        y_scale="log10",
    )


def _curve(found: Sequence[Activation], setup: CoordCheck, name: ParametrizationName, site: Site, step: int) -> Curve:
    logs = [
        over_seeds(
            [
                math.log(activation.size)
                for activation in found
                if (activation.parametrization, activation.site, activation.step) == (name, site, step)
                and activation.value == value
            ]
        )
        for value in setup.values
    ]
    has_interval = setup.n_seeds > 1
    return Curve(
        label=f"{site}, step {step}",
        x=setup.values,
        y=[math.exp(log.mean) for log in logs],
        low=[math.exp(log.low) for log in logs] if has_interval else None,
        high=[math.exp(log.high) for log in logs] if has_interval else None,
        is_marked=True,
    )


COORDINATES_OVER_DENSITY = Claim(
    number=5,
    name="coordinates-over-density",
    title="Activations over density",
    statement="Under SμPar activations keep their size at every density while training takes its first steps; under SP "
    "and μP they shrink with the density.",
    source="SμPar, arXiv 2405.15743, Figure 5",
    accepted_if="the log-log slope of mean |activation| against density is within ±0.1 under SμPar and above 0.7 under "
    "SP and μP, after the attention and the feed-forward layers, at steps 1 and 10; intervals over seeds decide",
    needs_training=True,
    find=find_over_density,
)
COORDINATES_OVER_WIDTH = Claim(
    number=6,
    name="coordinates-over-width",
    title="Activations over width",
    statement="Under μP activations keep their size at every width while training takes its first steps; under SP they "
    "grow with the width.",
    source="Tensor Programs V, arXiv 2203.03466, Figure 5; The Practitioner's Guide to the Maximal Update "
    "Parameterization (Cerebras, EleutherAI)",
    accepted_if="the log-log slope of mean |activation| against width is within ±0.1 under μP at steps 1 and 10, and "
    "above 0.1 under SP at step 10, after the attention and the feed-forward layers; intervals over seeds decide",
    needs_training=True,
    find=find_over_width,
)
