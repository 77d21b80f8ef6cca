"""The order of an epoch: a permutation that depends on seed and epoch alone."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.masks import philox
from wse_sim.randomness import splitmix64

LONGEST_SORTED = 1 << 22  # an order of so many takes 64 MiB while it is made
_N_ROUNDS = 6

Numbers = npt.NDArray[np.int64]


class Permutation(Protocol):
    """Which number stands at each place of an order of 0 ... n - 1."""

    def at(self, places: Numbers) -> Numbers:
        """The numbers at these places."""


def permutation(n: int, seed: int, epoch: int) -> Permutation:
    """The order of `n` sequences in an epoch.

    Up to `LONGEST_SORTED` of them the order is that of draws, and kept; of more it is worked out place by place.
    """
    return _Sorted(n, seed, epoch) if n <= LONGEST_SORTED else Feistel(n, seed, epoch)


class _Sorted:
    def __init__(self, n: int, seed: int, epoch: int) -> None:
        self._order = np.argsort(philox(seed, "order", epoch).random_raw(n), kind="stable")

    def at(self, places: Numbers) -> Numbers:
        numbers: Numbers = self._order[places]
        return numbers


class Feistel:
    """A permutation in constant memory: a Feistel network on the next even number of bits, walked along until in range.

    Its keys are drawn by Philox from seed and epoch, its rounds are splitmix64 of key and half.

    Source: Luby and Rackoff, SIAM J. Comput. 17 (1988); cycle walking: Black and Rogaway, CT-RSA 2002.
    """

    def __init__(self, n: int, seed: int, epoch: int) -> None:
        self._n = n
        self._half_bits = np.uint64(max(1, -(-(n - 1).bit_length() // 2)))
        self._low = np.uint64((1 << int(self._half_bits)) - 1)
        self._keys = philox(seed, "order of many", epoch).random_raw(_N_ROUNDS)

    def at(self, places: Numbers) -> Numbers:
        numbers = self._once(places.astype(np.uint64))
        while (outside := numbers >= self._n).any():  # at most three of four, so that few walk far
            numbers[outside] = self._once(numbers[outside])
        return numbers.astype(np.int64)

    def _once(self, x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = x >> self._half_bits, x & self._low
        for key in self._keys:
            left, right = right, left ^ (splitmix64(key, right) & self._low)
        return (left << self._half_bits) | right
