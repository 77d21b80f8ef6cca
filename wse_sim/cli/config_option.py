"""The option --config: a run as a file describes it, and the options given beside it, which win."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from wse_sim.errors import SpecError
from wse_sim.spec.written import parse_densities

if TYPE_CHECKING:
    from training.job import Job
    from wse_sim.spec.configuration import Configuration
    from wse_sim.spec.run import Run

config_option = click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE",
    help="A run that a file describes, in place of --model: Cerebras ModelZoo YAML, or TOML (wse-sim explain config). "
    "Options beside it win. Several YAML files are phases of one run.",
)


def configuration_of(configs: tuple[str, ...], model: str | None) -> "Configuration":
    """What the files say.

    Raises
    ------
    SpecError
        When a file is wrong, or a model is named too.
    """
    from wse_sim.spec.read_configuration import read_configuration

    if model is not None:
        raise SpecError("--model and --config are both given: a configuration has a model of its own, leave one out")
    return read_configuration([path for text in configs for path in text.split(",")]).configuration


def given_beside(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that stand on the command line."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in options.items() if source(name) is ParameterSource.COMMANDLINE}


def configured_run(configs: tuple[str, ...], model: str | None, **options: Any) -> "Run":
    """The run to simulate; what the simulator does not do of it is said on stderr."""
    from wse_sim.simulation import run_from_configuration

    configuration = configuration_of(configs, model)
    for line in configuration.run.differs:
        click.echo(f"note: {line}", err=True)
    return run_from_configuration(configuration, **given_beside(options))


def configured_jobs(configs: tuple[str, ...], model: str | None, **options: Any) -> "list[Job]":
    """The jobs to train: one, or one for each density and schedule that are given beside the configuration."""
    from training.configured import job_from_configuration
    from training.schedules import split_schedules

    configuration, given = configuration_of(configs, model), given_beside(options)
    if given.pop("is_sparse_wide", False):
        raise SpecError("--sparse-wide is given, but a configuration says its own widths: leave it out")
    written = given.pop("density", None), given.pop("sparsity", None)
    densities = [None] if written == (None, None) else parse_densities(*written)
    schedules = dict.fromkeys(split_schedules(given.pop("schedule", configuration.training.schedule)))
    return [
        job_from_configuration(configuration, density=density, schedule=schedule, **given)
        for density in densities
        for schedule in schedules
    ]
