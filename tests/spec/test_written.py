"""What is a number, of what people write."""

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.written import as_whole_number, parse_whole_numbers


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 100, 10**100 - 1)])
def test_whole_numbers_are_of_the_digits_0_to_9(text: str, number: int) -> None:
    assert as_whole_number(text) == number


@pytest.mark.parametrize("text", ["", " 1", "-1", "+1", "1_0", "1.0", "\u0663", "\u00b2", "9" * 101, "9" * 5_000])
def test_nothing_else_is_one(text: str) -> None:
    assert as_whole_number(text) is None


def test_lists_of_whole_numbers_hold_positive_ones() -> None:
    assert parse_whole_numbers("4, 1,4", "systems") == [4, 1, 4]
    for text in ("", "1,", "0,1", "1,-2", "1;2"):
        with pytest.raises(SpecError, match=r"systems is .*write whole numbers such as 1,4"):
            parse_whole_numbers(text, "systems")
