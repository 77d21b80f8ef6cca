"""The option that names the dashboards of a run."""

from typing import Any

import click

log_option = click.option(
    "--log",
    metavar="NAME[,...]",
    help="Dashboards that follow the run: tensorboard, wandb (offline). Its own files have the same numbers.",
)


def loggers_from(options: dict[str, Any]) -> tuple[str, ...]:
    """Takes the option out of `options`: names of loggers, whose libraries are there.

    Raises
    ------
    SpecError
        When there is no such logger, or its library is not installed.
    """
    from training.loggers import make_loggers, parse_loggers

    names = parse_loggers(options.pop("log"))
    make_loggers(names)
    return names
