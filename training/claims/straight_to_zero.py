"""Claim 9: a learning rate that falls straight to zero beats one that stops at a tenth, the more so the longer the run.

Both schedules train the same model over learning rates and seeds at several lengths. They are compared at each one's
own best learning rate, and at the same one; a difference is taken seed by seed, because runs of one seed share their
weights and the order of their data.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from models.parametrization import BASES
from training.claims.claim import Claim, Finding, Setting, Table
from training.claims.interval import Interval, over_seeds
from training.claims.judgement import Check, concluded, is_within
from training.claims.transfer_study import listed
from training.config import TrainConfig
from training.grid import Outcome, Point, run_points
from training.transfer_setup import transfer_setup
from wse_sim.report.curves import Curve, Panel
from wse_sim.workload.transformer import n_parameters

D2Z: Final = "linear"
TENFOLD: Final = "linear_10x"
_NAMES = {D2Z: "to zero", TENFOLD: "to a tenth"}
_BASE_LR = 0.006
# Base learning rates are _BASE_LR x 2^k. Long runs want smaller ones: they begin one octave lower.
_OCTAVES: Mapping[float, tuple[int, ...]] = {2: (0, 1, 2, 3), 20: (0, 1, 2, 3), 80: (-1, 0, 1)}
_MOST_OCTAVES = range(-2, 6)  # beyond which no grid grows

Run = tuple[float, str, int]  # tokens per parameter, schedule, octave
Losses = Mapping[Run, Mapping[int, float]]  # by seed; infinite where training diverged


def find(setting: Setting) -> Finding:
    """Train the grids and compare the two schedules."""
    setup, grids = _experiment(setting)
    losses: dict[Run, dict[int, float]] = {}
    for tpp, octaves in grids.items():
        losses.update(_run_bracketed(setting, setup, tpp, octaves))
    return judge(setting, losses, setup)


def judge(setting: Setting, losses: Losses, setup: TrainConfig) -> Finding:
    """The finding that these losses come to."""
    lengths = sorted({tpp for tpp, _, _ in losses})
    return concluded(
        setting,
        _checks(losses, lengths),
        setup=_said(setup, lengths),
        tables=(_best_table(losses, lengths), _matched_table(losses, lengths), _loss_table(losses)),
        panels=[_panel(losses, tpp) for tpp in lengths],
    )


def points(setup: TrainConfig, tpp: float, octaves: Sequence[int], n_seeds: int) -> list[Point]:
    """One point for each schedule, learning rate and seed of one length."""
    n_steps = max(2, round(tpp * n_parameters(setup.shape) / setup.tokens_per_step))
    return [
        Point(
            {"tpp": tpp, "schedule": schedule, "octave": octave, "seed": seed},
            msgspec.structs.replace(
                setup,
                schedule=schedule,
                base=msgspec.structs.replace(setup.base, peak_lr=_BASE_LR * 2.0**octave),
                seed=seed,
                n_steps=n_steps,
                eval_interval=n_steps,
                log_interval=max(1, n_steps // 200),
            ),
        )
        for octave in octaves
        for schedule in (TENFOLD, D2Z)
        for seed in range(n_seeds)
    ]


def _experiment(setting: Setting) -> tuple[TrainConfig, Mapping[float, tuple[int, ...]]]:
    if setting.is_smoke:
        setup = transfer_setup(
            parametrization="mup", d_model=32, batch_size=4, seq_len=16, n_eval_sequences=8, base=BASES["bytes-64"]
        )
        return setup, {0.01: (0, 1), 0.02: (0, 1)}
    setup = transfer_setup(parametrization="mup", d_model=64, batch_size=16, seq_len=64, base=BASES["bytes-64"])
    return setup, _OCTAVES


def _run_bracketed(
    setting: Setting, setup: TrainConfig, tpp: float, octaves: tuple[int, ...]
) -> dict[Run, dict[int, float]]:
    """Losses of one length, over a grid that grows while the best learning rate of a schedule is its last one."""
    n_seeds = 1 if setting.is_smoke else setting.n_seeds
    while True:
        asked = points(setup, tpp, octaves, n_seeds)
        setting.watch.say(f"{tpp:g} tokens per parameter")
        losses = _losses(run_points(asked, setting.out, n_workers=setting.n_workers, watch=setting.watch))
        best = [_best(losses, tpp, schedule) for schedule in (TENFOLD, D2Z)]
        below = (min(octaves) - 1,) if min(octaves) in best else ()
        above = (max(octaves) + 1,) if max(octaves) in best else ()
        wider = tuple(octave for octave in (*below, *octaves, *above) if octave in _MOST_OCTAVES)
        if wider == octaves or setting.is_smoke:
            return losses
        octaves = wider


def _losses(outcomes: Sequence[Outcome]) -> dict[Run, dict[int, float]]:
    losses: dict[Run, dict[int, float]] = defaultdict(dict)
    for outcome in outcomes:
        key = outcome.key
        run = float(key["tpp"]), str(key["schedule"]), int(key["octave"])
        losses[run][int(key["seed"])] = math.inf if outcome.val_loss is None else outcome.val_loss
    return dict(losses)


def _octaves(losses: Losses, tpp: float) -> list[int]:
    return sorted({octave for length, _, octave in losses if length == tpp})


def _best(losses: Losses, tpp: float, schedule: str) -> int:
    """Octave of the least mean loss."""
    return min(_octaves(losses, tpp), key=lambda octave: sum(losses[tpp, schedule, octave].values()))


def gap(losses: Losses, tpp: float, octave: int | None = None) -> Interval:
    """By how many per cent of the loss to a tenth the loss to zero lies above it; negative where it is better.

    Parameters
    ----------
    octave :
        The learning rate of both; None = each one's own best.
    """
    return over_seeds(list(_gaps(losses, tpp, octave).values()))


def _gaps(losses: Losses, tpp: float, octave: int | None = None) -> dict[int, float]:
    of_zero = losses[tpp, D2Z, _best(losses, tpp, D2Z) if octave is None else octave]
    of_tenth = losses[tpp, TENFOLD, _best(losses, tpp, TENFOLD) if octave is None else octave]
    return {seed: 100.0 * (of_zero[seed] / of_tenth[seed] - 1.0) for seed in of_zero}


def _checks(losses: Losses, lengths: Sequence[float]) -> list[Check]:
    short, middle, long = lengths[0], lengths[-2], lengths[-1]
    at_middle, at_long = _gaps(losses, middle), _gaps(losses, long)
    widening = over_seeds([at_long[seed] - at_middle[seed] for seed in at_long])
    return [
        Check(
            f"against decay to a tenth, decay to zero changes the loss by {_percent(gap(losses, short))} at {short:g} "
            "TPP, for the worse",
            is_within(gap(losses, short), low=0.0),
        ),
        Check(
            f"by {_percent(gap(losses, middle))} at {middle:g} TPP, for the better",
            is_within(gap(losses, middle), high=0.0),
        ),
        Check(
            f"from {middle:g} to {long:g} TPP that changes by {_percent(widening)}, wider",
            is_within(widening, high=0.0),
        ),
        *(_lr_check(losses, tpp) for tpp in lengths),
    ]


def _lr_check(losses: Losses, tpp: float) -> Check:
    """The best rate to zero is at least that to a tenth; open where the seeds do not tell the two rates apart."""
    zero, tenth = _best(losses, tpp, D2Z), _best(losses, tpp, TENFOLD)
    said = f"at {tpp:g} TPP the best learning rate of the first is {_lr(tenth):g}, that of the second {_lr(zero):g}"
    if zero >= tenth:
        return Check(said, True)
    at_zero, at_tenth = losses[tpp, D2Z, zero], losses[tpp, D2Z, tenth]
    excess = over_seeds([at_tenth[seed] - at_zero[seed] for seed in at_zero])
    return Check(said, False if is_within(excess, low=0.0) else None)


def _said(setup: TrainConfig, lengths: Sequence[float]) -> tuple[str, ...]:
    shape = setup.shape
    return (
        f"One GPT-2-like model of {shape.n_layers} layers and width {shape.d_model} ({n_parameters(shape):,} "
        "parameters, embeddings counted), dense, on bytes of the Python standard library's sources.",
        f"{listed(lengths)} tokens per parameter (TPP) in batches of {setup.batch_size} x {setup.seq_len}, warm-up "
        f"{setup.warmup}, AdamW {setup.betas}, weight decay {setup.weight_decay:g}, {setup.parametrization} with "
        f"d_base {setup.base.d_base}.",
        "Schedules: linear to zero, and linear to a tenth of the peak. Learning rates in steps of two; a grid grows "
        "while a best rate is the last one.",
        "The loss is that of held-out bytes after the last step; differences are taken seed by seed.",
    )


def _best_table(losses: Losses, lengths: Sequence[float]) -> Table:
    rows = tuple(
        (
            f"{tpp:g}",
            *(cell for schedule in (TENFOLD, D2Z) for cell in _best_cells(losses, tpp, schedule)),
            _percent(gap(losses, tpp)),
        )
        for tpp in lengths
    )
    columns = ("TPP", "best LR to a tenth", "its loss", "best LR to zero", "loss of that", "to zero over to a tenth")
    return Table("Each schedule at its own best learning rate", columns, rows)


def _best_cells(losses: Losses, tpp: float, schedule: str) -> tuple[str, str]:
    best = _best(losses, tpp, schedule)
    return f"{_lr(best):g}", _loss(losses, (tpp, schedule, best))


def _matched_table(losses: Losses, lengths: Sequence[float]) -> Table:
    rows = tuple(
        (f"{tpp:g}", f"{_lr(octave):g}", _percent(gap(losses, tpp, octave)))
        for tpp in lengths
        for octave in _octaves(losses, tpp)
    )
    return Table("Both at the same learning rate", ("TPP", "base LR", "to zero over to a tenth"), rows)


def _loss_table(losses: Losses) -> Table:
    runs = sorted({(tpp, octave) for tpp, _, octave in losses})
    rows = tuple(
        (f"{tpp:g}", f"{_lr(octave):g}", *(_loss(losses, (tpp, schedule, octave)) for schedule in (TENFOLD, D2Z)))
        for tpp, octave in runs
    )
    return Table("Held-out loss, nats per byte", ("TPP", "base LR", "to a tenth", "to zero"), rows)


def _panel(losses: Losses, tpp: float) -> Panel:
    return Panel(
        title=f"{tpp:g} tokens per parameter",
        x_label="base learning rate",
        y_label="held-out loss, nats per byte",
        curves=[_curve(losses, tpp, schedule) for schedule in (TENFOLD, D2Z)],
        x_scale="log2",
    )


def _curve(losses: Losses, tpp: float, schedule: str) -> Curve:
    octaves = [octave for octave in _octaves(losses, tpp) if _is_finite(losses[tpp, schedule, octave])]
    found = [over_seeds(list(losses[tpp, schedule, octave].values())) for octave in octaves]
    has_interval = all(loss.n_seeds > 1 for loss in found)
    return Curve(
        label=_NAMES[schedule],
        x=[_lr(octave) for octave in octaves],
        y=[loss.mean for loss in found],
        low=[loss.low for loss in found] if has_interval else None,
        high=[loss.high for loss in found] if has_interval else None,
        is_marked=True,
    )


def _lr(octave: int) -> float:
    return _BASE_LR * 2.0**octave


def _loss(losses: Losses, run: Run) -> str:
    by_seed = losses[run]
    return over_seeds(list(by_seed.values())).text() if _is_finite(by_seed) else "diverged"


def _is_finite(by_seed: Mapping[int, float]) -> bool:
    return all(map(math.isfinite, by_seed.values()))


def _percent(found: Interval) -> str:
    return "diverged" if math.isnan(found.mean) else found.percent("+.2f")


D2Z_AGAINST_TENTH = Claim(
    number=9,
    name="d2z",
    title="Linear decay to zero against decay to a tenth",
    statement="A learning rate that falls linearly to zero beats one that falls to a tenth of its peak, by more the "
    "more tokens per parameter, at a best learning rate that is no smaller; in very short runs it is the worse one.",
    source="Straight to Zero, arXiv 2502.15938: 0.77 % at 20 tokens per parameter, 2.8 % at 200 (610M model), "
    "crossover near 4",
    accepted_if="each at its own best learning rate, decay to zero is worse at 2 tokens per parameter, better at "
    "20, and the gap is wider at 80; its best learning rate is at least that of decay to a tenth; intervals over "
    "seeds decide",
    needs_training=True,
    find=find,
)
