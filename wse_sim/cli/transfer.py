"""`wse-sim transfer`: does the best learning rate stay where it is when width, density or depth changes?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.axis import AXES, parse_log2_lrs, parse_parametrizations, parse_values
from wse_sim.cli.data_options import optional_data_options, reading_display
from wse_sim.cli.options import density_options, json_option, of_a_run, seeds_option
from wse_sim.cli.output import going_on, print_json, print_tables, say
from wse_sim.cli.words import OutputFile
from wse_sim.errors import choose
from wse_sim.spec.written import parse_density

if TYPE_CHECKING:
    from models.parametrization import ParametrizationName
    from training.config import TrainConfig
    from training.resampling import Estimate
    from training.transfer import Study
    from training.transfer_result import ParametrizationResult, ValueResult

_VALUES = {"width": "64,128,256", "density": "1,1/4,1/16", "depth": "2,4,8"}
_FIGURE, _RESULT = "transfer.svg", "transfer.json"


@click.command("transfer")
@click.option("--over", type=click.Choice(AXES), required=True, help="What the models differ in.")
@click.option(
    "--values",
    metavar="V,...",
    help="Of width, density or depth.  [default: 64,128,256; 1,1/4,1/16; 2,4,8]",
)
@click.option("--parametrization", metavar="P,...", help="sp, mup, smupar, completep.  [default: what suits the axis]")
@click.option(
    "--lr-grid",
    multiple=True,
    metavar="[P=]2^A..2^B",
    help="Base learning rates, for one parameterization or for all.  [default: 7 powers of 2 around the base's]",
)
@click.option(
    "--extend",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Rates that a grid may grow by at an end where the best rate is.",
)
@seeds_option("Runs of each learning rate")
@click.option(
    "--steps",
    "n_steps",
    type=click.IntRange(min=2),
    callback=of_a_run("n_steps"),
    metavar="N",
    help="Of each run.  [default: 200]",
)
@click.option(
    "--tpp",
    "tokens_per_parameter",
    type=float,
    callback=of_a_run("tokens_per_parameter"),
    metavar="X",
    help="In place of --steps: tokens/parameter.",
)
@click.option("--width", "d_model", type=click.IntRange(min=1), metavar="D", help="Where not varied.  [default: 128]")
@click.option("--layers", "n_layers", type=click.IntRange(min=1), metavar="L", help="Where not varied.  [default: 2]")
@density_options
@click.option("--iso-wpn", "is_iso_wpn", is_flag=True, help="Over width: density falls as width rises.")
@click.option("--seq-len", type=click.IntRange(min=1), metavar="S", help="Tokens per sequence.  [default: 64]")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    callback=of_a_run("batch_size"),
    metavar="B",
    help="Sequences per step.  [default: 8]",
)
@click.option("--schedule", metavar="NAME", help="Of the learning rate.  [default: linear (D2Z)]")
@click.option("--warmup", metavar="W", help="10%, '346 steps' or '375e6 tokens'.  [default: 10%]")
@click.option("--sparsity-algorithm", metavar="A", help="static, set, rigl, gmp: how masks change.  [default: static]")
@click.option("--mask-update-steps", type=click.IntRange(min=1), metavar="N", help="Between two changes of the masks.")
@click.option("--base", "bases", multiple=True, metavar="[P=]NAME", help="Base hyper-parameters, for one or for all.")
@optional_data_options
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A training configuration to vary.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: one for each CPU]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="[default: runs/transfer-over-AXIS]")
@click.option("--plot", type=OutputFile(), metavar="FILE", help="Write the plot there too, .svg or .png.")
@json_option
def command(
    *, over: str, out: Path | None, plot: Path | None, workers: int | None, as_json: bool, **options: Any
) -> None:
    """Does the best learning rate stay where it is when width, density or depth changes?

    Trains every parameterization at every value over learning rates and seeds, and says how far the best rate moves
    and what it costs not to tune it again. The same command goes on with a study that was stopped.

    \b
        wse-sim transfer --over density --steps 200 --seeds 3
        wse-sim transfer --over width --values 64,128,256 --parametrization sp,mup --lr-grid sp=2^-12..2^-6
    """
    from training.transfer import run_study
    from wse_sim.cli.progress import progress
    from wse_sim.report.figure_kind import figure_kind

    if plot is not None:
        figure_kind(plot)
    study = _study(over, **options)
    _read_data(study)
    folder = out or Path("runs") / f"transfer-over-{over}"
    with going_on(), progress() as watch:
        results = run_study(study, folder, n_workers=workers, watch=watch)
    content = _write(study, results, folder, plot)
    if as_json:
        print_json(content)
        return
    _print_results(study, results, content["caveats"])
    for path in filter(None, (folder / _FIGURE, folder / _RESULT, plot)):
        say(f"written: {path}")


def _study(
    over: Any,
    *,
    values: str | None,
    parametrization: str | None,
    lr_grid: tuple[str, ...],
    bases: tuple[str, ...],
    n_seeds: int,
    extend: int,
    tokens_per_parameter: float | None,
    is_iso_wpn: bool,
    **setup: Any,
) -> "Study":
    from training.transfer import make_study

    names = parse_parametrizations(parametrization, over)
    return make_study(
        over,
        parse_values(values or _VALUES[over]),
        names,
        _setup(**setup),
        log2_lrs={name: parse_log2_lrs(text) for name, text in _by_name(lr_grid, names, "--lr-grid").items()},
        bases=_by_name(bases, names, "--base"),
        n_seeds=n_seeds,
        extend=extend,
        tokens_per_parameter=tokens_per_parameter,
        is_iso_wpn=is_iso_wpn,
    )


def _read_data(study: "Study") -> None:
    """Once, with a display, so that processes which train find text made tokens of, and faults show before a study."""
    from training.corpus import corpus_of
    from training.data import require_enough

    with reading_display() as tell:
        corpus = corpus_of(study.setup, tell)
    require_enough(corpus, seq_len=study.setup.seq_len, batch_size=study.setup.batch_size)


def _by_name(
    given: tuple[str, ...], names: "list[ParametrizationName]", option: str
) -> "dict[ParametrizationName, str]":
    """What an option says for each parameterization: `P=...` for one of them, and without `P=` for all others."""
    found = {}
    for text in sorted(given, key=lambda text: "=" in text):
        name, _, value = text.rpartition("=")
        wanted = [choose(name.strip(), names, f"parametrization in {option}")] if name else names
        found.update(dict.fromkeys(wanted, value))
    return found  # type: ignore[return-value]


def _setup(
    *,
    config: Path | None,
    density: float | None,
    sparsity: float | None,
    sparsity_algorithm: str | None,
    mask_update_steps: int | None,
    **given: Any,
) -> "TrainConfig":
    from training.transfer_setup import transfer_setup
    from wse_sim.spec.sparsity import make_algorithm

    changes = {key: value for key, value in given.items() if value is not None}
    if density is not None or sparsity is not None:
        changes["density"] = parse_density(density, sparsity)
    if sparsity_algorithm is not None or mask_update_steps is not None:
        changes["sparsity"] = make_algorithm(sparsity_algorithm or "static", update_freq=mask_update_steps)
    return transfer_setup(config, **changes)


def _write(study: "Study", results: "list[ParametrizationResult]", folder: Path, plot: Path | None) -> dict[str, Any]:
    """Writes plots and JSON, and returns what is in the latter."""
    import msgspec

    from training.transfer_figure import panels
    from training.transfer_result import RULE
    from wse_sim.files import write_json
    from wse_sim.report.curves import write_curves

    content = {
        "kind": "measured",
        "study": msgspec.to_builtins(study),
        "results": msgspec.to_builtins(results),
        "rule": RULE,
        "caveats": _caveats(study),
    }
    write_json(folder / _RESULT, content)
    for path in filter(None, (folder / _FIGURE, plot)):
        write_curves(panels(results, study.over), path, title=f"Best learning rate over {study.over}, measured")
    return content


def _caveats(study: "Study") -> list[str]:
    from models.parametrization import caveats
    from wse_sim.spec.sparsity import algorithm_name

    algorithms = {algorithm_name(algorithm) for algorithm in study.setup.algorithms} if _is_sparse(study) else {"dense"}
    found = (sentence for p in study.log2_lrs for a in sorted(algorithms) for sentence in caveats(p, a))
    return list(dict.fromkeys(found))


def _is_sparse(study: "Study") -> bool:
    return study.over == "density" or study.is_iso_wpn or study.setup.density < 1


def _print_results(study: "Study", results: "list[ParametrizationResult]", caveats: list[str]) -> None:
    from training.transfer_result import RULE
    from wse_sim.report.tables import plain_table

    header = (study.over, "best LR", "optimum, log2", "loss", "drift, octaves", "cost of not retuning")
    for result in results:
        rows = [_row(value) for value in result.values]
        edge = ", best rates at the edge of a grid counted as optima" if result.has_edge else ""
        print_tables(
            plain_table(header, rows, title=result.parametrization, right=header),
            f"{result.verdict}: {result.reason}",
            f"slope {_spread(result.slope, '+z.2f')} octaves per octave of {study.over}{edge}\n",
        )
    brackets = f"Brackets: 95 % over {results[0].n_seeds} seeds, drawn with replacement"
    if results[0].n_seeds == 1:
        brackets = "Brackets: half a step of the grid, since one seed shows no spread"
    print_tables(f"{RULE}. {brackets}.", *(f"note: {sentence}" for sentence in caveats))


def _row(value: "ValueResult") -> tuple[str, ...]:
    edge = {"low": "≤ ", "high": "≥ ", None: ""}[value.edge]
    return (
        f"{value.value:g}",
        f"{edge}2^{value.best_log2_lr:g}",
        edge + _spread(value.optimum_log2_lr, ".2f"),
        "diverged" if value.best_loss is None else f"{value.best_loss:.4f}",
        _spread(value.drift, "+z.2f"),
        "diverged" if value.cost.value is None else _spread(value.cost, "+z.1%"),
    )


def _spread(estimate: "Estimate", form: str) -> str:
    """A figure with its interval; an open end is a dash."""
    low, high = ("–" if end is None else format(end, form) for end in (estimate.low, estimate.high))
    return f"{format(estimate.value, form)} [{low}, {high}]"
