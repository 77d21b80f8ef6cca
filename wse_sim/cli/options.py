"""The options that commands share, and the run that they describe."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from wse_sim.cli.config_option import config_option
from wse_sim.defaults import IMPERFECTIONS, RUN
from wse_sim.spec.ranges import check_number
from wse_sim.spec.written import parse_count, parse_seconds

Command = TypeVar("Command", bound=Callable[..., Any])


def parsed_count(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a large number."""
    return None if value is None else parse_count(value, param.name or "count")


def parsed_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a span of time."""
    return None if value is None else parse_seconds(value, param.name or "time")


def of_a_run(number: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Callback of an option that takes what `wse_sim.spec.ranges` calls `number`: out of range, nothing is begun."""

    def checked(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
        if value is not None:
            check_number(number, value, param.opts[0])
        return value

    return checked


def seeds_option(of: str) -> Callable[[Command], Command]:
    """How many seeds each of the things called `of` gets; `n_seeds` in the command."""
    return click.option(
        "--seeds",
        "n_seeds",
        type=click.IntRange(min=1),
        callback=of_a_run("n_seeds"),
        default=3,
        show_default=True,
        help=f"{of}, at most 1000.",
    )


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Adds all of these options to a command, whose help lists them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def given_options(context: click.Context) -> frozenset[str]:
    """Names of the parameters that were typed, not filled in."""
    source = context.get_parameter_source
    return frozenset(name for name in context.params if source(name) is ParameterSource.COMMANDLINE)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")

sparse_wide_option = click.option(
    "--sparse-wide",
    is_flag=True,
    help="Widen the model so that at this density its linear layers keep the dense one's non-zeros.",
)

density_options = together(
    click.option(
        "--density", type=float, metavar="RHO", help="Fraction of the linear layers' weights kept.  [default: 1]"
    ),
    click.option("--sparsity", type=float, metavar="S", help="The same as 1 - density: give one of the two."),
)
"""For `parse_density`."""

run_options = together(
    click.option("--model", metavar="M", help="Preset, config.json or shape TOML (wse-sim list)."),
    config_option,
    click.option(
        "--system", default=RUN["system"], show_default=True, metavar="cs1|cs2|cs3|FILE", help="Kind of system."
    ),
    click.option("--num-csx", type=int, metavar="N", help="Systems.  [default: recipe's with its batch, or 1]"),
    click.option("--batch-size", type=int, metavar="B", help="Sequences per step in all.  [default: recipe's]"),
    click.option("--microbatch", type=int, metavar="m", help="Sequences per system at a time.  [default: fastest]"),
    click.option("--seq-len", type=int, metavar="S", help="Tokens per sequence.  [default: the model's]"),
    density_options,
    sparse_wide_option,
    click.option(
        "--release", default=RUN["release"], show_default=True, metavar="R", help="Software release: wse-sim list."
    ),
    click.option(
        "--tokens",
        callback=parsed_count,
        metavar="T",
        help="Length of the run: 1e9, 26.3B, 800M.  [default: 20 per parameter]",
    ),
    click.option(
        "--seed",
        type=int,
        default=RUN["seed"],
        show_default=True,
        metavar="N",
        help="Of drawn masks, jitter and failures.",
    ),
)
"""What describes a run, for `wse_sim.api.settings.run_of`."""

mask_update_options = together(
    click.option(
        "--sparsity-algorithm",
        type=click.Choice(["static", "set", "rigl", "gmp"]),
        default=IMPERFECTIONS["sparsity_algorithm"],
        show_default=True,
        help="How the masks change while the run trains.",
    ),
    click.option(
        "--mask-update-steps", type=int, metavar="N", help="Steps between two changes of the masks.  [default: 100]"
    ),
)
"""For `wse_sim.spec.run.mask_updates_of`."""

imperfection_options = together(
    click.option(
        "--jitter",
        type=float,
        default=IMPERFECTIONS["jitter"],
        metavar="F",
        help="Each pass takes longer by a drawn fraction from 0 to F.  [default: 0]",
    ),
    click.option(
        "--straggler",
        type=float,
        default=IMPERFECTIONS["straggler"],
        metavar="F",
        help="One system takes F times as long.  [default: 1]",
    ),
    mask_update_options,
)
"""What makes systems and masks less than ideal, for `wse_sim.api.settings.run_of`."""
