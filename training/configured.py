"""Jobs that a configuration describes, and what it says of the run here."""

from typing import Any

import msgspec

from training.described import GPUS_PER_CSX, PARAMETRIZATIONS, require_masks
from training.execution import Clip
from training.host import Host
from training.job import Job
from training.schedules import parse_schedule
from wse_sim.errors import SpecError, choose
from wse_sim.spec.configuration import Configuration
from wse_sim.spec.model import Recipe
from wse_sim.spec.run import mask_updates_of
from wse_sim.spec.sparsity import UPDATE_STOP, Algorithm, make_algorithm

_OF_AN_EVALUATION = ("eval_interval", "n_eval_sequences", "log_interval", "checkpoint_interval")


def job_from_configuration(
    configuration: Configuration,
    *,
    density: float | None = None,
    sparsity_algorithm: str | None = None,
    mask_update_steps: int | None = None,
    budget: float | None = None,
    **given: Any,
) -> Job:
    """The job that a configuration describes, and options that the user gave beside it, which win.

    Parameters
    ----------
    density, sparsity_algorithm, mask_update_steps :
        None = the configuration's.
    given :
        Other fields of `Job` and of `training.host.Host`; one that is left out is the configuration's, or the default.

    Raises
    ------
    SpecError
        When the configuration cannot be trained, or what is given does not go with it.
    """
    _require_trainable(configuration)
    training = configuration.training
    parse_schedule(given.get("schedule", training.schedule))
    choose(given.get("parametrization", configuration.parametrization), PARAMETRIZATIONS, "parametrization")
    configuration = _overridden(configuration, density, sparsity_algorithm, mask_update_steps)
    run = configuration.run
    batch_size = given.pop("batch_size", configuration.batch_size)  # of the target, and of the target here
    of_host = {name: given.pop(name) for name in Host.__struct_fields__ if name in given}
    num_csx = given.pop("num_csx", configuration.num_csx or 1)
    fields: dict[str, Any] = {
        "schedule": training.schedule,
        "parametrization": configuration.parametrization,
        "seed": run.seed,
        "seq_len": run.seq_len,
        "tokens": configuration.tokens,
        "num_gpus": GPUS_PER_CSX * num_csx,
        **({} if training.data is None else {"data": training.data}),
        **({} if budget is None else {"budget_s": budget}),
    } | given
    job = Job(
        model=configuration.shape.name,
        configuration=configuration,
        density=run.density,
        mask_updates=configuration.mask_updates,
        batch_size=batch_size,
        num_csx=num_csx,
        **fields,
    )
    job.simulated_run(job.density)  # refuses what does not go together
    host = _host(of_host, configuration, job, is_by_budget=budget is not None)
    return msgspec.structs.replace(job, host=host)


def said_of_training(job: Job, n_steps: int) -> dict[str, Any]:
    """What the configuration of a job says of a run of `n_steps` here, as fields of `TrainConfig`; nothing without one.

    How often it evaluates, logs and saves is taken where the run has the configuration's length.
    """
    configuration = job.configuration
    if configuration is None:
        return {}
    recipe = configuration.recipe
    said: dict[str, Any] = dict(job.warmup_fields)
    if recipe is not None:
        said |= {"eps": recipe.adam_eps}
        said |= {} if recipe.betas is None else {"betas": recipe.betas}
        said |= {} if recipe.weight_decay is None else {"weight_decay": recipe.weight_decay}
        said |= {} if job.host.is_itself else {"clip": _clip(recipe)}  # there it may be given
    if n_steps == configuration.n_steps:
        intervals = {name: getattr(configuration.training, name) for name in _OF_AN_EVALUATION}
        said |= {name: value for name, value in intervals.items() if value is not None}
    return said


def _require_trainable(configuration: Configuration) -> None:
    if reasons := configuration.training.cannot_train:
        raise SpecError(
            f"{configuration.shape.name} cannot be trained as it is configured: {'; '.join(reasons)} "
            "(wse-sim simulate takes it)"
        )


def _overridden(
    configuration: Configuration, density: float | None, algorithm: str | None, every_steps: int | None
) -> Configuration:
    if algorithm is None and every_steps is not None:
        raise SpecError("--mask-update-steps is given: name the --sparsity-algorithm too")
    if algorithm is not None:
        configuration = configuration.with_algorithm(_algorithm(algorithm, every_steps))
    if density is not None:
        configuration = configuration.at_density(density)
    require_masks([configuration.run.density], algorithm or "static")
    return configuration


def _algorithm(name: str, every_steps: int | None) -> Algorithm:
    if mask_updates_of(name, every_steps) is None:
        return make_algorithm("static")
    return make_algorithm(name, update_freq=every_steps, update_stop=UPDATE_STOP)


def _host(given: dict[str, Any], configuration: Configuration, job: Job, *, is_by_budget: bool) -> Host:
    """What is asked of the run here: where the model itself trains, all of the configuration's steps."""
    host = Host(**given)
    if not host.is_itself:
        return host
    said: dict[str, Any] = {
        "batch_size": job.batch_size,
        "steps": None if is_by_budget else max(1, round(job.tokens / (job.batch_size * job.seq_len))),
        "precision": configuration.training.precision,
        "clip": _clip(configuration.recipe),
    }
    return Host(**{**said, **given})


def _clip(recipe: Recipe | None) -> Clip:
    return "none" if recipe is None or recipe.clip is None else recipe.clip
