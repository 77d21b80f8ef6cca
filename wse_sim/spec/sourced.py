"""Numbers about the world, each with its source."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Kind = Literal["published", "derived", "calibrated", "assumed"]


class Sourced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number about the world.

    Parameters
    ----------
    value :
        The number, in the unit that its name ends in.
    kind :
        `published` by its maker or in a paper; `derived` from published numbers by the arithmetic in `source`;
        `calibrated` on the rows that `source` names; `assumed` where nothing better is known.
    source :
        Where it comes from, in enough words to find it again.
    low, high :
        The range in which it may lie, where one is known.
    as_of :
        Date of a number that drifts (a price), as YYYY or YYYY-MM.
    """

    value: float
    kind: Kind
    source: str
    low: float | None = None
    high: float | None = None
    as_of: str | None = None

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ValueError("source must not be empty")
        low, high = self.ends
        if not low <= self.value <= high:
            raise ValueError(f"low <= value <= high does not hold: {low} <= {self.value} <= {high}")

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the range; the value itself on a side where none is known."""
        return self.value if self.low is None else self.low, self.value if self.high is None else self.high


def assumed_of(constants: Mapping[str, Sourced]) -> dict[str, Sourced]:
    """Those of `constants` for which nothing better than an assumption is known, in their order."""
    return {name: constant for name, constant in constants.items() if constant.kind == "assumed"}
