"""The options that say how much of a simulation its trace holds."""

from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import parsed_count, together

if TYPE_CHECKING:
    from wse_sim.report.trace import TraceExtent

trace_options = together(
    click.option(
        "--trace-steps", metavar="N|A:B", help="N steady steps, or steps A to B from a cold start.  [default: 1]"
    ),
    click.option(
        "--trace-max-bytes",
        callback=parsed_count,
        metavar="BYTES",
        help="Of the trace's JSON; a longer one is thinned.  [default: 20M]",
    ),
)
"""For `trace_extent_from`."""


def trace_extent_from(options: dict[str, Any]) -> "TraceExtent":
    """Takes the options out of `options`.

    Raises
    ------
    SpecError
        When they are wrong.
    """
    from wse_sim.report.trace import trace_extent

    return trace_extent(options.pop("trace_steps"), options.pop("trace_max_bytes"))
