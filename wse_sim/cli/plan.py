"""`wse-sim plan`: what to book for a deadline, a purse, a power cap or a target loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.economics_options import economics_from, economics_options
from wse_sim.cli.host_options import parse_whole_numbers
from wse_sim.cli.operations_options import operations_from, operations_options
from wse_sim.cli.options import json_option, parse_densities
from wse_sim.cli.output import print_json, print_tables
from wse_sim.spec.written import SECONDS, parse_amount, parse_count, parse_numbers
from wse_sim.units import J_PER_KWH

if TYPE_CHECKING:
    from wse_sim.planning.constraints import Constraints
    from wse_sim.planning.search import Search
    from wse_sim.planning.space import Space

_WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_JOULES = {"kWh": J_PER_KWH, "MWh": 1e3 * J_PER_KWH, "GWh": 1e6 * J_PER_KWH}
_KILOGRAMS = {"kg": 1.0, "t": 1e3, "kt": 1e6}


def _limit_options(command: Any) -> Any:
    options = (
        click.option("--deadline", metavar="TIME", help="The whole run at most, failures included: 36h, 10d."),
        click.option("--max-cost", metavar="USD", help="Cost of the run at most: 200k, 1.5M."),
        click.option("--max-power", metavar="POWER", help="Of the systems while they run, at most: 500kW, 1.2MW."),
        click.option("--max-energy", metavar="ENERGY", help="Of the systems over the run, at most: 40MWh."),
        click.option("--max-carbon", metavar="MASS", help="CO2e of the run at most: 20t."),
        click.option(
            "--target-loss", type=float, metavar="L", help="Projected loss at most, in nats per token of the Pile."
        ),
        click.option("--max-csx", type=click.IntRange(min=1), metavar="N", help="Systems at most."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _axis_options(command: Any) -> Any:
    options = (
        click.option(
            "--system", default="cs2,cs3", show_default=True, metavar="S[,...]", help="Kinds of system, or files."
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
    for option in reversed(options):
        command = option(command)
    return command


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
@click.option("--release", default="r2", show_default=True, metavar="R", help="Software release: wse-sim list.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the drawn masks.")
@economics_options
@operations_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write plan.json, front.csv, candidates.csv and report.html there.",
)
@json_option
def command(*, model: str, minimise: str | None, out: Path | None, as_json: bool, **options: Any) -> None:
    """Say what to book for MODEL: the smallest, cheapest or best run within your limits.

    Every combination of systems, batches, densities, schedules and lengths is priced in closed form; those that nothing
    beats in wall clock, cost and loss are simulated by the event engine. Exit code 3 when nothing keeps to the limits;
    the nearest miss is shown.
    """
    import msgspec

    from wse_sim.planning.outcomes import Question
    from wse_sim.planning.planner import plan_of
    from wse_sim.planning.search import search
    from wse_sim.spec.load import load_model

    shape, seq_len = load_model(model).shape, options.pop("seq_len")
    question = Question(
        shape=shape,
        seq_len=shape.seq_len if seq_len is None else seq_len,
        release=options.pop("release").lower(),
        seed=options.pop("seed"),
        economics=economics_from(options),
        operations=operations_from(options),
    )
    constraints, space = _constraints(options), _space(options)
    found = search(question, space, constraints, objective=minimise)
    content = msgspec.to_builtins(plan_of(found))
    if out is not None:
        _write(out, content, found)
    if as_json:
        print_json(content)
    else:
        from wse_sim.report.plan_tables import plan_tables

        print_tables(*plan_tables(content))
    if not content["is_satisfied"]:
        from wse_sim.cli.app import EXIT_UNMET

        raise click.exceptions.Exit(EXIT_UNMET)


def _constraints(options: dict[str, Any]) -> "Constraints":
    from wse_sim.planning.constraints import Constraints

    deadline, cost = options.pop("deadline"), options.pop("max_cost")
    power, energy, carbon = options.pop("max_power"), options.pop("max_energy"), options.pop("max_carbon")
    return Constraints(
        # A bare number would be seconds, as elsewhere, in which nobody counts the days of a run.
        deadline_s=None if deadline is None else parse_amount(deadline, "--deadline", SECONDS),
        max_cost_usd=None if cost is None else parse_count(cost.removeprefix("$"), "--max-cost"),
        max_power_w=None if power is None else parse_amount(power, "--max-power", _WATTS),
        max_energy_j=None if energy is None else parse_amount(energy, "--max-energy", _JOULES),
        max_carbon_kg=None if carbon is None else parse_amount(carbon, "--max-carbon", _KILOGRAMS),
        target_loss=options.pop("target_loss"),
        max_csx=options.pop("max_csx"),
    )


def _space(options: dict[str, Any]) -> "Space":
    from wse_sim.planning.space import Space
    from wse_sim.spec.load import canonical

    given: dict[str, Any] = {
        "systems": tuple(dict.fromkeys(canonical(name.strip()) for name in options["system"].split(",")))
    }
    for name, field in (("num_csx", "num_csx"), ("batch_size", "batch_sizes"), ("microbatch", "microbatches")):
        if options[name] is not None:
            given[field] = tuple(dict.fromkeys(parse_whole_numbers(options[name], name)))
    if options["density"] is not None or options["sparsity"] is not None:
        given["densities"] = tuple(parse_densities(options["density"], options["sparsity"]))
    if options["schedule"] is not None:
        given["schedules"] = tuple(options["schedule"].split(","))
    if options["tpp"] is not None:
        given["tokens_per_parameter"] = tuple(parse_numbers(options["tpp"], "tpp"))
    return Space(**given)


def _write(out: Path, content: dict[str, Any], found: "Search") -> None:
    from wse_sim.planning.files import write_plan

    for path in write_plan(out, content, found):
        click.echo(f"written: {path}", err=True)
