"""`wse-sim validate`: the simulator against published throughput."""

from pathlib import Path

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables
from wse_sim.cli.words import OutputFile
from wse_sim.errors import SpecError
from wse_sim.files import require_place


@click.command("validate")
@json_option
@click.option("--markdown", is_flag=True, help="Print the whole page as Markdown.")
@click.option("--figure", type=OutputFile(), help="Also write the figure, an SVG.")
@click.option("--shown", type=OutputFile(), help="Also write what reports show of it, as JSON.")
@click.option("--gpu-rows", is_flag=True, help="Print the GPU rows too, not only their summary.")
def command(*, as_json: bool, markdown: bool, figure: Path | None, shown: Path | None, gpu_rows: bool) -> None:
    """Hold the simulator against published throughput: every row with its signed error.

    Wafer rows also show the error of a fit that has not seen the row, or no row of its group (model, kind of system,
    source): these are the evidence, since every row is in the fit. Of GPU rows, those marked `predicted` fixed nothing,
    and fits without their source have not seen their neighbours either.
    """
    _require_places(figure, shown)  # before the fits, not after them
    from wse_sim.calibration import evidence
    from wse_sim.cli.progress import AFTER_S, progress

    with progress(after_s=AFTER_S) as watch:
        content = evidence(watch).as_dict()
    if figure is not None:
        from wse_sim.files import write_atomically
        from wse_sim.report.validation_figure import figure as drawn

        write_atomically(figure, drawn(content).encode())
    if shown is not None:
        from wse_sim.files import write_json
        from wse_sim.report.validation_page import shown_elsewhere

        write_json(shown, shown_elsewhere(content))
    if as_json:
        print_json(content)
        return
    from wse_sim.report.tables import section_table
    from wse_sim.report.validation_page import (
        constants_section,
        gpu_section,
        page,
        sources_section,
        summary_lines,
        wafer_section,
    )

    if markdown:
        click.echo(page(content, figure.name if figure else "validation.svg"), nl=False)
        return
    sections = [wafer_section(content), constants_section(content, "wafer"), sources_section(content)]
    if gpu_rows:
        sections.append(gpu_section(content))
    sections.append(constants_section(content, "gpu"))
    for section in sections:
        print_tables(section_table(section), "")
    print_tables(*summary_lines(content))


def _require_places(figure: Path | None, shown: Path | None) -> None:
    if figure is not None and figure.suffix.lower() != ".svg":
        raise SpecError(f"{figure}: the figure is an .svg, not {figure.suffix or 'a file without a suffix'!r}")
    for path in filter(None, (figure, shown)):
        require_place(path)
