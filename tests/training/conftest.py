"""What the tests of training share."""

import pytest

from tests.undrawn import all_undrawn
from training.data import Corpus, load_corpus

__all__ = ["all_undrawn", "corpus"]


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """It is read alone: batches are copies."""
    return load_corpus("markov")
