"""How long work tells how far it is. What draws it is the caller's."""

from typing import Protocol


class Watch(Protocol):
    """Hears how far work is; a part of it may begin after another has ended."""

    def begin(self, n_items: int, items: str, *, n_known: int = 0, work: float | None = None) -> None:
        """Work begins.

        Parameters
        ----------
        n_items, items :
            How many there are of what: 96 runs.
        n_known :
            Those that are done already.
        work :
            Of those that are left, in any unit, where items differ; None = all are alike.
        """

    def came(self, n_items: int = 1, *, work: float | None = None, note: str = "") -> None:
        """Items are done; `work` as for `begin`; `note` is what else is known of all that are done: 2 diverged."""

    def say(self, line: str) -> None:
        """Something to know, in a line."""


class Unwatched:
    """Hears nothing."""

    def begin(self, n_items: int, items: str, *, n_known: int = 0, work: float | None = None) -> None:
        """Nothing is heard."""

    def came(self, n_items: int = 1, *, work: float | None = None, note: str = "") -> None:
        """Nothing is heard."""

    def say(self, line: str) -> None:
        """Nothing is heard."""


UNWATCHED = Unwatched()
