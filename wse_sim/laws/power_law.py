"""The loss as a power of the compute: L(f) = (f / f_c)^-alpha + c."""

import msgspec
import numpy as np

from wse_sim.errors import SpecError
from wse_sim.laws.form import Floats, Form


class PowerLaw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Loss of models that were trained alike (tokens per parameter, data, schedule), by their training FLOPs.

    Parameters
    ----------
    flops_scale :
        FLOPs at which the loss is 1 above `irreducible`, counted by the convention of the rows it was fitted to.
    irreducible :
        Loss that no compute goes below.

    Source: Cerebras-GPT, arXiv 2304.03208, Section 3.1, Eq. 1.
    """

    flops_scale: float
    exponent: float
    irreducible: float

    def loss(self, flops: Floats | float) -> Floats:
        """Loss at `flops` FLOPs, elementwise."""
        reducible = (np.asarray(flops, float) / self.flops_scale) ** -self.exponent
        return np.asarray(reducible + self.irreducible)  # Eq. (1)

    def flops(self, loss: float) -> float:
        """FLOPs at which the loss is `loss`.

        Raises
        ------
        SpecError
            When no compute reaches it.
        """
        if not loss > self.irreducible:
            raise SpecError(f"a loss of {loss} is out of reach: this law never goes below {self.irreducible:.4g}")
        return float(self.flops_scale * (loss - self.irreducible) ** (-1.0 / self.exponent))


def _value_and_slopes(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    factor, exponent, irreducible = theta
    power = x[0] ** -exponent
    slopes = np.stack([power, -factor * power * np.log(x[0]), np.ones_like(power)])
    return factor * power + irreducible, slopes


def _law(theta: Floats, scales: Floats) -> PowerLaw:
    factor, exponent, irreducible = map(float, theta)
    return PowerLaw(
        flops_scale=float(scales[0]) * factor ** (1.0 / exponent), exponent=exponent, irreducible=irreducible
    )


# Least squares on the loss itself: what gives Cerebras-GPT's coefficients; on its logarithm others come out.
POWER = Form(
    name="power",
    inputs=("flops",),
    is_scaled=(True,),
    is_positive=(True, True, True),
    residual="loss",
    huber_delta=None,
    value_and_slopes=_value_and_slopes,
    law=_law,
)
