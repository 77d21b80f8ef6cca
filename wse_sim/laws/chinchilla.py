"""The loss by size and data: L(N, D) = E + A N^-alpha + B D^-beta."""

import msgspec
import numpy as np

from wse_sim.laws.form import Floats, Form

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0  # convention `6nd`


class ChinchillaLaw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Loss by parameters and training tokens.

    Parameters
    ----------
    irreducible :
        E.
    size_factor, size_exponent :
        A and alpha, of the parameters.
    data_factor, data_exponent :
        B and beta, of the tokens.

    Source: Hoffmann et al., arXiv 2203.15556, Section 3.3, Eq. 2.
    """

    irreducible: float
    size_factor: float
    size_exponent: float
    data_factor: float
    data_exponent: float

    def loss(self, parameters: Floats | float, tokens: Floats | float) -> Floats:
        """Loss of a model of `parameters` parameters after `tokens` tokens, elementwise."""
        size = self.size_factor * np.asarray(parameters, float) ** -self.size_exponent
        return np.asarray(self.irreducible + size + self.data_factor * np.asarray(tokens, float) ** -self.data_exponent)

    def compute_optimal(self, flops: float) -> tuple[float, float]:
        """Parameters and tokens of the lowest loss that `flops` FLOPs (6 N D) buy.

        Source: Hoffmann et al., arXiv 2203.15556, Section 3.3, Eq. 4.
        """
        a, b = self.size_exponent, self.data_exponent
        ratio = (a * self.size_factor / (b * self.data_factor)) ** (1.0 / (a + b))
        product = flops / FLOPS_PER_PARAMETER_AND_TOKEN
        parameters = ratio * product ** (b / (a + b))
        return parameters, product / parameters


def _value_and_slopes(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    irreducible, size_factor, size_exponent, data_factor, data_exponent = theta
    size, data = x[0] ** -size_exponent, x[1] ** -data_exponent
    logs = np.log(x)
    slopes = [np.ones_like(size), size, -size_factor * size * logs[0], data, -data_factor * data * logs[1]]
    return irreducible + size_factor * size + data_factor * data, np.stack(slopes)


def _law(theta: Floats, scales: Floats) -> ChinchillaLaw:
    irreducible, size_factor, size_exponent, data_factor, data_exponent = map(float, theta)
    return ChinchillaLaw(
        irreducible=irreducible,
        size_factor=size_factor * float(scales[0]) ** size_exponent,
        size_exponent=size_exponent,
        data_factor=data_factor * float(scales[1]) ** data_exponent,
        data_exponent=data_exponent,
    )


# Huber with delta 1e-3 on the logarithm: Hoffmann et al., Section D.2.
CHINCHILLA = Form(
    name="chinchilla",
    inputs=("parameters", "tokens"),
    is_scaled=(True, True),
    is_positive=(True,) * 5,
    residual="log_loss",
    huber_delta=1e-3,
    value_and_slopes=_value_and_slopes,
    law=_law,
)
