"""The page of time and memory, from what the campaign found.

python -m tests.load.page        renews the tables in docs/results/limits.md
"""

import re
from collections.abc import Iterable

from tests.campaigns import PAGE, Record, records

LIMITS = PAGE.with_name("limits.md")
SECTION = "load"

_TABLES = re.compile(r"(<!-- figures: load -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str, kept: Iterable[Record]) -> str:
    """The page with a table for each record of the section."""
    tables = "\n".join(_table(record) for record in kept if record.section == SECTION)
    return _TABLES.sub(lambda found: f"{found[1]}{tables}{found[2]}", page)


def _table(record: Record) -> str:
    name = record.test.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    rows = "".join(f"| {of} | {value} |\n" for of, value in record.figures.items())
    return f"**{name[0].upper()}{name[1:]}** ({record.date}, {record.where})\n\n| | |\n|---|---|\n{rows}\n"


if __name__ == "__main__":
    LIMITS.write_text(with_tables(LIMITS.read_text(encoding="utf-8"), records()), encoding="utf-8")
