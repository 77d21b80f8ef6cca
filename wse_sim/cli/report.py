"""`wse-sim report`: a page, written again."""

from pathlib import Path

import click


@click.command("report")
@click.argument("path", type=click.Path(path_type=Path))
def command(*, path: Path) -> None:
    """Write the page of PATH again, from what a command left there.

    PATH is the folder of a run, of several runs, of a simulation, a comparison, a plan or a sweep that trained, or the
    table of a sweep.
    """
    from wse_sim.report.html import write_report
    from wse_sim.sweeps.page import sweep_of, write_sweep_page

    table = sweep_of(path)
    click.echo(write_report(path) if table is None else write_sweep_page(table))
