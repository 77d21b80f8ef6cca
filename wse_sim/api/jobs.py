"""The jobs that the options of `wse-sim train` describe, known before torch is loaded."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from training.configured import job_from_configuration
from training.described import job_from, require_masks
from training.job import Job
from training.schedules import split_schedules
from wse_sim.api.configured import Configured
from wse_sim.api.values import as_text
from wse_sim.errors import SpecError
from wse_sim.spec.load import ModelLike
from wse_sim.spec.written import parse_densities


def jobs_of(config: Configured | None, model: ModelLike | None, given: dict[str, Any]) -> list[Job]:
    """The jobs that options describe: one for each density and schedule.

    Parameters
    ----------
    config :
        Describes them in place of a model; of what is given, that alone counts which was said beside it.
    given :
        Those of `wse-sim train`, read; density, sparsity and schedule as text, several with commas between them.

    Raises
    ------
    SpecError
        As `training.described.job_from` and `training.configured.job_from_configuration`, and when a model is named
        beside a configuration.
    """
    density, sparsity = (as_text(given.pop(name)) for name in ("density", "sparsity"))
    densities: Sequence[float | None] = (known := parse_densities(density, sparsity))
    if config is None:
        require_masks(known, given["sparsity_algorithm"])
        make: Callable[..., Job] = partial(job_from, model=model, is_sparse_wide=given.pop("sparse_wide"))
        schedules = given.pop("schedule")
    else:
        configuration, given = config.read(model), _beside(config, given)
        densities = [None] if density is None and sparsity is None else known
        make = partial(job_from_configuration, configuration)
        schedules = given.pop("schedule", configuration.training.schedule)
    return [
        make(density=each, schedule=schedule, **given)
        for each in densities
        for schedule in dict.fromkeys(split_schedules(schedules))
    ]


def _beside(config: Configured, given: dict[str, Any]) -> dict[str, Any]:
    """What was said beside a configuration; SpecError where it cannot be."""
    said = config.said(given)
    for name in ("init_from", "mask_init"):
        if said.pop(name, None) is not None:
            raise SpecError(f"--{name.replace('_', '-')} is given, but a configuration draws weights: leave one out")
    if said.pop("sparse_wide", False):
        raise SpecError("--sparse-wide is given, but a configuration says its own widths: leave it out")
    return said
