"""Claim 14: where each neuron keeps as many live weights, standard parameterization transfers its learning rate too."""

from dataclasses import replace

import msgspec

from models.parametrization import BASES
from training.claims.claim import Claim, Finding, Setting, Table
from training.claims.judgement import concluded
from training.claims.transfer_study import (
    Transfer,
    octaves,
    run_transfer,
    setup_said,
    stays,
    study_tables,
    transfer_panels,
)
from training.transfer import Study, make_study
from training.transfer_setup import transfer_setup

_WIDTHS = (64, 128, 256)
_LOG2_LRS = (-10.0, -9.0, -8.0, -7.0)
_EXTEND = 5
# Figure 11 is SP with the initial weights of the other parameterizations.
_BASE = "bytes-64-sp"


def study(setting: Setting, *, is_iso_wpn: bool) -> Study:
    """Learning rates over widths: at as many live weights per neuron, or dense."""
    base = msgspec.structs.replace(BASES[_BASE], init_std=BASES["smupar-paper"].init_std)
    if setting.is_smoke:
        setup = transfer_setup(d_model=32, n_steps=4, seq_len=16, batch_size=2, n_eval_sequences=8)
        made = make_study("width", (32, 64), ("sp",), setup, log2_lrs={"sp": _LOG2_LRS[:2]}, n_seeds=1)
    else:
        setup = transfer_setup(d_model=_WIDTHS[0], n_steps=200, seq_len=32, batch_size=4, schedule="linear_10x")
        made = make_study(
            "width", _WIDTHS, ("sp",), setup, log2_lrs={"sp": _LOG2_LRS}, n_seeds=setting.n_seeds, extend=_EXTEND
        )
    return msgspec.structs.replace(made, bases={"sp": base}, is_iso_wpn=is_iso_wpn)


def find(setting: Setting) -> Finding:
    """Train both studies and look at the optima of the first."""
    iso = run_transfer(study(setting, is_iso_wpn=True), setting.out / "iso-wpn", setting)
    dense = run_transfer(study(setting, is_iso_wpn=False), setting.out / "dense", setting)
    return judge(setting, iso, dense)


def judge(setting: Setting, iso: Transfer, dense: Transfer) -> Finding:
    """The optimum stays within a step; that of dense models stands beside it."""
    widest = dense.study.values[-1]
    return concluded(
        setting,
        [stays(iso, "sp", width) for width in iso.study.values[1:]],
        setup=(*setup_said(iso.study), "A control: the same models, dense."),
        tables=(
            *(_titled(table, way) for way, of in (("iso-WPN", iso), ("dense", dense)) for table in study_tables(of)),
        ),
        panels=[*transfer_panels(iso, "iso-WPN, "), *transfer_panels(dense, "dense, ")],
        remarks=(
            f"In the control, dense models of the same widths, the optimum drifts {octaves(dense.drift('sp', widest))} "
            f"octaves up to width {widest:g}.",
        ),
    )


def _titled(table: Table, way: str) -> Table:
    return replace(table, title=f"{table.title}, {way}")


ISO_WPN = Claim(
    number=14,
    name="iso-wpn",
    title="Standard parameterization transfers at as many weights per neuron",
    statement="Where density falls as width rises, so that each neuron keeps as many live weights, the best learning "
    "rate of SP stays where it is.",
    source="SμPar, arXiv 2405.15743, Figure 11",
    accepted_if="the optimum of SP stays within one step of the grid (an octave) from width 64, dense, to widths 128 "
    "at density 1/2 and 256 at density 1/4; intervals over seeds decide",
    needs_training=True,
    find=find,
)
