"""The corpus of a training configuration."""

from training.config import TrainConfig
from training.data import Corpus, OnProgress, fitted, load_corpus


def corpus_of(config: TrainConfig, on_progress: OnProgress | None = None) -> Corpus:
    """The corpus that a configuration names, for the vocabulary of its model.

    Raises
    ------
    SpecError
        As `training.data.load_corpus`, and when the corpus has a larger vocabulary than the model.
    """
    corpus = load_corpus(config.data, tokenizer=config.tokenizer, text_field=config.text_field, on_progress=on_progress)
    return fitted(corpus, config.shape.vocab_size)
