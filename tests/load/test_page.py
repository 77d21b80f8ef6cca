"""The page of time and memory shows what the campaign kept."""

from tests.campaigns import records
from tests.load.page import LIMITS, with_tables


def test_the_tables_of_the_page_are_those_of_the_records() -> None:
    page = LIMITS.read_text(encoding="utf-8")
    assert page == with_tables(page, records())
