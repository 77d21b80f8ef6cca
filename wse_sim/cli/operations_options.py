"""The options that say how a cluster is run: failures, checkpoints, and any constant of a whole run."""

import click

from wse_sim.cli.options import parsed_seconds, together

operations_options = together(
    click.option(
        "--system-mtbf",
        callback=parsed_seconds,
        metavar="T",
        help="Mean time between failures of a system: 30d; a bare number is seconds.  [default: the data's]",
    ),
    click.option(
        "--cluster-mtbf",
        callback=parsed_seconds,
        metavar="T",
        help="The same of what systems share: 90d.  [default: the data's]",
    ),
    click.option("--no-failures", is_flag=True, help="Nothing ever fails."),
    click.option(
        "--checkpoint-interval",
        metavar="T",
        help="Work between checkpoints: 2h, '500 steps'; a bare number is seconds.  [default: best]",
    ),
    click.option(
        "--operations",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="TOML with your constants of a whole run (wse-sim explain operations).",
    ),
)
"""For `wse_sim.api.settings.operations_of`."""
