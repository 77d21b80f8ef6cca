"""What `transfer` and `coord-check` are told alike: parameterizations, and an axis with its values."""

import math
from typing import TYPE_CHECKING

from wse_sim.errors import SpecError, choose
from wse_sim.spec.written import plain

if TYPE_CHECKING:
    from models.parametrization import ParametrizationName

_MOST_LOG2 = 64.0  # of a learning rate, either way
AXES = ("width", "density", "depth")
# One that is made for the axis, and what it is better than.
_PARAMETRIZATIONS = {"width": "sp,mup", "density": "sp,mup,smupar", "depth": "sp,mup,completep"}


def parse_values(text: str) -> list[float]:
    """The numbers in a list such as 64,128,256 or 1,1/4,1/16.

    Raises
    ------
    SpecError
        When one of them is not a number.
    """
    return [_number(word) for word in text.split(",")]


def parse_parametrizations(text: str | None, over: str) -> "list[ParametrizationName]":
    """The names in a list, each once; those that suit the axis where there is no list.

    Raises
    ------
    SpecError
        When a name is unknown.
    """
    from models.parametrization import PARAMETRIZATIONS

    words = dict.fromkeys(word.strip() for word in (text or _PARAMETRIZATIONS[over]).split(","))
    return [choose(word, PARAMETRIZATIONS, "parametrization") for word in words]  # type: ignore[misc]


def parse_log2_lrs(text: str) -> tuple[float, ...]:
    """Base-2 logarithms of learning rates, rising, from a range of powers 2^-11..2^-5 or a list of rates.

    Raises
    ------
    SpecError
        When it is neither.
    """
    words = text.split("..")
    if len(words) == 2:
        low, high = (_log2(word, text) for word in words)
        return tuple(low + k for k in range(math.floor(high - low + 1e-9) + 1))
    return tuple(sorted({_log2(word, text) for word in text.split(",")}))


def _log2(word: str, text: str) -> float:
    base, _, exponent = word.strip().partition("^")
    try:
        found = float(plain(exponent)) if base == "2" and exponent else math.log2(float(plain(word)))
    except ValueError:
        found = math.nan
    if not abs(found) <= _MOST_LOG2:
        raise SpecError(f"learning rates are {text!r}: write 2^-11..2^-5, or a list such as 2^-9,2^-8,0.008")
    return found


def _number(word: str) -> float:
    try:
        over, line, under = plain(word).partition("/")
        return float(over) / float(under) if line else float(over)
    except (ValueError, ZeroDivisionError):
        raise SpecError(f"value {word.strip()!r}: write numbers or fractions with commas between, 1,1/4,1/16") from None
