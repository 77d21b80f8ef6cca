"""Learning-rate studies as claims read them: optima, drifts and losses with Student's intervals over seeds.

The optimum of one seed is the vertex of the parabola through its least loss and that one's neighbours. How far it lies
from the first value's is taken seed by seed, because runs of one seed share their weights and the order of their data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.parametrization import ParametrizationName
from training.claims.claim import Cell, Setting, Table
from training.claims.interval import Interval, over_seeds
from training.claims.judgement import Check, is_within
from training.grid import Outcome, read_outcomes
from training.transfer import Study, results, run_study
from training.transfer_result import ParametrizationResult, ValueResult
from wse_sim.report.curves import Curve, Panel
from wse_sim.workload.transformer import n_parameters

STEP = 1.0  # of a grid, in octaves
_HIGHEST = 1.35  # times the best loss: a rate far too high would squeeze the figure
_NO_FIGURE = "–"

OfSeed = Mapping[ParametrizationName, ParametrizationResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A study and what came of it.

    Parameters
    ----------
    of_all :
        Parameterization -> result of all seeds together.
    by_seed :
        For each seed, what its runs alone would give.
    """

    study: Study
    of_all: OfSeed
    by_seed: tuple[OfSeed, ...]

    def found(self, name: ParametrizationName, value: float) -> ValueResult:
        """Of all seeds together."""
        return _at(self.of_all[name], value)

    def of_seeds(self, name: ParametrizationName, value: float) -> list[ValueResult]:
        """Of each seed."""
        return [_at(of_seed[name], value) for of_seed in self.by_seed]

    def optimum(self, name: ParametrizationName, value: float) -> Interval:
        """Base-2 logarithm of the best base learning rate."""
        return over_seeds([_finite(found.optimum_log2_lr.value) for found in self.of_seeds(name, value)])

    def drift(self, name: ParametrizationName, value: float) -> Interval:
        """Octaves from the first value's optimum to this one's."""
        return over_seeds([_finite(found.drift.value) for found in self.of_seeds(name, value)])

    def is_at_edge(self, name: ParametrizationName, value: float) -> bool:
        """The best rate of some seed is the last of its grid: the optimum lies there or beyond."""
        return any(found.edge is not None for found in self.of_seeds(name, value))

    def loss(self, name: ParametrizationName, value: float, log2_lr: float) -> Interval | None:
        """Held-out loss at a rate; None where it was not trained or diverged."""
        by_seed = [
            rate.loss.value
            for found in self.of_seeds(name, value)
            for rate in found.rates
            if rate.log2_lr == log2_lr and rate.loss.value is not None
        ]
        return over_seeds(by_seed) if len(by_seed) == len(self.by_seed) else None


def run_transfer(study: Study, out: Path, setting: Setting) -> Transfer:
    """Train a study, or what is left of it."""
    run_study(study, out, n_workers=setting.n_workers, watch=setting.watch)
    return transfer_of(study, read_outcomes(out))


def transfer_of(study: Study, outcomes: list[Outcome]) -> Transfer:
    """What a study's outcomes come to; seeds that it does not ask for are left out."""
    seeds = range(study.setup.seed, study.setup.seed + study.n_seeds)
    asked = [outcome for outcome in outcomes if outcome.key["seed"] in seeds]
    return Transfer(
        study=study,
        of_all=_by_name(study, asked),
        by_seed=tuple(_by_name(study, [one for one in asked if one.key["seed"] == seed]) for seed in seeds),
    )


def setup_said(study: Study) -> tuple[str, ...]:
    """What was trained, and at what scale."""
    setup = study.setup
    shape = setup.shape
    width = f"width {shape.d_model}" if study.over != "width" else "widths " + listed(study.values)
    density = f"densities {listed(study.values)}" if study.over == "density" else f"density {setup.density:g}"
    if study.is_iso_wpn:
        density = "density in inverse proportion to the width, from 1"
    bases = "; ".join(f"{name}: d_base {b.d_base}, σ {b.init_std:g}" for name, b in study.bases.items())
    return (
        f"GPT-2-like models of {shape.n_layers} layers, {width}, {density} ({n_parameters(shape):,} parameters at "
        f"width {shape.d_model}), on bytes of the Python standard library's sources.",
        f"{setup.n_steps} steps of {setup.batch_size} x {setup.seq_len} tokens, schedule {setup.schedule}, warm-up "
        f"{setup.warmup}, AdamW {setup.betas}, weight decay {setup.weight_decay:g}, {study.n_seeds} seed(s).",
        f"Base hyper-parameters: {bases}.",
        "Learning rates in powers of two; a grid grows while its best rate is the last one.",
        "The loss is that of held-out bytes after the last step. So short a run is at the stage of letter pairs: it "
        "shows where the best learning rate lies, not what sparsity costs.",
    )


def stays(transfer: Transfer, name: ParametrizationName, value: float) -> Check:
    """The optimum lies within one step of the grid of the first value's; open where its grid ends too early."""
    holds = None if transfer.is_at_edge(name, value) else is_within(transfer.drift(name, value), -STEP, STEP)
    return Check(f"{drift_said(transfer, name, value)}, within one step", holds)


def drift_said(transfer: Transfer, name: ParametrizationName, value: float) -> str:
    """Where the optimum lies at a value, in words."""
    beyond = " or more, at the end of a grid" if transfer.is_at_edge(name, value) else ""
    return f"{name} at {transfer.study.over} {value:g} drifts {octaves(transfer.drift(name, value))} octaves{beyond}"


def study_tables(transfer: Transfer) -> tuple[Table, ...]:
    """The best rates, and all losses, a table for each parameterization."""
    return _best_table(transfer), *(_loss_table(transfer, name) for name in transfer.study.log2_lrs)


def transfer_panels(transfer: Transfer, prefix: str = "") -> list[Panel]:
    """Loss against learning rate, a panel for each parameterization."""
    return [
        Panel(
            title=f"{prefix}{name}",
            x_label="base learning rate",
            y_label="held-out loss, nats per byte",
            curves=[_curve(transfer, name, value) for value in transfer.study.values],
            x_scale="log2",
        )
        for name in transfer.study.log2_lrs
    ]


def octaves(found: Interval) -> str:
    """`+1.02 ± 0.40 (3 seeds)`."""
    return found.text("+.2f")


def listed(values: Sequence[float]) -> str:
    """`2, 20, 80`."""
    return ", ".join(f"{value:g}" for value in values)


def _best_table(transfer: Transfer) -> Table:
    """The best rate of each model, how far it drifted, and what it costs not to follow it."""
    study = transfer.study
    rows = [_best_row(transfer, name, value) for name in study.log2_lrs for value in study.values]
    return Table(
        "Best base learning rate",
        (
            "parameterization",
            study.over,
            "best of the grid",
            "log2 of the optimum",
            "drift, octaves",
            "loss at the best rate",
            f"loss at the best rate of {study.over} {study.values[0]:g}",
        ),
        tuple(rows),
    )


def _best_row(transfer: Transfer, name: ParametrizationName, value: float) -> tuple[Cell, ...]:
    first = transfer.study.values[0]
    best, untuned = transfer.found(name, value).best_log2_lr, transfer.found(name, first).best_log2_lr
    bound = " (end of a grid)" if transfer.is_at_edge(name, value) else ""
    return (
        name,
        f"{value:g}",
        f"2^{best:g}{bound}",
        transfer.optimum(name, value).text(".2f"),
        _NO_FIGURE if value == first else octaves(transfer.drift(name, value)),
        _loss_text(transfer.loss(name, value, best)),
        _loss_text(transfer.loss(name, value, untuned)),
    )


def _loss_table(transfer: Transfer, name: ParametrizationName) -> Table:
    study = transfer.study
    rates = sorted({rate.log2_lr for value in study.values for rate in transfer.found(name, value).rates})
    rows = tuple(
        (f"2^{rate:g}", *(_loss_text(transfer.loss(name, value, rate)) for value in study.values)) for rate in rates
    )
    columns = ("base learning rate", *(f"{study.over} {value:g}" for value in study.values))
    return Table(f"Held-out loss, {name}", columns, rows)


def _loss_text(loss: Interval | None) -> str:
    return _NO_FIGURE if loss is None else loss.text()


def _curve(transfer: Transfer, name: ParametrizationName, value: float) -> Curve:
    highest = _HIGHEST * min(
        found.best_loss for of in transfer.study.values if (found := transfer.found(name, of)).best_loss is not None
    )
    shown = []
    for rate in transfer.found(name, value).rates:
        loss = transfer.loss(name, value, rate.log2_lr)
        if loss is not None and loss.mean <= highest:
            shown.append((2.0**rate.log2_lr, loss))
    has_interval = len(transfer.by_seed) > 1
    return Curve(
        label=f"{transfer.study.over} {value:g}",
        x=[lr for lr, _ in shown],
        y=[loss.mean for _, loss in shown],
        low=[loss.low for _, loss in shown] if has_interval else None,
        high=[loss.high for _, loss in shown] if has_interval else None,
        is_marked=True,
    )


def _by_name(study: Study, outcomes: list[Outcome]) -> OfSeed:
    return {result.parametrization: result for result in results(study, outcomes)}


def _at(result: ParametrizationResult, value: float) -> ValueResult:
    return next(found for found in result.values if found.value == value)


def _finite(value: float | None) -> float:
    return math.nan if value is None else value
