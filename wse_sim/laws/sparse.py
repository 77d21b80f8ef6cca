"""The loss of sparse models: L(rho, N, D) = (a rho^b + c_S) N^-b_N + e D^-b_D + c, N the weights that are left."""

import msgspec
import numpy as np

from wse_sim.laws.form import Floats, Form
from wse_sim.spec.ranges import check_number

_UNIT = 1e6  # of non-zeros and of data in a fitted law, so that those of two fits can be compared


class SparseLaw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Loss by density, non-zero weights of the linear layers, and amount of data.

    Parameters
    ----------
    a_s, b_s, c_s :
        What a non-zero is worth, by density; it is worth more in a sparse model where a_s > 0.
    b_n :
        Exponent of the non-zeros.
    e, b_d :
        Factor and exponent of the data; e = 0 where every row has the same tokens per parameter, and the data's share
        is part of the first term.
    c :
        Loss that nothing goes below.
    nonzeros_unit, data_unit :
        What the law counts non-zeros in (1e6), and data (1e5 steps; tokens).

    Source: Frantar et al., arXiv 2309.08520, Eq. 1; there with the sparsity S = 1 - density.
    """

    a_s: float
    b_s: float
    c_s: float
    b_n: float
    e: float
    b_d: float
    c: float
    nonzeros_unit: float
    data_unit: float

    def loss(self, density: Floats | float, nonzeros: Floats | float, data: Floats | float) -> Floats:
        """Loss at this density, number of non-zeros and amount of data, elementwise."""
        size = (np.asarray(nonzeros, float) / self.nonzeros_unit) ** -self.b_n
        of_data = self.e * (np.asarray(data, float) / self.data_unit) ** -self.b_d
        return np.asarray(self._worth(np.asarray(density, float)) * size + of_data + self.c)  # Eq. (1)

    @property
    def irreducible(self) -> float:
        """Loss that neither size nor data goes below."""
        return self.c

    def dense_equivalent(self, nonzeros: float, density: float) -> float:
        """Weights of the dense model that reaches the loss of a sparse one of `nonzeros` weights with the same data.

        Raises
        ------
        SpecError
            When the density is not in (0, 1].

        Source: Frantar et al., arXiv 2309.08520, Eq. 1, solved for the size at equal loss.
        """
        check_number("density", density)
        ratio = self._worth(np.asarray(density)) / self._worth(np.asarray(1.0))
        return float(nonzeros * ratio ** (-1.0 / self.b_n))

    def in_units(self, nonzeros_unit: float, data_unit: float) -> "SparseLaw":
        """The same law, counting in other units."""
        size = (self.nonzeros_unit / nonzeros_unit) ** self.b_n
        data = (self.data_unit / data_unit) ** self.b_d
        return msgspec.structs.replace(
            self,
            a_s=self.a_s * size,
            c_s=self.c_s * size,
            e=self.e * data,
            nonzeros_unit=nonzeros_unit,
            data_unit=data_unit,
        )

    def _worth(self, density: Floats) -> Floats:
        return np.asarray(self.a_s * density**self.b_s + self.c_s)


def _without_data(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    a, b, c_s, b_n, c = theta
    density, size = x[0] ** b, x[1] ** -b_n
    worth = a * density + c_s
    slopes = [density * size, a * density * np.log(x[0]) * size, size, -worth * size * np.log(x[1]), np.ones_like(size)]
    return worth * size + c, np.stack(slopes)


def _with_data(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    e, b_d = theta[4:6]
    value, slopes = _without_data(theta[[0, 1, 2, 3, 6]], x[:2])
    data = x[2] ** -b_d
    of_data = np.stack([data, -e * data * np.log(x[2])])
    return value + e * data, np.concatenate([slopes[:4], of_data, slopes[4:]])


def _law(theta: Floats, scales: Floats) -> SparseLaw:
    a_s, b_s, c_s, b_n, e, b_d, c = map(float, theta)
    unit, data_unit = float(scales[1]), float(scales[2])
    law = SparseLaw(a_s=a_s, b_s=b_s, c_s=c_s, b_n=b_n, e=e, b_d=b_d, c=c, nonzeros_unit=unit, data_unit=data_unit)
    return law.in_units(_UNIT, _UNIT)


# Huber with delta 1e-3 on the logarithm, as the authors fit language models. a_s may be negative: nothing says that a
# non-zero of a static random mask is worth more than a dense weight.
SPARSE = Form(
    name="sparse",
    inputs=("density", "nonzeros", "data"),
    is_scaled=(False, True, True),
    is_positive=(False, True, True, True, True, True, True),
    residual="log_loss",
    huber_delta=1e-3,
    value_and_slopes=_with_data,
    law=_law,
)
# Where all rows have the same tokens per parameter, data and size cannot be told apart.
SPARSE_FIXED_TPP = Form(
    name="sparse, fixed tokens per parameter",
    inputs=("density", "nonzeros", "data"),
    is_scaled=(False, True, True),
    is_positive=(False, True, True, True, True),
    residual="log_loss",
    huber_delta=1e-3,
    value_and_slopes=_without_data,
    law=lambda theta, scales: _law(np.insert(theta, 4, [0.0, 0.0]), scales),
)
