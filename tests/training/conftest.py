"""What the tests of training share."""

from collections.abc import Iterator

import pytest

from tests.undrawn import undrawn_pages
from training.data import Corpus, load_corpus


@pytest.fixture(scope="package", autouse=True)
def undrawn() -> Iterator[None]:
    with undrawn_pages():
        yield


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """It is read alone: batches are copies."""
    return load_corpus("markov")
