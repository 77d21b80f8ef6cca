"""The options that say how energy, carbon and money are counted."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from wse_sim.spec.economics import Economics

Command = TypeVar("Command", bound=Callable[..., Any])


def economics_options(command: Command) -> Command:
    """Adds the options, for `economics_from`."""
    options = (
        click.option(
            "--price-basis",
            type=click.Choice(["rental", "purchase"]),
            default="rental",
            show_default=True,
            help="Pay per hour, or amortisation, electricity and upkeep of what was bought.",
        ),
        click.option(
            "--grid",
            metavar="us|eu|world|...|KG",
            help="Whose electricity, or kg CO2e per kWh.  [default: us, or FILE's]",
        ),
        click.option(
            "--electricity-usd-per-kwh",
            type=float,
            metavar="USD",
            help="Price of electricity, which --price-basis purchase pays.  [default: the data's]",
        ),
        click.option(
            "--pue", type=float, metavar="F", help="Energy of the facility over the systems'.  [default: the data's]"
        ),
        click.option("--economics", metavar="FILE", help="TOML with your prices (wse-sim explain economics)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def economics_from(options: dict[str, Any]) -> "Economics":
    """How energy, carbon and money are counted; takes what it needs out of `options`.

    Raises
    ------
    SpecError
        When a value is out of its range, a grid unknown, the file wrong, or a price given that nobody pays.
    """
    from wse_sim.spec.economics import load_economics

    basis, usd_per_kwh = options.pop("price_basis"), options.pop("electricity_usd_per_kwh")
    if usd_per_kwh is not None and basis == "rental":
        raise SpecError(
            "--electricity-usd-per-kwh is given, but rent has electricity in it: use --price-basis purchase"
        )
    return load_economics(options.pop("economics")).with_choices(
        price_basis=basis, grid=options.pop("grid"), usd_per_kwh=usd_per_kwh, pue=options.pop("pue")
    )
