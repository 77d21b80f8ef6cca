"""Values that users give: as Python has them, or as text, which the command line takes."""

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

from wse_sim.errors import SpecError
from wse_sim.spec.written import as_number


def as_text(value: object) -> str | None:
    """Several values as the command line takes them, with commas between them; None stays None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, PathLike):
        return str(value)
    return ",".join(map(str, value)) if isinstance(value, Iterable) else str(value)


def read_whole(name: str, value: object) -> int | None:
    """A whole number, also as text."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    number = as_number(value)
    if number is None or number % 1:  # NaN too
        raise SpecError(f"{name} is {value!r}: write a whole number such as 512")
    return int(number)


def read_number(name: str, value: object) -> float | None:
    """A number, also as text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    number = as_number(value)
    if number is None:
        raise SpecError(f"{name} is {value!r}: write a number such as 0.25")
    return number


def read_parsed(name: str, value: object, parse: Callable[[str, str], float]) -> float | None:
    """A number, or a text that `parse` reads."""
    return parse(value, name) if isinstance(value, str) else read_number(name, value)


def read_all(given: Mapping[str, Any], read: Callable[[str, object], Any], *names: str) -> dict[str, Any]:
    """Those of the values that there are, read."""
    return {name: read(name, given[name]) for name in names if name in given}
