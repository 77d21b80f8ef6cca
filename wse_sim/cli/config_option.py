"""The option --config: a run as a file describes it, and the options given beside it, which win."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from wse_sim.api.configured import Configured

config_option = click.option(
    "--config",
    multiple=True,
    metavar="FILE",
    help="A run that a file describes, in place of --model: Cerebras ModelZoo YAML, or TOML (wse-sim explain config). "
    "Options beside it win. Several YAML files are phases of one run.",
)


def configured(files: tuple[str, ...]) -> "Configured | None":
    """What --config names, with the options of this command that were given beside it; None where it is not there."""
    from wse_sim.api.configured import Configured

    if not files:
        return None
    context = click.get_current_context()
    given = (name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    return Configured(tuple(path for text in files for path in text.split(",")), frozenset(given))
