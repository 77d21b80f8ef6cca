"""Claim 11: loss curves of models of any size, each over its own last loss, lie on one line where τ and TPP match.

Models of several widths train for as many tokens per parameter with the same timescale of AdamW's average, as a share
of the run: tau = 1 / (learning rate x weight decay x steps). As a control the narrowest also trains with others.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from training.axis import scaled
from training.claims.claim import Claim, Finding, Setting, Table
from training.claims.interval import Interval, over_seeds
from training.claims.judgement import Check, concluded, is_within
from training.config import TrainConfig
from training.grid import Outcome, Point, run_points
from training.transfer_setup import transfer_setup
from wse_sim.report.curves import Curve, Panel
from wse_sim.workload.transformer import n_parameters

Floats = npt.NDArray[np.float64]

_WIDTHS = (32, 64, 96)
_TPP = 20.0
_TAU: Final = 0.25  # near the best one at 20 TPP: 1.084 x 20^-0.527 = 0.22 (Power Lines, arXiv 2505.13738)
_OTHER_TAUS = (_TAU / 4, _TAU * 4)
_N_EVALUATIONS = 40
_FROM = 0.2  # fraction of the run from which curves are compared
_WITHIN = 0.02
_T: Floats = np.linspace(_FROM, 1.0, 41)

# Loss at the fractions _T over the last one, by width, tau and seed.
Curves = Mapping[tuple[int, float], Mapping[int, Floats]]


def find(setting: Setting) -> Finding:
    """Train the models and compare their curves."""
    widths, setup = _experiment(setting)
    n_seeds = 1 if setting.is_smoke else setting.n_seeds
    tpp = 0.02 if setting.is_smoke else _TPP
    models = [(width, _TAU) for width in widths] + [(widths[0], tau) for tau in _OTHER_TAUS]
    points = [point(setup, width, tau, seed, tpp) for width, tau in models for seed in range(n_seeds)]
    outcomes = run_points(points, setting.out, n_workers=setting.n_workers, watch=setting.watch)
    return judge(setting, outcomes, setup)


def point(setup: TrainConfig, width: int, tau: float, seed: int, tpp: float) -> Point:
    """The run of one model: its weight decay makes up for its learning rate and its length.

    With `constant_lr_wd` the product of learning rate and weight decay is the base's for every tensor, whatever the
    width, so that tau is the same for all of them.
    """
    shape, _ = scaled(setup.shape, 1.0, "width", width)
    n_steps = max(2, round(tpp * n_parameters(shape) / setup.tokens_per_step))
    config = msgspec.structs.replace(
        setup,
        shape=shape,
        seed=seed,
        n_steps=n_steps,
        weight_decay=1.0 / (setup.base.peak_lr * tau * n_steps),
        weight_decay_scaling="constant_lr_wd",
        eval_interval=max(1, n_steps // _N_EVALUATIONS),
        log_interval=max(1, n_steps // 200),
    )
    return Point({"width": width, "tau": tau, "seed": seed}, config)


def _experiment(setting: Setting) -> tuple[tuple[int, ...], TrainConfig]:
    if setting.is_smoke:
        small = transfer_setup(parametrization="mup", d_model=32, batch_size=4, seq_len=16, n_eval_sequences=8)
        return (32, 64), small
    return _WIDTHS, transfer_setup(parametrization="mup", d_model=64, batch_size=16, seq_len=64)


def judge(setting: Setting, outcomes: Sequence[Outcome], setup: TrainConfig) -> Finding:
    """Matched curves lie within two per cent of each other; how far mismatched ones are apart stands beside it."""
    curves = curves_of(outcomes)
    widths = sorted({width for width, _ in curves})
    matched = [(width, _TAU) for width in widths]
    mismatched = [[(widths[0], tau), *matched[1:]] for tau in _OTHER_TAUS]
    spread = gap(curves, matched)
    return concluded(
        setting,
        [Check(f"curves are at most {_percent(spread)} apart, within {_WITHIN:.0%}", is_within(spread, high=_WITHIN))],
        setup=_said(setup, widths),
        tables=(_gap_table(curves, [matched, *mismatched]), _curve_table(curves), _loss_table(outcomes)),
        panels=[
            _panel(f"timescale {tau:g} at width {widths[0]}", curves, models)
            for tau, models in zip((_TAU, *_OTHER_TAUS), [matched, *mismatched], strict=True)
        ],
        remarks=[
            _how_far_apart(outcomes, widths),
            *(
                f"With timescale {models[0][1]:g} at width {widths[0]} in place of {_TAU:g} they are "
                f"{_percent(gap(curves, models))} apart."
                for models in mismatched
            ),
        ],
    )


def _how_far_apart(outcomes: Sequence[Outcome], widths: Sequence[int]) -> str:
    """How unlike the models are, which is what the curves are divided by."""
    narrow, wide = (
        over_seeds([of.val_loss or math.nan for of in outcomes if (of.key["width"], of.key["tau"]) == (width, _TAU)])
        for width in (widths[0], widths[-1])
    )
    return (
        f"The last loss falls from {narrow.text('.2f')} nats per byte at width {widths[0]} to {wide.text('.2f')} at "
        f"width {widths[-1]}: models this small are not at the same stage of learning, which a division by the last "
        "loss would have to make up for."
    )


def curves_of(outcomes: Sequence[Outcome]) -> dict[tuple[int, float], dict[int, Floats]]:
    """Each run's held-out losses over the last one, at common fractions of the way; not numbers where it diverged."""
    curves: dict[tuple[int, float], dict[int, Floats]] = defaultdict(dict)
    for outcome in outcomes:
        model = int(outcome.key["width"]), float(outcome.key["tau"])
        curves[model][int(outcome.key["seed"])] = _normalized(outcome)
    return dict(curves)


def gap(curves: Curves, models: Sequence[tuple[int, float]]) -> Interval:
    """How far the highest of the curves is above the lowest where that is most, as a fraction, over seeds."""
    by_seed = []
    for seed in curves[models[0]]:
        together = np.stack([curves[model][seed] for model in models])
        by_seed.append(float((together.max(0) / together.min(0) - 1.0).max()))
    return over_seeds(by_seed)


def _normalized(outcome: Outcome) -> Floats:
    if outcome.val_loss is None:
        return np.full_like(_T, np.nan)
    steps, losses = zip(*outcome.curve, strict=True)
    return np.interp(_T, np.array(steps) / outcome.n_steps, np.array(losses) / outcome.val_loss)


def _said(setup: TrainConfig, widths: Sequence[int]) -> tuple[str, ...]:
    sizes = ", ".join(
        f"{width} ({n_parameters(scaled(setup.shape, 1.0, 'width', width)[0]):,} parameters)" for width in widths
    )
    return (
        f"GPT-2-like models of {setup.shape.n_layers} layers and widths {sizes}, dense, on bytes of the Python "
        "standard library's sources.",
        f"{_TPP:g} tokens per parameter in batches of {setup.batch_size} x {setup.seq_len}, schedule {setup.schedule}, "
        f"warm-up {setup.warmup}, AdamW {setup.betas}, {setup.parametrization} with base learning rate "
        f"{setup.base.peak_lr:g} at width {setup.base.d_base}.",
        f"Timescale: tau = 1 / (learning rate x weight decay x steps) = {_TAU:g} for every decayed tensor of every "
        "width, by way of the weight decay.",
        f"A curve is the held-out loss at {_N_EVALUATIONS} places of the run over the last one; two curves are "
        f"compared from {_FROM:.0%} of the run on, seed by seed, where they are farthest apart.",
    )


def _gap_table(curves: Curves, groups: Sequence[Sequence[tuple[int, float]]]) -> Table:
    rows = tuple(
        (", ".join(f"{width}: {tau:g}" for width, tau in models), _percent(gap(curves, models))) for models in groups
    )
    return Table("How far the curves are apart", ("timescale by width", "largest gap"), rows)


def _curve_table(curves: Curves) -> Table:
    places = [round(float(t), 2) for t in _T[:-1:10]]
    rows = tuple(
        (
            f"{width}",
            f"{tau:g}",
            *(over_seeds([float(of[10 * k]) for of in by_seed.values()]).text() for k in range(len(places))),
        )
        for (width, tau), by_seed in sorted(curves.items())
    )
    columns = ("width", "timescale", *(f"at {place:.0%} of the run" for place in places))
    return Table("Loss over the last loss", columns, rows)


def _loss_table(outcomes: Sequence[Outcome]) -> Table:
    losses: dict[tuple[int, float], list[float]] = defaultdict(list)
    for outcome in outcomes:
        model = int(outcome.key["width"]), float(outcome.key["tau"])
        losses[model].append(math.nan if outcome.val_loss is None else outcome.val_loss)
    rows = tuple((f"{width}", f"{tau:g}", over_seeds(of).text()) for (width, tau), of in sorted(losses.items()))
    return Table("Last held-out loss, nats per byte", ("width", "timescale", "loss"), rows)


def _panel(title: str, curves: Curves, models: Sequence[tuple[int, float]]) -> Panel:
    return Panel(
        title=title,
        x_label="fraction of the run",
        y_label="held-out loss over the last one",
        curves=[_curve(curves, model) for model in models],
    )


def _curve(curves: Curves, model: tuple[int, float]) -> Curve:
    at = [over_seeds([float(of[k]) for of in curves[model].values()]) for k in range(len(_T))]
    has_interval = len(curves[model]) > 1
    return Curve(
        label=f"width {model[0]}",
        x=_T,
        y=[here.mean for here in at],
        low=[here.low for here in at] if has_interval else None,
        high=[here.high for here in at] if has_interval else None,
    )


def _percent(found: Interval) -> str:
    return Interval(100 * found.mean, 100 * found.half, found.n_seeds).percent()


CURVE_COLLAPSE = Claim(
    number=11,
    name="curve-collapse",
    title="Loss curves of all sizes on one line",
    statement="Loss curves of models of different size, each over its own last loss, lie on one line where tokens per "
    "parameter and the timescale of AdamW's average match.",
    source="Scaling with Collapse, arXiv 2509.25087, Figure 4",
    accepted_if="widths 32, 64 and 96 at 20 tokens per parameter and one timescale: after a fifth of the run their "
    "normalized curves are nowhere more than 2 % apart; the interval over seeds decides",
    needs_training=True,
    find=find,
)
