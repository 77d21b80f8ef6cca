"""`wse-sim schedules`: learning-rate schedules, and the average over updates that AdamW takes with each."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import density_options, json_option, of_a_run
from wse_sim.cli.output import print_json, print_tables, say
from wse_sim.cli.words import OutputFile
from wse_sim.errors import SpecError
from wse_sim.spec.written import parse_density

if TYPE_CHECKING:
    from training.schedules.setting import Setting
    from training.schedules.view import ScheduleView

_NAME_COLUMNS = 28  # a longer text is cut in the table and whole above its plot
_PLOT_COLUMNS, _PLOT_ROWS = 40, 4
_MARGIN = 5  # of a plot in the terminal, for the numbers at its axis
_FIGURE_POINTS = 600
_COLUMNS = ("schedule", "first lr", "last lr", "init left", "effective", "of T", "top c at", "last 10 %")
_LEGEND = (
    "init left: weight of the initial weights in the final ones. effective: (Σc)²/Σc², how many equal\n"
    "updates would average as much noise away. last 10 %: share of c in the last tenth of the steps."
)
_ONLY_WITH_MODEL = ("parametrization", "tokens_per_parameter", "batch_size")


@click.command("schedules")
@click.argument("schedules", nargs=-1, metavar="[NAME | 'NAME(PARAMETER=VALUE,...)']...")
@click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    callback=of_a_run("steps_shown"),
    metavar="T",
    help="Optimizer steps, at most 1000000.  [default: 11752, or recipe's]",
)
@click.option("--warmup", metavar="W", help="10%, '346 steps' or '375e6 tokens'.  [default: 10%, or recipe's]")
@click.option(
    "--first-step-lr",
    type=click.Choice(["first_increment", "zero"]),
    default="first_increment",
    show_default=True,
    help="Whether warm-up begins at 1/W or at 0.",
)
@click.option(
    "--peak-lr", type=float, metavar="LR", help="With --model the base rate.  [default: 2.025e-3, or recipe's]"
)
@click.option("--weight-decay", type=float, metavar="WD", help="Of AdamW.  [default: 0.1, or recipe's]")
@click.option("--model", metavar="M", help="Preset, config.json or shape TOML, whose run it is (wse-sim list).")
@click.option(
    "--parametrization", metavar="P", help="How the base rate scales: sp, mup, smupar, ...  [default: recipe's]"
)
@density_options
@click.option("--tpp", "tokens_per_parameter", type=float, metavar="X", help="Tokens per parameter, for the steps.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="B", help="Sequences per step.  [default: recipe's]")
@click.option("--plot", type=OutputFile(), metavar="FILE", help="Write the curves as .svg or .png.")
@json_option
def command(
    *,
    schedules: tuple[str, ...],
    first_step_lr: Any,
    density: float | None,
    sparsity: float | None,
    plot: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Learning-rate schedules, and AdamW as the average over its updates that each makes of it.

    Without a name, list the schedules with their parameters. With names, show each in a run: its learning rate and
    the weight c_i that the update of step i has in the final weights.

    \b
        wse-sim schedules linear cosine_10x 'wsd(cooldown=0.1,shape=1-sqrt)'
        wse-sim schedules linear,linear_10x --model 111m --tpp 200 --plot schedules.svg
    """
    from training.schedules import split_schedules

    texts = [text for argument in schedules for text in split_schedules(argument)]
    if not texts:
        _list(as_json=as_json)
        return
    from training.schedules.view import schedule_views

    setting = _setting(parse_density(density, sparsity), **given)
    views = schedule_views(texts, setting, first_step_lr)
    if plot is not None:
        _write_figure(views, setting, plot)
    if as_json:
        print_json(_content(views, setting))
        return
    _print_tables(views, setting)
    _print_plots(views)
    if plot is not None:
        say(f"figure: {plot}")


def _setting(density: float, *, model: str | None, **given: Any) -> "Setting":
    from training.schedules.setting import model_setting, plain_setting

    if model is not None:
        return model_setting(model, density=density, **given)
    unused = [key for key in _ONLY_WITH_MODEL if given.pop(key) is not None] + ["density"] * (density != 1)
    if unused:
        words = {"tokens_per_parameter": "tpp", "batch_size": "batch-size"}
        raise SpecError(f"--{words.get(unused[0], unused[0])} is of a model: say which with --model")
    return plain_setting(**given)


def _content(views: "list[ScheduleView]", setting: "Setting") -> dict[str, Any]:
    return {
        "run": setting.name,
        "n_steps": setting.n_steps,
        "n_warmup_steps": setting.n_warmup_steps,
        "tensors": [
            {
                **asdict(group),
                "timescale_steps": group.timescale_steps,
                "timescale": group.timescale(setting.n_steps),
            }
            for group in setting.groups
        ],
        "schedules": [view.as_dict() for view in views],
    }


def _list(*, as_json: bool) -> None:
    from training.schedules import SCHEDULES, signature

    rows = [(name, line, signature(name).removeprefix(name).strip("()")) for name, line in SCHEDULES.items()]
    if as_json:
        print_json({"schedules": [dict(zip(("name", "meaning", "parameters"), row, strict=True)) for row in rows]})
        return
    from wse_sim.report.tables import plain_table

    cells = [(name, line, parameters.replace(",", ", ")) for name, line, parameters in rows]
    print_tables(plain_table(("schedule", "after warm-up", "parameters and their defaults"), cells))


def _print_tables(views: "list[ScheduleView]", setting: "Setting") -> None:
    from rich.text import Text

    from wse_sim.report.quantities import significant
    from wse_sim.report.tables import plain_table

    run = f"{setting.name}: {setting.n_steps:,} steps, {setting.n_warmup_steps:,} of them warm-up"
    header = ("AdamW averages over τ = 1/(ηλ)", "peak lr η", "weight decay λ", "τ (steps)", "τ / T")
    cells = [
        (
            group.name,
            f"{group.peak_lr:.4g}",
            f"{group.weight_decay:.4g}",
            significant(group.timescale_steps, 4),
            significant(group.timescale(setting.n_steps)),
        )
        for group in setting.groups
    ]
    print_tables(Text(run, "bold"), plain_table(header, cells, right=header[1:]), "")
    average = plain_table(_COLUMNS, map(_cells, views), right=_COLUMNS[1:])
    print_tables(Text(f"The average of the {setting.groups[0].name}", "bold"), average, Text(_LEGEND, "dim"), "")


def _cells(view: "ScheduleView") -> tuple[str, ...]:
    from wse_sim.report.quantities import percent

    figures, summary = view.as_dict(), view.summary
    return (
        view.schedule if len(view.schedule) <= _NAME_COLUMNS else view.schedule[: _NAME_COLUMNS - 1] + "…",
        *(f"{figures[key]:.2e}" for key in ("lr_first", "lr_last")),
        percent(summary.weight_left_on_init),
        f"{summary.n_effective_updates:,.0f}",
        *map(percent, (summary.effective_share, summary.largest_at, summary.share_of_last_tenth)),
    )


def _print_plots(views: "list[ScheduleView]") -> None:
    """A pair of plots for each schedule: learning rate on the left, weights of the updates on the right."""
    from wse_sim.report.quantities import significant

    top = max(float(view.coefficients.max()) * len(view.coefficients) for view in views)
    heads = ("learning rate, of the peak", "weight of each update in the final weights, × T")
    click.echo("  ".join(f"{'':{_MARGIN}}{head:{_PLOT_COLUMNS}}" for head in heads).rstrip())
    for view in views:
        click.echo(view.schedule)
        left = _framed(list(view.lr_factors), 1.0, "1")
        right = _framed(list(view.coefficients * len(view.coefficients)), top, significant(top, 2))
        for pair in zip(left, right, strict=True):
            click.echo("  ".join(pair).rstrip())


def _framed(values: list[float], top: float, top_word: str) -> list[str]:
    from wse_sim.report.braille import braille_plot

    lines = braille_plot(values, n_columns=_PLOT_COLUMNS, n_rows=_PLOT_ROWS, top=top)
    words = [top_word, *[""] * (_PLOT_ROWS - 2), "0"]
    return [f"{word:>{_MARGIN - 1}}│{line}" for word, line in zip(words, lines, strict=True)]


def _write_figure(views: "list[ScheduleView]", setting: "Setting", path: Path) -> None:
    from wse_sim.report.curves import Curve, Panel, write_curves

    n_steps = setting.n_steps
    n_points = min(n_steps, _FIGURE_POINTS)
    steps = [round(k * (n_steps - 1) / max(n_points - 1, 1)) for k in range(n_points)]
    x = [(step + 0.5) / n_steps for step in steps]
    curves = {
        "lr": [Curve(label=view.schedule, x=x, y=view.lr_factors[steps]) for view in views],
        "c": [Curve(label=view.schedule, x=x, y=n_steps * view.coefficients[steps]) for view in views],
    }
    panels = [
        Panel(
            title="learning rate", x_label="fraction of the run", y_label="fraction of the peak", curves=curves["lr"]
        ),
        Panel(
            title="weight of each update in the final weights",
            x_label="fraction of the run",
            y_label="coefficient × number of steps",
            curves=curves["c"],
        ),
    ]
    write_curves(panels, path, title=f"{setting.name}, {n_steps:,} steps")
