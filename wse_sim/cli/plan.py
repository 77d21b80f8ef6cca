"""`wse-sim plan`: what to book for a deadline, a purse, a power cap or a target loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.economics_options import economics_options
from wse_sim.cli.operations_options import operations_options
from wse_sim.cli.options import json_option, together
from wse_sim.cli.output import command_line, files_in, print_json, print_tables, say_written
from wse_sim.defaults import PLAN

if TYPE_CHECKING:
    from wse_sim.planning.search import Search


_limit_options = together(
    click.option(
        "--deadline",
        metavar="TIME",
        help="The whole run at most, failures included: 36h, 10d.",
    ),
    click.option("--max-cost", metavar="USD", help="Cost of the run at most: 200k, 1.5M."),
    click.option("--max-power", metavar="POWER", help="Of the systems while they run, at most: 500kW, 1.2MW."),
    click.option("--max-energy", metavar="ENERGY", help="Of the systems over the run, at most: 40MWh."),
    click.option("--max-carbon", metavar="MASS", help="CO2e of the run at most: 20t."),
    click.option(
        "--target-loss", type=float, metavar="L", help="Projected loss at most, in nats per token of the Pile."
    ),
    click.option("--max-csx", type=click.IntRange(min=1), metavar="N", help="Systems at most."),
)


_axis_options = together(
    click.option(
        "--system", default=PLAN["system"], show_default=True, metavar="S[,...]", help="Kinds of system, or files."
    ),
    click.option("--num-csx", metavar="N[,...]", help="Numbers of systems.  [default: 1 to 64]"),
    click.option("--batch-size", metavar="B[,...]", help="Sequences per step.  [default: 128 to 8192]"),
    click.option(
        "--microbatch", metavar="m[,...]", help="Sequences per system at a time.  [default: largest that divide]"
    ),
    click.option(
        "--density",
        metavar="RHO[,...]",
        help="Fractions of the linear layers' weights kept.  [default: 1,0.5,0.25,0.125]",
    ),
    click.option("--sparsity", metavar="S[,...]", help="The same as 1 - density: give one of the two."),
    click.option("--schedule", metavar="NAME[,...]", help="linear (to zero), linear_10x.  [default: both]"),
    click.option("--tpp", metavar="X[,...]", help="Tokens per parameter.  [default: 10,20,40,80]"),
)


@click.command("plan")
@click.option("--model", required=True, metavar="M", help="Preset, config.json or shape TOML (wse-sim list).")
@_limit_options
@click.option(
    "--minimise",
    metavar="FIGURE",
    help="What is least in the answer: cost, time, energy, carbon, loss, systems.  [default: loss; with "
    "--target-loss, or without limits, cost]",
)
@_axis_options
@click.option("--seq-len", type=int, metavar="S", help="Tokens per sequence.  [default: the model's]")
@click.option(
    "--release", default=PLAN["release"], show_default=True, metavar="R", help="Software release: wse-sim list."
)
@click.option("--seed", type=int, default=PLAN["seed"], show_default=True, metavar="N", help="Of the drawn masks.")
@economics_options
@operations_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write plan.json, front.csv, candidates.csv and report.html there.",
)
@json_option
def command(*, model: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Say what to book for MODEL: the smallest, cheapest or best run within your limits.

    Every combination of systems, batches, densities, schedules and lengths is priced in closed form; those that nothing
    beats in wall clock, cost and loss are simulated by the event engine. Exit code 3 when nothing keeps to the limits;
    the nearest miss is shown.
    """
    from wse_sim.api.planning import planned
    from wse_sim.cli.progress import AFTER_S, progress

    with progress(after_s=AFTER_S) as watch:
        found = planned(model, options, watch)
    content = found.to_dict()
    if out is not None:
        _write(out, content, found.search)
    if as_json:
        print_json(content)
    else:
        from wse_sim.report.plan_tables import plan_tables

        print_tables(*plan_tables(content))
    if not content["is_satisfied"]:
        from wse_sim.cli.app import EXIT_UNMET

        raise click.exceptions.Exit(EXIT_UNMET)


def _write(out: Path, content: dict[str, Any], found: "Search") -> None:
    from wse_sim.planning.files import write_plan

    there = files_in(out)
    say_written(write_plan(out, content, found, command=command_line()), there)
