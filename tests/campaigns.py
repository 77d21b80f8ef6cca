"""Campaigns: tests that take minutes to hours, marked `campaign`, and the page of what they found.

    python -m pytest -m campaign --record tests/engine     run, and keep the figures
    python -m tests.campaigns                              put what was kept into docs/results/reliability.md

A campaign calls the fixture `record_figures` with the heading of the page under which it belongs and with its figures.
Prose on the page is written by hand; only the tables between its markers are made.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from wse_sim.cli.bench_goals import machine

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "reliability.md"
RECORDS = PAGE.with_suffix("")  # a folder: a file for each campaign

_TABLE = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

Figures = Mapping[str, str | int | float]
RecordFigures = Callable[[str, Figures], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one campaign found.

    Parameters
    ----------
    section :
        The marker on the page under which it stands.
    test :
        Its address for pytest, from the root of the project.
    figures :
        By what they are of, with units.
    where :
        Machine and versions.
    """

    section: str
    test: str
    date: str
    took_s: float
    figures: Figures
    where: str

    @property
    def path(self) -> Path:
        return RECORDS / (self.test.rpartition("::")[2].removeprefix("test_") + ".json")


def keep(section: str, test: str, took_s: float, figures: Figures) -> None:
    """Write a record beside the page, in place of the one before."""
    of = machine()
    where = f"{of['cpu']}, {of['cpus']} CPUs, Python {of['python']}"
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    record = Record(section=section, test=test, date=date, took_s=round(took_s, 1), figures=figures, where=where)
    RECORDS.mkdir(exist_ok=True)
    record.path.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def records() -> list[Record]:
    """All that were kept, in the order of their names."""
    return [Record(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(RECORDS.glob("*.json"))]


def with_tables(page: str, kept: Iterable[Record]) -> str:
    """The page with the tables of these records, each under its marker."""
    by_section: dict[str, list[Record]] = {}
    for record in kept:
        by_section.setdefault(record.section, []).append(record)
    filled = _TABLE.sub(lambda found: found[1] + _table(by_section.pop(found[2], [])) + found[3], page)
    assert not by_section, f"reliability.md has no marker for {', '.join(by_section)}"
    return filled


def _table(kept: list[Record]) -> str:
    head = "| campaign | figures | took | measured |\n|---|---|---:|---|\n"
    return head + "".join(_row(record) for record in kept) if kept else "Not run yet.\n"


def _row(record: Record) -> str:
    name = record.test.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    figures = "<br>".join(f"{of}: {_shown(value)}" for of, value in record.figures.items())
    file = record.test.partition("::")[0]
    return f"| [{name}](../../{file}) | {figures} | {record.took_s:,.0f} s | {record.date}, {record.where} |\n"


def _shown(value: str | int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), records()), encoding="utf-8")
