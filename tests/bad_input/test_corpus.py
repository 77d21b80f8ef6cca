"""What fuzzing found worth keeping is still read, or refused: each input by the reader that it was made for."""

import pytest

from tests.bad_input.corpus import FILE, kept, readers
from tests.bad_input.harnesses import HARNESSES

_MOST_BYTES = 1 << 18


def test_every_reader_has_a_corpus_and_it_is_small() -> None:
    assert readers() == set(HARNESSES)
    assert FILE.stat().st_size < _MOST_BYTES


@pytest.mark.parametrize("reader", HARNESSES)
def test_only_a_spec_error_leaves_a_reader(reader: str) -> None:
    for content in (*HARNESSES[reader].seeds(), *kept(reader)):
        HARNESSES[reader](content)
