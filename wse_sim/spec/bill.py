"""What a run takes beside its time: energy, carbon, and money by rent or by purchase."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from wse_sim.spec.economics import Economics, PriceBasis
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
