"""Groups of rows or columns of a matrix that hold as many live weights each."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.algorithms import Algorithm, RigL

AnyNumber = TypeVar("AnyNumber", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Balance:
    """Into how many slices of which dimension a matrix is cut; one slice is no balance at all."""

    side: Literal["in", "out"] = "out"
    n_groups: int = 1

    def rows(self, tensor: npt.NDArray[AnyNumber]) -> npt.NDArray[AnyNumber]:
        """(n_groups, weights of a group): the tensor with each group in a row."""
        if self.side == "in":
            n_out, n_in = tensor.shape
            tensor = tensor.reshape(n_out, self.n_groups, n_in // self.n_groups).swapaxes(0, 1)
        return tensor.reshape(self.n_groups, -1)

    def tensor(self, rows: npt.NDArray[AnyNumber], shape: tuple[int, ...]) -> npt.NDArray[AnyNumber]:
        """What `rows` made rows of, in its own shape."""
        if self.side == "in":
            n_out, n_in = shape
            rows = rows.reshape(self.n_groups, n_out, n_in // self.n_groups).swapaxes(0, 1)
        return np.ascontiguousarray(rows).reshape(shape)

    def counts(self, n: int) -> list[int]:
        """`n` weights over the groups: the first ones get one more where it does not divide."""
        return [n // self.n_groups + (index < n % self.n_groups) for index in range(self.n_groups)]


def balance_of(algorithm: Algorithm, name: str, shape: tuple[int, ...]) -> Balance:
    """How the algorithm wants a parameter balanced.

    Raises
    ------
    SpecError
        When the groups do not divide its dimension.
    """
    if not isinstance(algorithm, RigL):
        return Balance()
    if algorithm.balance_in_groups is not None:
        balance, n_channels, key = Balance("in", algorithm.balance_in_groups), shape[1], "balance_in_groups"
    elif algorithm.balance_out_groups is not None:
        balance, n_channels, key = Balance("out", algorithm.balance_out_groups), shape[0], "balance_out_groups"
    else:
        return Balance()
    if balance.n_groups < 1 or n_channels % balance.n_groups:
        raise SpecError(f"sparsity: {key} is {balance.n_groups}, it must divide the {n_channels} channels of {name}")
    return balance
