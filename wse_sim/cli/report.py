"""`wse-sim report`: a run directory's report.html, written again."""

from pathlib import Path

import click


@click.command("report")
@click.argument("run_dir", type=click.Path(path_type=Path))
def command(*, run_dir: Path) -> None:
    """Write report.html of RUN_DIR again, from what a run, several runs, a comparison or a plan left there."""
    from wse_sim.report.html import write_report

    click.echo(write_report(run_dir))
