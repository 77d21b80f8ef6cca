"""Claims 7, 8 and 15: where the best learning rate lies as density falls, and what moves it.

One set-up, trained over learning rates, densities and seeds: under three parameterizations (7), under SμPar with one of
its two corrections (8), and under SμPar with masks that RigL moves (15).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from models.parametrization import ParametrizationName
from training.claims.claim import Claim, Finding, Setting
from training.claims.judgement import Check, concluded, is_within
from training.claims.transfer_study import (
    STEP,
    Transfer,
    drift_said,
    run_transfer,
    setup_said,
    stays,
    study_tables,
    transfer_panels,
)
from training.transfer import Study, make_study
from training.transfer_setup import transfer_setup
from wse_sim.spec.sparsity import make_algorithm

_DENSITIES = (1.0, 1 / 4, 1 / 16)
# Grids begin around the dense optimum and grow while the best rate is the last one.
_FIRST_LOG2_LR: Mapping[ParametrizationName, int] = {"sp": -12}
_FIRST_LOG2_LR_OF_OTHERS = -9
_N_RATES = 4
_EXTEND = 6
_UPDATE_FREQ = 20  # a tenth of the run: the paper's 100 of 1169 steps
_DROP_FRACTION = 0.3


def study(setting: Setting, names: Sequence[ParametrizationName], **changes: Any) -> Study:
    """Learning rates over densities, at the scale of a laptop or of a smoke run.

    Parameters
    ----------
    changes :
        Fields of `TrainConfig`.
    """
    first = {name: _FIRST_LOG2_LR.get(name, _FIRST_LOG2_LR_OF_OTHERS) for name in names}
    n_rates = 2 if setting.is_smoke else _N_RATES
    rates = {name: tuple(low + k * STEP for k in range(n_rates)) for name, low in first.items()}
    if setting.is_smoke:
        setup = transfer_setup(d_model=32, n_steps=4, seq_len=16, batch_size=2, n_eval_sequences=8, **changes)
        return make_study("density", (1.0, 1 / 4), names, setup, log2_lrs=rates, n_seeds=1)
    setup = transfer_setup(d_model=256, n_steps=200, seq_len=32, batch_size=4, schedule="linear_10x", **changes)
    return make_study("density", _DENSITIES, names, setup, log2_lrs=rates, n_seeds=setting.n_seeds, extend=_EXTEND)


def find_lr_over_density(setting: Setting) -> Finding:
    """Claim 7."""
    return judge_lr_over_density(setting, run_transfer(study(setting, ("sp", "mup", "smupar")), setting.out, setting))


def judge_lr_over_density(setting: Setting, transfer: Transfer) -> Finding:
    """SμPar stays within a step at every density; SP and μP rise by two at the sparsest."""
    last = transfer.study.values[-1]
    kept = [stays(transfer, "smupar", density) for density in transfer.study.values[1:]]
    rises = [_moves(transfer, name, last, at_least=2 * STEP) for name in ("sp", "mup")]
    return _concluded(setting, transfer, [*kept, *rises])


def find_both_corrections(setting: Setting) -> Finding:
    """Claim 8."""
    names: tuple[ParametrizationName, ...] = ("smupar_init_only", "smupar_lr_only")
    return judge_both_corrections(setting, run_transfer(study(setting, names), setting.out, setting))


def judge_both_corrections(setting: Setting, transfer: Transfer) -> Finding:
    """At the sparsest, the optimum of each is more than a step away, up or down."""
    last = transfer.study.values[-1]
    checks = [_leaves(transfer, name, last) for name in transfer.study.log2_lrs]
    losses = "; ".join(f"{name} {_best_loss(transfer, name, last)}" for name in transfer.study.log2_lrs)
    remark = f"The loss at each one's best rate at density {last:g}: {losses}; claim 7 has that of SμPar itself."
    return _concluded(setting, transfer, checks, remark)


def find_rigl_breaks_smupar(setting: Setting) -> Finding:
    """Claim 15."""
    rigl = make_algorithm("rigl", drop_fraction=_DROP_FRACTION, update_freq=1 if setting.is_smoke else _UPDATE_FREQ)
    transfer = run_transfer(study(setting, ("smupar",), sparsity=rigl), setting.out, setting)
    return judge_rigl_breaks_smupar(setting, transfer)


def judge_rigl_breaks_smupar(setting: Setting, transfer: Transfer) -> Finding:
    """At the sparsest, the optimum is below that of the dense model."""
    return _concluded(setting, transfer, [_falls(transfer, "smupar", transfer.study.values[-1])])


def _moves(transfer: Transfer, name: ParametrizationName, density: float, at_least: float) -> Check:
    holds = is_within(transfer.drift(name, density), low=at_least)
    return Check(f"{drift_said(transfer, name, density)}, at least {at_least:g} steps up", holds)


def _leaves(transfer: Transfer, name: ParametrizationName, density: float) -> Check:
    stays = is_within(transfer.drift(name, density), -STEP, STEP)
    return Check(
        f"{drift_said(transfer, name, density)}, more than one step away", None if stays is None else not stays
    )


def _falls(transfer: Transfer, name: ParametrizationName, density: float) -> Check:
    return Check(f"{drift_said(transfer, name, density)}, down", is_within(transfer.drift(name, density), high=0.0))


def _best_loss(transfer: Transfer, name: ParametrizationName, density: float) -> str:
    loss = transfer.loss(name, density, transfer.found(name, density).best_log2_lr)
    return "diverged" if loss is None else loss.text()


def _concluded(setting: Setting, transfer: Transfer, checks: list[Check], *remarks: str) -> Finding:
    return concluded(
        setting,
        checks,
        setup=setup_said(transfer.study),
        tables=study_tables(transfer),
        panels=transfer_panels(transfer),
        remarks=remarks,
    )


LR_OVER_DENSITY = Claim(
    number=7,
    name="lr-over-density",
    title="The best learning rate over density",
    statement="Under SμPar the best learning rate stays where it is as density falls; under SP and μP it rises.",
    source="SμPar, arXiv 2405.15743, Figure 6",
    accepted_if="the optimum of SμPar stays within one step of the grid (an octave) at densities 1/4 and 1/16, and "
    "those of SP and μP move at least 2 steps up from density 1 to 1/16; intervals over seeds decide, and an answer "
    "that one leaves open makes the claim inconclusive",
    needs_training=True,
    find=find_lr_over_density,
)
BOTH_CORRECTIONS = Claim(
    number=8,
    name="both-corrections",
    title="SμPar needs both of its corrections",
    statement="Correcting the initial weights alone, or the learning rate alone, does not keep the best learning rate "
    "in place as density falls.",
    source="SμPar, arXiv 2405.15743, Figures 13 and 14",
    accepted_if="with each correction alone the optimum moves by more than one step of the grid (an octave) from "
    "density 1 to 1/16; intervals over seeds decide",
    needs_training=True,
    find=find_both_corrections,
)
RIGL_BREAKS_SMUPAR = Claim(
    number=15,
    name="rigl-breaks-smupar",
    title="RigL breaks the transfer of SμPar",
    statement="Under RigL, SμPar corrects too much: weights chosen by magnitude are larger than random ones, and the "
    "best learning rate falls with density.",
    source="SμPar, arXiv 2405.15743, Section 4.4 and Figure 12",
    accepted_if="the optimum of SμPar with RigL (uniform, drop fraction 0.3, an update every tenth of the run) falls "
    "from density 1 to 1/16; the interval over seeds decides",
    needs_training=True,
    find=find_rigl_breaks_smupar,
)
