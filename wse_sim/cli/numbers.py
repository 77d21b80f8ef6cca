"""Numbers on the command line: in the digits 0 to 9, whatever else Python would read as one."""

from copy import copy
from functools import partial
from typing import Any

import click
from click.types import FloatParamType, IntParamType

from wse_sim.spec.written import plain


def take_plain_numbers(command: click.Command) -> None:
    """The numbers that a command takes, and those of commands in it, are written in the digits 0 to 9 alone."""
    for param in command.params:
        kind = param.type
        if isinstance(kind, IntParamType | FloatParamType) and "convert" not in vars(kind):
            param.type = copy(kind)  # the others that share it stay as they are
            param.type.convert = partial(_convert, kind)  # type: ignore[method-assign]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            take_plain_numbers(inner)


def _convert(kind: click.ParamType[Any], value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    try:
        return kind.convert(plain(value) if isinstance(value, str) else value, param, ctx)
    except ValueError as error:
        kind.fail(f"{error}.", param, ctx)
