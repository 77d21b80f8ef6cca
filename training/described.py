"""The job that a user describes: options and a model, with the published recipe's numbers where there are none."""

from collections.abc import Iterable
from os import PathLike
from typing import Any

import msgspec

from models.rules import ParametrizationName
from training.host import Host
from training.imported import StartMask, fields_of_job
from training.job import Job, preset_of
from training.schedules import parse_schedule
from wse_sim.defaults import TRAIN
from wse_sim.errors import SpecError, choose
from wse_sim.runs import resolve_run
from wse_sim.spec.load import NO_MODEL, ModelLike, as_preset
from wse_sim.spec.model import ModelPreset
from wse_sim.spec.run import mask_updates_of

GPUS_PER_CSX = 8  # the default comparison: one 8-GPU server for each wafer-scale system
# Those for whose proxies there is a base (`training.proxy`).
PARAMETRIZATIONS: tuple[ParametrizationName, ...] = ("sp", "mup", "smupar")

_OF_THE_RUN = ("system", "density", "is_sparse_wide", "mask_updates", "release", "seed")


def resolve_job(
    model: str | ModelPreset,
    *,
    num_csx: int | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    tokens: float | None = None,
    num_gpus: int | None = None,
    **given: Any,
) -> Job:
    """The job, with the published recipe's numbers where the user gave none.

    Raises
    ------
    SpecError
        When something is unknown or missing; the message names it.
    """
    parse_schedule(given.get("schedule", TRAIN["schedule"]))
    start = given.get("start")
    if start is None and "parametrization" in given:
        choose(given["parametrization"], PARAMETRIZATIONS, "parametrization")
    target = {name: given[name] for name in _OF_THE_RUN if name in given}
    run = resolve_run(
        preset_of(model, start), num_csx=num_csx, batch_size=batch_size, seq_len=seq_len, tokens=tokens, **target
    )
    return Job(
        model=model,
        num_csx=run.num_csx,
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        tokens=run.tokens,
        num_gpus=GPUS_PER_CSX * run.num_csx if num_gpus is None else num_gpus,
        **given,
    )


def job_from(
    *,
    model: ModelLike | None = None,
    sparsity_algorithm: str = "static",
    mask_update_steps: int | None = None,
    budget: float | None = None,
    batch_size: int | None = None,
    parametrization: str | None = None,
    init_from: str | None = None,
    mask_init: StartMask | None = None,
    **given: Any,
) -> Job:
    """The job that a user describes by the options of `wse-sim train`, one value each.

    Parameters
    ----------
    budget :
        Seconds.
    batch_size :
        Of the target, and where the target itself trains, of the run here.
    parametrization :
        None = SμPar; with `init_from`, what the folder's weights are of (`training.imported.imported`).
    init_from, mask_init :
        Folder whose weights the run begins with, and how masks are chosen of them; then the model may be left out.
    given :
        Other fields of `Job` and of `training.host.Host`.

    Raises
    ------
    SpecError
        As `resolve_job`, and when options do not go together.
    """
    host = Host(**{name: given.pop(name) for name in Host.__struct_fields__ if name in given})
    if host.is_itself:
        host = msgspec.structs.replace(host, batch_size=batch_size)
    if init_from is None:
        if model is None:
            raise SpecError(NO_MODEL)
        if mask_init is not None:
            raise SpecError("--mask-init is about weights that are there: give --init-from too")
        given |= {} if parametrization is None else {"parametrization": parametrization}
    else:
        _require_itself(host, given.get("is_sparse_wide", False), None if mask_init is None else sparsity_algorithm)
        given |= fields_of_job(init_from, model, parametrization, mask_init, given.get("density", 1.0))
    if budget is not None:
        given["budget_s"] = budget
    return resolve_job(
        str(model or init_from) if model is None or isinstance(model, str | PathLike) else as_preset(model),
        mask_updates=mask_updates_of(sparsity_algorithm, mask_update_steps),
        batch_size=batch_size,
        host=host,
        **given,
    )


def require_masks(densities: Iterable[float], algorithm: str) -> None:
    """Raises SpecError when masks are to change, and there are none at any density."""
    if algorithm != "static" and min(densities) == 1:
        raise SpecError(f"--sparsity-algorithm {algorithm} has nothing to mask at density 1: give --density too")


def _require_itself(host: Host, is_sparse_wide: bool, masked_by: str | None) -> None:
    """Raise SpecError where what trains is not the model whose weights are given, or its masks are not the weights'."""
    if not host.is_itself:
        raise SpecError("--init-from gives the weights of the model itself: name --mode dense or --mode full too")
    if is_sparse_wide:
        raise SpecError("--sparse-wide makes another model than the one of --init-from: leave one out")
    if masked_by not in (None, "static"):
        raise SpecError(f"--mask-init is of masks that stay, and those of {masked_by} change: leave one out")
