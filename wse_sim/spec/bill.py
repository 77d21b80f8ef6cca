"""What a run takes beside its time: energy, carbon, and money by rent or by purchase."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from wse_sim.spec.economics import Economics, PriceBasis
from wse_sim.spec.sourced import Sourced
from wse_sim.units import H_PER_YEAR, J_PER_KWH, S_PER_HOUR

Amount = TypeVar("Amount", float, npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill(Generic[Amount]):
    """What a run on some systems, or GPUs, takes. Numbers, or arrays over many runs.

    Parameters
    ----------
    it_energy_j, facility_energy_j :
        Of the systems, and of the facility that holds them.
    carbon_kg :
        CO2 equivalent of the facility's electricity; what building the systems emitted is not in it.
    rental_usd :
        At the price per hour.
    amortisation_usd, electricity_usd, upkeep_usd :
        Of systems that were bought.
    """

    price_basis: PriceBasis
    it_energy_j: Amount
    facility_energy_j: Amount
    carbon_kg: Amount
    rental_usd: Amount
    amortisation_usd: Amount
    electricity_usd: Amount
    upkeep_usd: Amount

    @property
    def purchase_usd(self) -> Amount:
        """Cost of the run on systems that were bought."""
        return self.amortisation_usd + self.electricity_usd + self.upkeep_usd

    @property
    def total_usd(self) -> Amount:
        """Cost of the run on the price basis that was chosen."""
        return self.rental_usd if self.price_basis == "rental" else self.purchase_usd

    @property
    def parts_usd(self) -> dict[str, Amount]:
        """What the total is made of."""
        if self.price_basis == "rental":
            return {"rental": self.rental_usd}
        return {
            "amortisation": self.amortisation_usd,
            "electricity": self.electricity_usd,
            "upkeep": self.upkeep_usd,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BillWithEnds:
    """What a run takes, and what it would at the ends of the ranges of power and price, by field of a result.

    Parameters
    ----------
    energy_j :
        Of the systems, or GPUs; `facility_energy_j` of the facility that holds them.
    cost_usd :
        On the price basis, as is `usd_per_unit_h`, of one system, or GPU, in an hour.
    price_as_of :
        Date of the price; None where it has none.
    """

    energy_j: float
    energy_j_low: float
    energy_j_high: float
    facility_energy_j: float
    carbon_kg: float
    cost_usd: float
    cost_usd_low: float
    cost_usd_high: float
    cost_parts_usd: dict[str, float]
    price_as_of: str | None
    usd_per_unit_h: float


def bill(
    economics: Economics,
    *,
    time_s: Amount,
    n_units: Amount | float,
    power_w: Amount | float,
    rental_usd_per_h: Amount | float,
    purchase_usd: Amount | float,
) -> Bill[Amount]:
    """What `n_units` systems, or GPUs, take in `time_s`.

    Parameters
    ----------
    time_s :
        One number, or an array over runs; where another argument is an array, this one is.
    power_w, rental_usd_per_h, purchase_usd :
        Of one unit. A bought one pays for its idle hours with its price (`utilisation`), not with electricity.
    """
    it_energy_j = time_s * n_units * power_w
    facility_energy_j = it_energy_j * economics.pue
    facility_kwh = facility_energy_j / J_PER_KWH
    owned_years = time_s / S_PER_HOUR * n_units / (H_PER_YEAR * economics.utilisation)
    return Bill(
        price_basis=economics.price_basis,
        it_energy_j=it_energy_j,
        facility_energy_j=facility_energy_j,
        carbon_kg=facility_kwh * economics.kg_per_kwh,
        rental_usd=time_s / S_PER_HOUR * n_units * rental_usd_per_h,
        amortisation_usd=owned_years * purchase_usd / economics.amortisation_years,
        electricity_usd=facility_kwh * economics.usd_per_kwh,
        upkeep_usd=owned_years * purchase_usd * economics.upkeep_per_year,
    )


def bill_with_ends(
    economics: Economics, constants: Mapping[str, Sourced], *, time_s: float, n_units: int
) -> BillWithEnds:
    """What `n_units` systems, or GPUs, take in `time_s`, with the ends that the ranges of their constants leave.

    Parameters
    ----------
    constants :
        Power and prices of one unit, by argument of `bill`.
    """

    def at(**others: float) -> Bill[float]:
        values = {name: constant.value for name, constant in constants.items()} | others
        return bill(economics, time_s=time_s, n_units=n_units, **values)

    price = "rental_usd_per_h" if economics.price_basis == "rental" else "purchase_usd"
    paid = at()
    energy_low, energy_high = (at(power_w=end).it_energy_j for end in constants["power_w"].ends)
    cost_low, cost_high = (at(**{price: end}).total_usd for end in constants[price].ends)
    return BillWithEnds(
        energy_j=paid.it_energy_j,
        energy_j_low=energy_low,
        energy_j_high=energy_high,
        facility_energy_j=paid.facility_energy_j,
        carbon_kg=paid.carbon_kg,
        cost_usd=paid.total_usd,
        cost_usd_low=cost_low,
        cost_usd_high=cost_high,
        cost_parts_usd=paid.parts_usd,
        price_as_of=constants[price].as_of,
        usd_per_unit_h=usd_per_unit_h(economics, constants),
    )


def usd_per_unit_h(economics: Economics, constants: Mapping[str, Sourced]) -> float:
    """What one system, or GPU, costs in an hour, on the price basis; `constants` as for `bill_with_ends`."""
    values = {name: constant.value for name, constant in constants.items()}
    return float(bill(economics, time_s=S_PER_HOUR, n_units=1, **values).total_usd)
