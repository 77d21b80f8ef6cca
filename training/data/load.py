"""The corpus that a configuration names."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from training.data.documents import DocumentFiles
from training.data.formats import Found, find
from training.data.hdf5 import corpus_of_hdf5
from training.data.megatron import megatron_shard
from training.data.prepare import OnProgress, cached_tokens
from training.data.shards import corpus_of_shards
from training.data.side_car import UNKNOWN, read_side_car, tokenizer_in_words
from training.data.source import BYTE_VALUES, Corpus
from training.data.splits import split_by_name
from training.data.synthetic import corpus_of_chain, is_synthetic
from training.data.text import STDLIB, corpus_of_text
from training.data.token_file import token_shard
from training.data.tokenizer import BYTES, FILE, n_entries, read_tokenizer
from wse_sim.errors import SpecError
from wse_sim.files import read_bytes

_TEXT_FIELD = "text"


def load_corpus(
    data: str, *, tokenizer: str = BYTES, text_field: str = _TEXT_FIELD, on_progress: OnProgress | None = None
) -> Corpus:
    """The corpus that a configuration names: `stdlib`, `markov`, or a path.

    Of text that is not read as bytes of whole files, tokens are made once and kept in the user's cache; everything else
    is read where it is.

    Parameters
    ----------
    data :
        `stdlib`; `markov`, `markov:seed=3,order=2`; a file, a folder, or a pattern with `*`: see
        `docs/how-to/bring-my-data.md`.
    tokenizer :
        Of text: `bytes`; `bpe:8192`, trained on the part to train on; a `tokenizer.json`, or a folder with one or with
        GPT-2's files.
    text_field :
        Of lines of JSON, or column of tables, that holds the text.
    on_progress :
        Told how far reading is, where it takes long.

    Raises
    ------
    SpecError
        When the data or the tokenizer are missing, unreadable, damaged or empty, or a library that reads them is.
    """
    if is_synthetic(data):
        _require_bytes(data, tokenizer, "is a source of bytes")
        return corpus_of_chain(data)
    found = find(data)
    if found.format == "text" and tokenizer == BYTES:
        return corpus_of_text(found.paths, found.root, data)
    files = _documents(found, data, text_field)
    if files is None:
        _require_bytes(data, tokenizer, "holds tokens already")
        return _corpus_of_tokens(found, data)
    if files.column is not None and files.column.is_ids:
        _require_bytes(data, tokenizer, f"holds tokens already, in the column {files.column.name!r}")
    folder = cached_tokens(files, tokenizer, on_progress)
    corpus = _corpus_of_tokens(find(str(folder)), data)
    return replace(corpus, fingerprint=replace(corpus.fingerprint, n_files=len(files.paths)))


class Reading(NamedTuple):
    """What data will be read as.

    Parameters
    ----------
    vocab_size :
        Entries of the vocabulary; None = nobody said.
    longest_seq_len :
        Where the data are cut into sequences already, the length of these.
    tokenizer :
        As a fingerprint names it; of one that is to be trained, the name alone.
    """

    vocab_size: int | None = BYTE_VALUES
    longest_seq_len: int | None = None
    tokenizer: str = BYTES

    @property
    def is_bytes(self) -> bool:
        """A token is a byte of text."""
        return self.tokenizer == BYTES


def reading_of(data: str, *, tokenizer: str = BYTES, text_field: str = _TEXT_FIELD) -> Reading:
    """What data will be read as, without making tokens of text.

    Raises
    ------
    SpecError
        As `load_corpus`, as far as it can be told.
    """
    if is_synthetic(data) or (data, tokenizer) == (STDLIB, BYTES):
        return Reading()
    files = _documents(find(data), data, text_field)
    if files is None:
        corpus = load_corpus(data, tokenizer=tokenizer)
        return Reading(corpus.vocab_size, corpus.train.longest_seq_len, corpus.fingerprint.tokenizer)
    if files.column is not None and files.column.is_ids:
        return Reading(None, tokenizer=UNKNOWN)
    known = n_entries(tokenizer)
    if known is not None:
        return Reading(known, tokenizer=tokenizer)
    made = read_tokenizer(tokenizer)
    return Reading(made.vocab_size, tokenizer=tokenizer_in_words(made.name, made.sha256))


def document_files(data: str, text_field: str = _TEXT_FIELD) -> DocumentFiles:
    """The files of data that tokens are made of.

    Raises
    ------
    SpecError
        When there are none, or they hold tokens already.
    """
    files = None if is_synthetic(data) else _documents(find(data), data, text_field)
    if files is None:
        raise SpecError(f"data {data!r}: holds tokens already: wse-sim train --data takes it as it is")
    return files


def _documents(found: Found, data: str, text_field: str) -> DocumentFiles | None:
    """None where the files hold tokens."""
    if found.format not in ("text", "json", "columns"):
        return None
    if not found.paths:
        raise SpecError(f"data {data!r}: no file with text in it was found under {found.root}")
    root = found.root.parent if found.root.is_file() else found.root
    is_text = found.format == "text"
    train, val = (list(found.paths), []) if is_text else split_by_name(found.paths, root)
    return DocumentFiles(kind=found.format, root=root, train=train, val=val, field=text_field, source=data)


def _corpus_of_tokens(found: Found, data: str) -> Corpus:
    if found.format == "hdf5":
        corpus = corpus_of_hdf5(found.paths, found.root, data)
    else:
        read = megatron_shard if found.format == "megatron" else token_shard
        corpus = corpus_of_shards([read(path) for path in found.paths], found.root, data)
    return replace(corpus, tokenizer_file=_tokenizer_file(found))


def _tokenizer_file(found: Found) -> Path | None:
    """Beside the tokens, if it is the one that they were made with."""
    beside, said = found.root / FILE, read_side_car(found.paths[0])
    if said is None or said.tokenizer_sha256 is None or not beside.is_file():
        return None
    return beside if sha256(read_bytes(beside)).hexdigest() == said.tokenizer_sha256 else None


def _require_bytes(data: str, tokenizer: str, why: str) -> None:
    if tokenizer != BYTES:
        raise SpecError(f"data {data!r}: {why}, tokenizer {tokenizer!r} has nothing to do: leave --tokenizer out")
