"""The pages in docs/results/claims say what their records say."""

from pathlib import Path

import pytest

from training.claims.page import INDEX_FILE, index_text, page_text, rebuild
from training.claims.record import read_record, read_records
from training.claims.registry import CLAIMS

PAGES = Path(__file__).parents[3] / "docs" / "results" / "claims"
RECORDS = sorted(PAGES.glob("*.json"))
CLAIM_OF = {claim.name: claim for claim in CLAIMS}


def test_every_claim_has_a_page() -> None:
    assert {read_record(path).name for path in RECORDS} == set(CLAIM_OF)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_page_is_made_from_its_record_alone(path: Path, tmp_path: Path) -> None:
    record = read_record(path)
    assert path.stem == record.stem
    assert path.with_suffix(".md").read_bytes() == page_text(record).encode()
    assert path.with_suffix(".svg").exists() == bool(record.figure)
    rebuild(record, tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {f"{record.stem}.md"} | ({f"{record.stem}.svg"} if record.figure else set())


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_claim_is_what_it_was_when_it_was_tested(path: Path) -> None:
    record = read_record(path)
    claim = CLAIM_OF[record.name]
    assert record.accepted_if == claim.accepted_if  # a criterion does not move after the run
    assert (record.number, record.title, record.statement, record.source) == (
        claim.number,
        claim.title,
        claim.statement,
        claim.source,
    )
    assert not record.is_smoke


def test_the_index_is_made_from_the_records() -> None:
    assert (PAGES / INDEX_FILE).read_bytes() == index_text(read_records(PAGES)).encode()


def test_pages_name_no_machine_and_no_path() -> None:
    for path in PAGES.iterdir():
        text = path.read_text()
        assert "/tmp" not in text  # noqa: S108
        assert "/home" not in text
