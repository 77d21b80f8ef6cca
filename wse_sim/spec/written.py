"""What users write: 26.3B tokens, 3m, a sparsity in place of a density, lists."""

import re
from collections.abc import Mapping
from typing import Literal

from wse_sim.errors import SpecError
from wse_sim.spec.ranges import check_number
from wse_sim.units import S_PER_DAY, S_PER_HOUR

_COUNT = re.compile(r"(?P<number>[-+0-9.eE]+)\s*(?P<suffix>[kmbt]?)", re.IGNORECASE | re.ASCII)
_SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_AMOUNT = re.compile(r"(?P<number>[0-9]*[.]?[0-9]+)\s*(?P<unit>[a-z]+)", re.IGNORECASE | re.ASCII)
_SPAN = re.compile(r"(?P<number>[0-9]*[.]?[0-9]+)\s*(?P<unit>[smhd]?)", re.IGNORECASE | re.ASCII)
SECONDS = {"s": 1.0, "m": 60.0, "h": S_PER_HOUR, "d": S_PER_DAY}
_MOST_DIGITS = 100  # of a whole number, which Python does not read at any length
_OPEN, _CLOSE = "([", ")]"
BOTH_GIVEN = "density and sparsity are both given: use one of them, density = 1 - sparsity"


def plain(text: str) -> str:
    """`text`, which is to be read as a number: Python would take other digits than 0 to 9, and 1_0 for 10, too.

    Raises
    ------
    ValueError
        When there is such a digit or an underscore in it.
    """
    if not text.isascii() or "_" in text:
        raise ValueError(f"{text!r} is not written in the digits 0 to 9")
    return text


def as_number(value: object) -> float | None:
    """The number that `value` is, or writes; None where it is or writes none."""
    try:
        return None if isinstance(value, bool) else float(plain(value) if isinstance(value, str) else value)  # type: ignore[arg-type]  # that is tried here
    except (TypeError, ValueError, OverflowError):
        return None


def as_whole_number(text: str) -> int | None:
    """The whole number that `text` writes in the digits 0 to 9 alone; None where it writes none, or no number meant."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def parse_count(text: str, what: str) -> float:
    """The number that `text` writes, such as 1e9, 26.3B or 800M.

    Raises
    ------
    SpecError
        When it is not one; the message calls it `what`.
    """
    match = _COUNT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        return float(match["number"]) * _SUFFIXES[match["suffix"].lower()]
    except ValueError:
        raise SpecError(f"{what} is {text!r}: write a number such as 1e9, 26.3B or 800M") from None


def parse_seconds(text: str, what: str) -> float:
    """The seconds that `text` writes, such as 90s, 3m or 2h; a bare number is seconds.

    Raises
    ------
    SpecError
        When it is no positive span of time; the message calls it `what`.
    """
    match = _SPAN.fullmatch(text.strip())
    seconds = float(match["number"]) * SECONDS[match["unit"].lower() or "s"] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise SpecError(f"{what} is {text!r}: write a positive time such as 90s, 3m, 2h or 10d")
    return seconds


def parse_amount(text: str, what: str, units: Mapping[str, float]) -> float:
    """The amount that `text` writes with a unit of `units`, in any case, in what their factors are of: 500kW, 1.2 MW.

    Raises
    ------
    SpecError
        When it is no positive amount with a unit; the message calls it `what`.
    """
    match = _AMOUNT.fullmatch(text.strip())
    scales = {unit.lower(): scale for unit, scale in units.items()}
    scale = scales.get(match["unit"].lower(), 0.0) if match else 0.0
    amount = float(match["number"]) * scale if match else 0.0
    if not 0 < amount < float("inf"):
        raise SpecError(f"{what} is {text!r}: write a positive number with its unit: {', '.join(units)}")
    return amount


def parse_numbers(text: str, what: str) -> list[float]:
    """The positive numbers that `text` writes with commas between them, each once, in order.

    Raises
    ------
    SpecError
        When one is none; the message calls them `what`.
    """
    try:
        numbers = [float(plain(word)) for word in text.split(",")]
    except ValueError:
        numbers = [0.0]
    if not all(0 < number < float("inf") for number in numbers):
        raise SpecError(f"{what} is {text!r}: write positive numbers with commas between them, such as 1,4")
    return list(dict.fromkeys(numbers))


def parse_density(density: float | None, sparsity: float | None) -> float:
    """The density that the user gave, as density or as sparsity; 1 where neither is given.

    Raises
    ------
    SpecError
        When both are given, or the value is out of range.
    """
    if density is not None and sparsity is not None:
        raise SpecError(BOTH_GIVEN)
    if sparsity is not None:
        check_number("sparsity", sparsity)
        return round(1.0 - sparsity, 12)  # 1 - 0.9 is to be 0.1
    if density is None:
        return 1.0
    check_number("density", density)
    return density


def parse_densities(density: str | None, sparsity: str | None) -> list[float]:
    """The densities that the user gave, several with commas between them; each once, in order.

    Raises
    ------
    SpecError
        As `parse_density`.
    """
    if density is not None and sparsity is not None:
        raise SpecError(BOTH_GIVEN)
    if sparsity is not None:
        parsed = [parse_density(None, _number(text, "sparsity")) for text in sparsity.split(",")]
    else:
        parsed = [parse_density(_number(text, "density"), None) for text in (density or "1").split(",")]
    return list(dict.fromkeys(parsed))


def parse_whole_numbers(text: str, what: str) -> list[int]:
    """The whole numbers that `text` writes, with commas between them.

    Raises
    ------
    SpecError
        When one is not positive and whole; the message calls them `what`.
    """
    numbers = [as_whole_number(word.strip()) for word in text.split(",")]
    if not all(numbers):
        raise SpecError(f"{what} is {text!r}: write whole numbers such as 1,4")
    return [number for number in numbers if number]


def parse_clip(text: str) -> float | Literal["none"]:
    """The norm that `text` writes, or `none`.

    Raises
    ------
    SpecError
        When it is neither.
    """
    if text == "none":
        return "none"
    try:
        return float(plain(text))
    except ValueError:
        raise SpecError(f"clip is {text!r}: write a norm such as 1.0, or none") from None


def split_at_commas(text: str, what: str) -> list[str]:
    """The parts of `text` between commas, without white space round them; commas inside (...) or [...] do not count.

    Raises
    ------
    SpecError
        When a parenthesis or bracket has no partner; the message calls it `what`.
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise SpecError(f"{what} {text!r}: parentheses and brackets must come in pairs")
    return [part.strip() for part in parts]


def _number(text: str, what: str) -> float:
    try:
        return float(plain(text))
    except ValueError:
        raise SpecError(f"{what} is {text!r}: write a number, or several with commas between them") from None
