"""The options of `train` that are about weights to begin with."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def init_options(command: Command) -> Command:
    """Adds the options, for `training.described.job_from`."""
    command = click.option(
        "--mask-init",
        type=click.Choice(["random", "topk", "from_zeros"]),
        help="Weights of --init-from that --density keeps: the largest, or those that are not 0.  [default: random]",
    )(command)
    return click.option(
        "--init-from",
        metavar="FOLDER",
        help="Begin with the weights of a Hugging Face folder, GPT-2's or Llama's layout (full, dense); it gives the "
        "model too.",
    )(command)
