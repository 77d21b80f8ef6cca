"""`wse-sim project`: the loss of a model that nobody trained, from runs or from the published law."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.api.parameters import CONVENTIONS, LAWS
from wse_sim.cli.options import density_options, json_option
from wse_sim.cli.output import print_json, print_tables, say
from wse_sim.cli.words import OutputFile
from wse_sim.defaults import PROJECT

if TYPE_CHECKING:
    from wse_sim.api.projecting import ProjectionResult


@click.command("project")
@click.argument("run_dirs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN_DIR]...")
@click.option("--model", required=True, metavar="M", help="Target: preset, config.json or shape TOML (wse-sim list).")
@density_options
@click.option("--tpp", type=float, metavar="X", help="Tokens per parameter of the target.  [default: the runs', or 20]")
@click.option(
    "--law", default=PROJECT["law"], show_default=True, metavar="|".join(LAWS), help="Law to fit to the runs."
)
@click.option(
    "--convention",
    default=PROJECT["convention"],
    show_default=True,
    metavar="|".join(CONVENTIONS),
    help="How FLOPs are counted.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=PROJECT["seed"],
    show_default=True,
    help="Of the fit's starts and the bootstrap.",
)
@click.option(
    "--plot",
    type=OutputFile(),
    metavar="FILE",
    help="Draw runs, law and target (SVG or PNG).",
)
@json_option
def command(
    *,
    run_dirs: tuple[Path, ...],
    model: str,
    as_json: bool,
    plot: Path | None,
    **options: Any,
) -> None:
    """Project the loss of a model from finished runs.

    Fits the law that the runs in RUN_DIR... support, and says what it predicts for the model, with an interval over
    seeds and rows. Of a folder of several runs, all of them. Without runs: the published law of Cerebras-GPT.
    """
    from wse_sim.api.projecting import projected

    _require_figure(plot)  # before a fit, not after it
    found = projected(list(run_dirs), model, options)
    content = found.to_dict()
    if plot is not None:
        _draw(found, plot)
        say(f"figure: {plot}")
    if as_json:
        print_json(content)
        return
    from wse_sim.report.projection import projection_tables

    print_tables(*projection_tables(content))


def _draw(found: "ProjectionResult", plot: Path) -> None:
    from wse_sim.report.scaling_figure import write_projection_figure, write_published_figure

    if found.projection is None:
        write_published_figure(found.to_dict(), plot)
    else:
        write_projection_figure(found.projection, plot)


def _require_figure(plot: Path | None) -> None:
    if plot is not None:
        from wse_sim.report.figure_kind import figure_kind

        figure_kind(plot)
