"""What the tests of training share."""

import pytest

from training.data import Corpus, load_corpus


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """It is read alone: batches are copies."""
    return load_corpus("markov")
