"""`wse-sim simulate`: what a training run does on a wafer-scale cluster."""

from pathlib import Path
from typing import Any

import click

from wse_sim.cli.options import json_option, run_from, run_options
from wse_sim.cli.output import print_json, print_tables


@click.command("simulate")
@run_options
@json_option
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the step's timeline as a Chrome trace; opens in Perfetto.",
)
def command(*, as_json: bool, trace: Path | None, **options: Any) -> None:
    """Simulate a training run on a wafer-scale cluster: step time, tokens/s, bottleneck, days, energy, cost."""
    from wse_sim.simulate import simulate

    simulation = simulate(run_from(**options))
    if trace is not None:
        from wse_sim.report.trace import write_trace

        write_trace(simulation, trace)
        click.echo(f"timeline of one step: {trace}", err=True)
    if as_json:
        print_json(simulation.result.as_dict())
        return
    from wse_sim.report.tables import simulation_table

    print_tables(simulation_table(simulation.result))
