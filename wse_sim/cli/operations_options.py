"""The options that say how a cluster is run: failures, checkpoints, and any constant of a whole run."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import Command, parsed_seconds
from wse_sim.errors import SpecError
from wse_sim.spec.written import parse_seconds

if TYPE_CHECKING:
    from wse_sim.spec.operations import Operations

_STEPS = re.compile(r"(?P<number>[0-9]+)\s*steps?", re.IGNORECASE)


def operations_options(command: Command) -> Command:
    """Adds the options that say how a cluster is run, for `operations_from`."""
    options = (
        click.option(
            "--system-mtbf",
            callback=parsed_seconds,
            metavar="T",
            help="Mean time between failures of a system: 30d.  [default: the data's]",
        ),
        click.option(
            "--cluster-mtbf",
            callback=parsed_seconds,
            metavar="T",
            help="The same of what systems share: 90d.  [default: the data's]",
        ),
        click.option("--no-failures", is_flag=True, help="Nothing ever fails."),
        click.option(
            "--checkpoint-interval", metavar="T", help="Work between checkpoints: 2h, '500 steps'.  [default: best]"
        ),
        click.option(
            "--operations",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="TOML with your constants of a whole run (wse-sim explain operations).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def operations_from(options: dict[str, Any], base: "Operations | None" = None) -> "Operations":
    """How the cluster is run, by the options that `operations_options` added: they are taken out of `options`.

    Parameters
    ----------
    base :
        What the options change; None = the constants of the data for wafers.

    Raises
    ------
    SpecError
        When a value is wrong, or a mean time between failures is given for what never fails.
    """
    from wse_sim.spec.operations import load_operations, read_operations

    operations = load_operations() if base is None else base
    file, never_fails = options.pop("operations"), options.pop("no_failures")
    if file is not None:
        operations = read_operations(file, operations)
    for name in ("system_mtbf", "cluster_mtbf"):
        flag, mtbf_s = "--" + name.replace("_", "-"), options.pop(name)
        if never_fails and mtbf_s is not None:
            raise SpecError(f"{flag} and --no-failures are both given: use one of them")
        if never_fails:
            flag, mtbf_s = "--no-failures", float("inf")
        if mtbf_s is not None:
            operations = operations.with_values(flag, **{f"{name}_s": mtbf_s})
    interval = options.pop("checkpoint_interval")
    return operations if interval is None else _with_interval(operations, interval)


def _with_interval(operations: "Operations", text: str) -> "Operations":
    steps = _STEPS.fullmatch(text.strip())
    if steps is not None:
        return replace(operations, checkpoint_steps=int(steps["number"]))
    try:
        return replace(operations, checkpoint_interval_s=parse_seconds(text, "checkpoint_interval"))
    except SpecError as error:
        raise SpecError(f"{error}, or steps such as '500 steps'") from None
