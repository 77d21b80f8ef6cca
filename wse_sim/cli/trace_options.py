"""The options that say how much of a simulation its trace holds."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wse_sim.cli.options import parsed_count
from wse_sim.errors import SpecError

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
    from wse_sim.report.trace import MAX_BYTES, TraceExtent
    from wse_sim.report.trace_window import TraceSteps, parse_trace_steps

    steps, max_bytes = options.pop("trace_steps"), options.pop("trace_max_bytes")
    if max_bytes is not None and max_bytes < 1:
        raise SpecError(f"--trace-max-bytes is {max_bytes:g}: a number such as 20M would be right")
    return TraceExtent(
        steps=TraceSteps() if steps is None else parse_trace_steps(steps),
        max_bytes=MAX_BYTES if max_bytes is None else int(max_bytes),
    )
