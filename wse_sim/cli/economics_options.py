"""The options that say how energy, carbon and money are counted."""

import click

from wse_sim.cli.options import together
from wse_sim.defaults import ECONOMICS

economics_options = together(
    click.option(
        "--price-basis",
        type=click.Choice(["rental", "purchase"]),
        default=ECONOMICS["price_basis"],
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
"""For `wse_sim.api.settings.economics_of`."""
