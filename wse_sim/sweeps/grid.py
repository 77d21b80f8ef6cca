"""Points of a sweep that are made when they are asked for: a million of them take no memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from wse_sim.sweeps.keys import Point, Value
from wse_sim.sweeps.lazily import Lazy

Indices = npt.NDArray[np.int64]


class Grid(Lazy[Point]):
    """Every combination of the values of some keys; those of the last key change fastest.

    Parameters
    ----------
    lists :
        The values of each key, of which each has one at least.
    """

    def __init__(self, lists: Mapping[str, Sequence[Value]]) -> None:
        self.lists = {name: tuple(values) for name, values in lists.items()}
        self._len = prod(map(len, self.lists.values()))

    def __len__(self) -> int:
        return self._len

    def at(self, place: int) -> Point:
        values: list[Value] = []
        for of_key in reversed(self.lists.values()):
            place, digit = divmod(place, len(of_key))
            values.append(of_key[digit])
        return dict(zip(self.lists, reversed(values), strict=True))

    def __iter__(self) -> Iterator[Point]:
        return (dict(zip(self.lists, values, strict=True)) for values in product(*self.lists.values()))

    def groups(self, inner: Collection[str]) -> Iterator[Indices]:
        """The indices of points that differ in the keys `inner` alone, together."""
        within, between = np.zeros(1, np.int64), [0]
        stride = self._len
        for name, values in self.lists.items():
            stride //= len(values)
            steps = stride * np.arange(len(values))
            if name in inner:
                within = np.add.outer(within, steps).ravel()
            else:
                between = [first + step for first in between for step in steps.tolist()]
        return (within + first for first in between)


def values_by_key(points: Sequence[Point]) -> dict[str, list[Value | None]]:
    """The values of each key, each once and in the order in which they come; None among those that a point lacks."""
    if isinstance(points, Grid):
        return {name: list(dict.fromkeys(values)) for name, values in points.lists.items()}
    found: dict[str, dict[Value | None, int]] = {}
    for point in points:
        for name, value in point.items():
            values = found.setdefault(name, {})
            values[value] = values.get(value, 0) + 1
    return {name: [*n_of, *([None] if sum(n_of.values()) < len(points) else [])] for name, n_of in found.items()}


class Chosen(Mapping[int, Point]):
    """Some of the points, by their index.

    Parameters
    ----------
    is_chosen : (n_points,)
        Bool.
    """

    def __init__(self, points: Sequence[Point], is_chosen: npt.NDArray[np.bool_]) -> None:
        self.points, self.is_chosen = points, is_chosen
        self._len = int(np.count_nonzero(is_chosen))

    def __len__(self) -> int:
        return self._len

    def __iter__(self) -> Iterator[int]:
        return (index for index, is_one in enumerate(self.is_chosen.tobytes()) if is_one)

    def __getitem__(self, index: int) -> Point:
        if not self.is_chosen[index]:
            raise KeyError(index)
        return self.points[index]
