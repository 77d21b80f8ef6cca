"""The page of the campaigns shows what the campaigns kept."""

from tests.campaigns import PAGE, records, with_tables


def test_the_tables_of_the_page_are_those_of_the_records() -> None:
    assert PAGE.read_text(encoding="utf-8") == with_tables(PAGE.read_text(encoding="utf-8"), records())
