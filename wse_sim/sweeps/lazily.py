"""Sequences whose items are made when they are asked for."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")


class Lazy(Sequence[Item]):
    """Is equal to any sequence of the same items."""

    @abstractmethod
    def at(self, place: int) -> Item:
        """The item at a place, from 0 to before the length."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        place = range(len(self))[index]  # raises IndexError
        return self.at(place) if isinstance(place, int) else [self.at(one) for one in place]

    def __iter__(self) -> Iterator[Item]:
        return map(self.at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list
