"""What fuzzing found worth keeping is still read, or refused: each file by the reader that it was made for."""

from pathlib import Path

import pytest

from tests.bad_input.fuzz import CORPUS
from tests.bad_input.harnesses import HARNESSES

_MOST_BYTES = 1 << 20


def test_every_reader_has_a_corpus_and_all_are_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(HARNESSES)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < _MOST_BYTES


@pytest.mark.parametrize("name", HARNESSES)
def test_only_a_spec_error_leaves_a_reader(name: str, cache: Path) -> None:
    kept = sorted((CORPUS / name).iterdir())
    assert kept
    for content in (*HARNESSES[name].seeds(), *(path.read_bytes() for path in kept)):
        HARNESSES[name](content)
