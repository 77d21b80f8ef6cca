"""`wse-sim project`: the loss of a model that nobody trained, from runs or from the published law."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import density_options, json_option
from wse_sim.cli.output import print_json, print_tables
from wse_sim.errors import SpecError, choose
from wse_sim.spec.written import parse_density

if TYPE_CHECKING:
    from wse_sim.spec.model import ModelPreset
    from wse_sim.workload.flops import Convention

_LAWS = ("auto", "power", "chinchilla", "sparse")
_CONVENTIONS = ("paper", "algorithmic", "palm", "6nd")


@click.command("project")
@click.argument("run_dirs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN_DIR]...")
@click.option("--model", required=True, metavar="M", help="Target: preset, config.json or shape TOML (wse-sim list).")
@density_options
@click.option("--tpp", type=float, metavar="X", help="Tokens per parameter of the target.  [default: the runs', or 20]")
@click.option("--law", default="auto", show_default=True, metavar="|".join(_LAWS), help="Law to fit to the runs.")
@click.option(
    "--convention", default="paper", show_default=True, metavar="|".join(_CONVENTIONS), help="How FLOPs are counted."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the fit's starts and the bootstrap."
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw runs, law and target (SVG or PNG).",
)
@json_option
def command(
    *,
    run_dirs: tuple[Path, ...],
    model: str,
    density: float | None,
    sparsity: float | None,
    as_json: bool,
    plot: Path | None,
    **options: Any,
) -> None:
    """Project the loss of a model from finished runs.

    Fits the law that the runs in RUN_DIR... support, and says what it predicts for the model, with an interval over
    seeds and rows. Without runs: the published law of Cerebras-GPT.
    """
    from wse_sim.report.projection import recommended_for
    from wse_sim.spec.load import load_model

    choose(options["law"], _LAWS, "law")
    choose(options["convention"], _CONVENTIONS, "FLOP convention")
    if options["tpp"] is not None and not options["tpp"] > 0:
        raise SpecError(f"tpp is {options['tpp']}: it must be above 0 (20 is compute-optimal)")
    _require_figure(plot)  # before a fit, not after it
    preset = load_model(model)
    project = _from_runs if run_dirs else _from_the_papers
    content = project(preset, parse_density(density, sparsity), plot, run_dirs=run_dirs, **options)
    content["recommended"] = recommended_for(preset, content["tokens_per_parameter"])
    if plot is not None:
        click.echo(f"figure: {plot}", err=True)
    if as_json:
        print_json(content)
        return
    from wse_sim.report.projection import projection_tables

    print_tables(*projection_tables(content))


def _from_runs(
    preset: "ModelPreset",
    density: float,
    plot: Path | None,
    *,
    run_dirs: tuple[Path, ...],
    tpp: float | None,
    law: str,
    convention: "Convention",
    seed: int,
) -> dict[str, Any]:
    from wse_sim.laws.projection import project
    from wse_sim.report.projection import from_runs
    from wse_sim.report.scaling import read_observation

    observations = [read_observation(run_dir) for run_dir in run_dirs]
    projection = project(
        observations,
        preset.shape,
        density=density,
        tokens_per_parameter=tpp,
        law=law,
        convention=convention,
        seed=seed,
    )
    if plot is not None:
        from wse_sim.report.scaling_figure import write_projection_figure

        write_projection_figure(projection, plot)
    return from_runs(projection)


def _from_the_papers(
    preset: "ModelPreset",
    density: float,
    plot: Path | None,
    *,
    run_dirs: tuple[Path, ...],
    tpp: float | None,
    law: str,
    convention: "Convention",
    seed: int,
) -> dict[str, Any]:
    from wse_sim.report.projection import from_the_papers

    if law not in ("auto", "power"):
        raise SpecError(f"the {law} law has to be fitted to runs: name their folders, or leave --law out")
    if convention != "paper":
        raise SpecError(
            f"without runs the loss comes from Eq. 1 of Cerebras-GPT, which takes FLOPs of convention 'paper', not "
            f"{convention!r}: leave --convention out"
        )
    content = from_the_papers(preset.shape, density=density, tokens_per_parameter=tpp)
    if plot is not None:
        from wse_sim.report.scaling_figure import write_published_figure

        write_published_figure(content, plot)
    return content


def _require_figure(plot: Path | None) -> None:
    if plot is not None:
        from wse_sim.report.curves import figure_kind

        figure_kind(plot)
