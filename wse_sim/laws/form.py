"""What the laws of the loss have in common: a form with free coefficients, to be fitted to rows of measured losses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Residual = Literal["loss", "log_loss"]

LawT = TypeVar("LawT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[LawT]):
    """A law without its coefficients, and how its authors fitted it.

    Inputs are divided by their geometric means before a fit, so that every coefficient is of the order of 1: an
    optimizer that starts far away, or whose objective is tiny, stops before it has arrived.

    Parameters
    ----------
    inputs :
        Names of what the loss depends on, in the order in which `loss` of the law takes them.
    is_scaled :
        One for each input: divided by its geometric mean or, as a density, taken as it is.
    is_positive :
        One for each coefficient: the fit keeps it above 0.
    residual :
        What the fit makes small: the difference of losses, or of their logarithms.
    huber_delta :
        Residual above which it counts linearly and no longer by its square; None = least squares.
    value_and_slopes :
        Coefficients (n_coefficients,) and inputs (n_inputs, n_rows), scaled -> losses (n_rows,) and their derivatives
        by the coefficients (n_coefficients, n_rows).
    law :
        Coefficients and the inputs' scales (n_inputs,) -> the law.
    """

    name: str
    inputs: tuple[str, ...]
    is_scaled: tuple[bool, ...]
    is_positive: tuple[bool, ...]
    residual: Residual
    huber_delta: float | None
    value_and_slopes: Callable[[Floats, Floats], tuple[Floats, Floats]]
    law: Callable[[Any, Floats], LawT]

    @property
    def n_coefficients(self) -> int:
        return len(self.is_positive)
