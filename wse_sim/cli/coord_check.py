"""`wse-sim coord-check`: do activations, and what training does to them, keep their size?"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.app import EXIT_UNMET
from wse_sim.cli.axis import AXES, parse_parametrizations, parse_values
from wse_sim.cli.data_options import data_options, reading_display
from wse_sim.cli.options import density_options, json_option, of_a_run, seeds_option
from wse_sim.cli.output import print_json, print_tables, say
from wse_sim.cli.words import OutputFile
from wse_sim.errors import SpecError
from wse_sim.spec.written import parse_density

if TYPE_CHECKING:
    from models.parametrization import ParametrizationName
    from training.coord_check import Activation, CoordCheck
    from training.coord_slopes import Slope

_VALUES = {"width": "64,128,256,512", "density": "1,1/2,1/4,1/8,1/16", "depth": "2,4,8,16"}
# Few live weights per neuron are outside the theory of SμPar: 256/16 are just enough.
_WIDTH = {"width": 256, "density": 256, "depth": 128}
_FIGURE, _RESULT, _ACTIVATIONS = "coord-check.svg", "coord-check.json", "activations.jsonl"


@click.command("coord-check")
@click.option("--over", type=click.Choice(AXES), required=True, help="What the models differ in.")
@click.option(
    "--values",
    metavar="V,...",
    help="Of width, density or depth.  [default: 64,128,256,512; 1,1/2,1/4,1/8,1/16; 2,4,8,16]",
)
@click.option("--parametrization", metavar="P,...", help="sp, mup, smupar, completep.  [default: what suits the axis]")
@click.option(
    "--steps",
    "n_steps",
    type=click.IntRange(min=2),
    callback=of_a_run("steps_checked"),
    default=10,
    show_default=True,
    help="Forward passes, at most 10000.",
)
@seeds_option("Of each model")
@click.option("--lr", "peak_lr", type=float, default=0.002, show_default=True, help="Base learning rate, constant.")
@click.option(
    "--width",
    "d_model",
    type=click.IntRange(min=1),
    metavar="D",
    help="Where not varied.  [default: 256; 128 over depth]",
)
@click.option(
    "--layers", "n_layers", type=click.IntRange(min=1), default=2, show_default=True, help="Where not varied."
)
@density_options
@data_options
@click.option("--limit", type=float, default=0.1, show_default=True, help="Largest |slope| that counts as flat.")
@click.option("--assert-flat", is_flag=True, help="Exit with code 3 unless everything that is judged is flat.")
@click.option("--plot", type=OutputFile(), metavar="FILE", help="Write the plot as .svg or .png.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write activations, slopes and plot there.")
@json_option
def command(
    *,
    over: Any,
    parametrization: str | None,
    data: str,
    tokenizer: str,
    text_field: str,
    limit: float,
    assert_flat: bool,
    plot: Path | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Do activations, and what training does to them, keep their size over width, density or depth?

    Trains small models for a few steps and fits a power law to the sizes. A slope of 0 is what a parameterization
    that transfers must have; that alone does not show that the best learning rate transfers: wse-sim transfer does.

    \b
        wse-sim coord-check --over density
        wse-sim coord-check --over width --parametrization mup --assert-flat
    """
    from training.coord_slopes import holds, slopes
    from wse_sim.report.figure_kind import figure_kind

    if not math.isfinite(limit):
        raise SpecError(f"--limit is {limit}: write a number such as 0.1")
    if plot is not None:
        figure_kind(plot)
    reading = {"tokenizer": tokenizer, "text_field": text_field}
    setup, names = _setup(over, **options), parse_parametrizations(parametrization, over)
    setup, activations = _measure(names, setup, data, reading)
    found = slopes(activations, over)
    content = _content(setup, found, limit, data, tokenizer)
    _write(activations, setup, content, out, plot)
    if as_json:
        print_json(content)
    else:
        _print(found, setup, limit)
    if assert_flat and not holds(found, limit):
        raise click.exceptions.Exit(EXIT_UNMET)


def _setup(
    over: Any,
    *,
    values: str | None,
    d_model: int | None,
    density: float | None,
    sparsity: float | None,
    **given: Any,
) -> "CoordCheck":
    from training.coord_check import CoordCheck

    return CoordCheck(
        over=over,
        values=tuple(parse_values(values or _VALUES[over])),
        d_model=d_model or _WIDTH[over],
        density=parse_density(density, sparsity),
        **given,
    )


def _measure(
    names: "list[ParametrizationName]", setup: "CoordCheck", data: str, reading: dict[str, str]
) -> "tuple[CoordCheck, list[Activation]]":
    """The set-up with the vocabulary of the data, and what was measured."""
    import msgspec

    from training.coord_check import check_coordinates, vocabulary_for
    from training.data import load_corpus
    from wse_sim.cli.progress import progress

    with reading_display() as tell:
        corpus = load_corpus(data, on_progress=tell, **reading)
    setup = msgspec.structs.replace(setup, vocab_size=vocabulary_for(corpus))
    with progress() as watch:
        watch.begin(len(names) * len(setup.values) * setup.n_seeds, "models")
        return setup, [
            activation for name in names for activation in check_coordinates(corpus, name, setup, on_model=watch.came)
        ]


def _content(setup: "CoordCheck", found: "list[Slope]", limit: float, data: str, tokenizer: str) -> dict[str, Any]:
    import msgspec

    from training.coord_slopes import holds

    names = dict.fromkeys(slope.parametrization for slope in found)
    return {
        "kind": "measured",
        "setup": msgspec.to_builtins(setup),
        "data": data,
        "tokenizer": tokenizer,
        "limit": limit,
        "is_flat": {name: holds([s for s in found if s.parametrization == name], limit) for name in names},
        "slopes": [{**msgspec.to_builtins(slope), "is_flat": slope.is_flat(limit)} for slope in found],
    }


def _write(
    activations: "list[Activation]",
    setup: "CoordCheck",
    content: dict[str, Any],
    out: Path | None,
    plot: Path | None,
) -> None:
    import msgspec

    from training.coord_figure import panels
    from wse_sim.files import make_folder, write_atomically, write_json
    from wse_sim.report.curves import write_curves

    written = []
    if out is not None:
        make_folder(out)
        lines = b"".join(msgspec.json.encode(activation) + b"\n" for activation in activations)
        write_atomically(out / _ACTIVATIONS, lines)
        write_json(out / _RESULT, content)
        written = [out / _ACTIVATIONS, out / _RESULT]
    for path in filter(None, (plot, out and out / _FIGURE)):
        write_curves(panels(activations, setup.over), path, title=f"Coordinate check over {setup.over}, measured")
        written.append(path)
    for path in written:
        say(f"written: {path}")


def _print(found: "list[Slope]", setup: "CoordCheck", limit: float) -> None:
    from training.coord_slopes import JUDGED, holds
    from wse_sim.report.tables import plain_table

    columns = ((1, "size"), (setup.n_steps, "size"), (setup.n_steps, "change"))
    header = ("site", *(f"{quantity}, step {step}" for step, quantity in columns))
    for name in dict.fromkeys(slope.parametrization for slope in found):
        of_name = [slope for slope in found if slope.parametrization == name]
        cells = {(str(slope.site), slope.step, str(slope.quantity)): _cell(slope, limit) for slope in of_name}
        rows = [(site, *(cells[site, *column] for column in columns)) for site in dict.fromkeys(s for s, _, _ in cells)]
        print_tables(plain_table(header, rows, title=f"{name}: slope of log size against log {setup.over}"))
        print_tables(f"{'flat' if holds(of_name, limit) else 'not flat'}\n")
    brackets = f" Brackets: 95 % over {setup.n_seeds} seeds, drawn with replacement." if setup.n_seeds > 1 else ""
    print_tables(
        f"* is not flat: |slope| above {limit:g}. Judged: {', '.join(JUDGED[setup.over])}. "
        f"Change: since step 1, on sequences that are not trained on.{brackets}"
    )


def _cell(slope: "Slope", limit: float) -> str:
    if slope.slope.value is None:
        return "not finite *"
    star = " *" if slope.is_judged and not slope.is_flat(limit) else ""
    if slope.slope.low is None or slope.slope.high is None:
        return f"{slope.slope.value:+z.2f}{star}"
    return f"{slope.slope.value:+z.2f} [{slope.slope.low:+z.2f}, {slope.slope.high:+z.2f}]{star}"
