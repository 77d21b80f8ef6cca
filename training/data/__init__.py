"""What models are trained on: text of any kind and files of tokens, as numbered sequences in an order of their own."""

from training.data.load import Reading, document_files, load_corpus, reading_of
from training.data.order import (
    TrainOrder,
    fitted,
    held_out_batches,
    require_enough,
    require_readable,
    require_vocabulary,
)
from training.data.prepare import OnProgress, Progress, write_tokens
from training.data.side_car import UNKNOWN
from training.data.source import END_BYTE, Corpus, Fingerprint, TokenSource, TokenStream, in_memory
from training.data.synthetic import MARKOV, is_synthetic
from training.data.text import STDLIB
from training.data.tokenizer import BYTES, end_of_documents

__all__ = [
    "BYTES",
    "END_BYTE",
    "MARKOV",
    "STDLIB",
    "UNKNOWN",
    "Corpus",
    "Fingerprint",
    "OnProgress",
    "Progress",
    "Reading",
    "TokenSource",
    "TokenStream",
    "TrainOrder",
    "document_files",
    "end_of_documents",
    "fitted",
    "held_out_batches",
    "in_memory",
    "is_synthetic",
    "load_corpus",
    "reading_of",
    "require_enough",
    "require_readable",
    "require_vocabulary",
    "write_tokens",
]
