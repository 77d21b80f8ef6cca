"""The options that say how much of a simulation its trace holds."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wse_sim.cli.options import parsed_count

if TYPE_CHECKING:
    from wse_sim.report.trace import TraceExtent

Command = TypeVar("Command", bound=Callable[..., Any])


def trace_options(command: Command) -> Command:
    """Adds the options, for `trace_extent_from`."""
    command = click.option(
        "--trace-max-bytes",
        callback=parsed_count,
        metavar="BYTES",
        help="Of the trace's JSON; a longer one is thinned.  [default: 20M]",
    )(command)
    return click.option(
        "--trace-steps", metavar="N|A:B", help="N steady steps, or steps A to B from a cold start.  [default: 1]"
    )(command)


def trace_extent_from(options: dict[str, Any]) -> "TraceExtent":
    """Takes the options out of `options`.

    Raises
    ------
    SpecError
        When they are wrong.
    """
    from wse_sim.report.trace import trace_extent

    return trace_extent(options.pop("trace_steps"), options.pop("trace_max_bytes"))
