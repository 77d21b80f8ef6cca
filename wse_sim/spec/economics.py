"""How energy, carbon and money of a run are counted: prices, grids, and what the user knows better."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from wse_sim.errors import SpecError, choose, errors_at
from wse_sim.spec.cluster import OF_BILL, SYSTEMS, Cluster
from wse_sim.spec.load import convert, data_names, data_path, read_toml
from wse_sim.spec.ranges import check_number, check_range
from wse_sim.spec.sourced import Sourced, assumed_of
from wse_sim.spec.written import plain

PriceBasis = Literal["rental", "purchase"]

_WHERE = "data/economics.toml"
_OF_PURCHASE = ("usd_per_kwh", "pue", "amortisation_years", "utilisation", "upkeep_per_year")


class Grid(Sourced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Emissions per kWh of electricity, in kg of CO2 equivalent.

    Parameters
    ----------
    place :
        Whose grid, in words.
    """

    place: str


class UnitPrices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user knows better of one system or GPU than the data; None = as there.

    Parameters
    ----------
    power_w :
        While it works.
    rental_usd_per_h, purchase_usd :
        Rent with everything in it, and price to buy it.
    """

    power_w: Sourced | None = None
    rental_usd_per_h: Sourced | None = None
    purchase_usd: Sourced | None = None

    def __post_init__(self) -> None:
        for name, constant in self.said.items():
            check_range(name, constant.value, may_be_least=True)

    @property
    def said(self) -> dict[str, Sourced]:
        """What is known, by argument of `bill`."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: constant for name, constant in values.items() if constant is not None}


class EconomicsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How energy, carbon and money are counted: what a file may say.

    Parameters
    ----------
    default_grid :
        Name of the grid that is meant where none is named, or kg of CO2 equivalent per kWh.
    usd_per_kwh :
        Price of electricity.
    pue :
        Power usage effectiveness: energy of the facility over that of its computers.
    amortisation_years :
        Over which the price of a purchase is spread evenly.
    utilisation :
        Fraction of all hours in which what was bought works on a run that bears its price.
    upkeep_per_year :
        Fraction of the purchase price.
    grid :
        Emissions by name of the grid.
    units :
        Power and prices by name of the system or GPU, in place of those in the data.
    """

    default_grid: str
    usd_per_kwh: Sourced
    pue: Sourced
    amortisation_years: Sourced
    utilisation: Sourced
    upkeep_per_year: Sourced
    grid: dict[str, Grid]
    units: dict[str, UnitPrices] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """How energy, carbon and money are counted.

    Parameters
    ----------
    pue :
        Power usage effectiveness: energy of the facility over that of its computers.
    kg_per_kwh :
        CO2 equivalent of the electricity; 0 = none.
    amortisation_years :
        Over which the price of a purchase is spread evenly; `math.inf` leaves it out.
    utilisation :
        Fraction of all hours in which what was bought works on a run that bears its price.
    upkeep_per_year :
        Fraction of the purchase price.
    price_basis :
        `rental` pays the price per hour, which has everything in it; `purchase` pays amortisation, electricity, upkeep.
    grid :
        Name of the grid that `kg_per_kwh` is of; "" = a number that was given.
    constants :
        The numbers of the data and of the user's file behind it, by name ("pue", "grid.us"); nobody writes to it.
    units :
        Power and prices that the user's file gives, by system or GPU.

    Raises
    ------
    SpecError
        When a value is out of its range.
    """

    usd_per_kwh: float
    pue: float
    kg_per_kwh: float
    amortisation_years: float
    utilisation: float
    upkeep_per_year: float
    price_basis: PriceBasis = "rental"
    grid: str = ""
    constants: Mapping[str, Sourced] = field(default_factory=dict)
    units: Mapping[str, UnitPrices] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.price_basis not in ("rental", "purchase"):
            raise SpecError(f"price_basis is {self.price_basis!r}: it must be rental or purchase")
        for name in _OF_PURCHASE:
            check_number(name, getattr(self, name))
        check_number("kg_per_kwh", self.kg_per_kwh, "grid")

    @property
    def grid_in_words(self) -> str:
        """Whose electricity, and of when."""
        constant = self.constants.get(f"grid.{self.grid}")
        if not isinstance(constant, Grid):
            return "as given"
        return f"{constant.place}, {constant.as_of}" if constant.as_of else constant.place

    @property
    def terms(self) -> dict[str, Any]:
        """What a bill says of how it was counted, by field of a result."""
        names = ("price_basis", "pue", "kg_per_kwh")
        return {**{name: getattr(self, name) for name in names}, "grid": self.grid_in_words}

    @property
    def assumed(self) -> list[str]:
        """Names of the constants behind a bill for which nothing better than an assumption is known."""
        return list(self.assumed_constants)

    @property
    def assumed_constants(self) -> dict[str, Sourced]:
        """These constants, by name: "economics.pue"."""
        used = {f"grid.{self.grid}", *(_OF_PURCHASE if self.price_basis == "purchase" else ("pue",))}
        assumed = sorted(assumed_of(self.constants).items())
        return {f"economics.{name}": constant for name, constant in assumed if name in used}

    def known(self, unit: str) -> dict[str, Sourced]:
        """What the user's file says of the system or GPU called `unit`, by argument of `bill`."""
        return self.units.get(unit, UnitPrices()).said

    def with_choices(
        self,
        *,
        price_basis: PriceBasis | None = None,
        grid: str | None = None,
        usd_per_kwh: float | None = None,
        pue: float | None = None,
    ) -> "Economics":
        """The same with what is not None in its place; `grid` is a name, or a number of kg per kWh.

        Raises
        ------
        SpecError
            When a value is out of its range, or the grid neither known nor a number.
        """
        given: dict[str, Any] = {"price_basis": price_basis, "usd_per_kwh": usd_per_kwh, "pue": pue}
        changed = {name: value for name, value in given.items() if value is not None}
        constants = {name: constant for name, constant in self.constants.items() if name not in changed}
        chosen = {} if grid is None else _chosen_grid(grid, constants)
        return replace(self, constants=constants, **changed, **chosen)


def load_economics(file: str | None = None) -> Economics:
    """How energy, carbon and money are counted, by the constants of the data file.

    Parameters
    ----------
    file :
        The user's, of the same form: what it holds takes the place of what the data says, grids are added.

    Raises
    ------
    SpecError
        When the file cannot be read, has an unknown key, or a value is out of its range.
    """
    content = read_toml(data_path("economics.toml"))
    said = {} if file is None else read_toml(file)
    merged = {**content, **said}
    if isinstance(said.get("grid"), dict):
        merged["grid"] = {**content["grid"], **said["grid"]}
    return _economics(convert(merged, EconomicsFile, file or _WHERE), file or _WHERE)


def priced(cluster: Cluster, economics: Economics) -> Cluster:
    """`cluster` with the power and the prices that the user's file gives its kind of system."""
    for name, constant in economics.known(cluster.csx.name).items():
        of_csx = OF_BILL[name]
        changed = cluster.with_constant(of_csx, constant.value)
        cluster = replace(changed, constants={**cluster.constants, of_csx: constant})
    return cluster


def _economics(said: EconomicsFile, where: str) -> Economics:
    constants: dict[str, Sourced] = {name: getattr(said, name) for name in _OF_PURCHASE}
    grids = {f"grid.{name.lower()}": grid for name, grid in said.grid.items()}
    values: dict[str, Any] = {name: constant.value for name, constant in constants.items()}
    for name in said.units:
        choose(name, (*SYSTEMS, *data_names("gpus")), f"system or GPU in {where} [units]")
    with errors_at(where):
        return Economics(
            **values,
            **_chosen_grid(said.default_grid, grids),
            constants=constants | grids,
            units=said.units,
        )


def _chosen_grid(text: str, constants: Mapping[str, Sourced]) -> dict[str, Any]:
    """`kg_per_kwh` and `grid` of an `Economics`."""
    name = text.strip().lower()
    try:
        return {"kg_per_kwh": float(plain(name)), "grid": ""}
    except ValueError:
        known = [constant.removeprefix("grid.") for constant in constants if constant.startswith("grid.")]
    chosen = choose(name, known, "grid or number of kg per kWh")
    return {"kg_per_kwh": constants[f"grid.{chosen}"].value, "grid": chosen}
