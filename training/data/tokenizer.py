"""What makes tokens of text: bytes as they are, or a tokenizer of the `tokenizers` library."""

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training.data.extras import extra
from training.data.source import BYTE_VALUES, END_BYTE, Integers
from wse_sim.errors import SpecError
from wse_sim.files import read_bytes
from wse_sim.spec.written import as_whole_number

BYTES = "bytes"
BPE = "bpe:"
FILE = "tokenizer.json"
_END = "<|endoftext|>"
# That end a document, in the vocabularies of well-known models; the first one that is there is taken.
_ENDS = (_END, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]")
_FEWEST_ENTRIES = BYTE_VALUES + 1
_MOST_ENTRIES = 10**9 - 1
_MOST_TRAINED_BYTES = 64 << 20


class Tokenizer(Protocol):
    """Text to ids.

    Attributes
    ----------
    name :
        As a configuration has it, or the name of the file.
    sha256 :
        Of its content; None where the name says all.
    ends_documents :
        Whether a token is put behind each document; it counts as one byte of text, so that text has the same size for
        every tokenizer.
    file :
        Content of its `tokenizer.json`; None where there is none.
    """

    name: str
    vocab_size: int
    sha256: str | None
    ends_documents: bool
    file: bytes | None

    def encode(self, documents: Sequence[bytes]) -> list[Integers]:
        """The ids of each document; SpecError where one is not UTF-8 and must be."""


class ByteTokenizer:
    """A token is a byte, a zero byte stands behind each document."""

    name, vocab_size, ends_documents = BYTES, BYTE_VALUES, True
    sha256: str | None = None
    file: bytes | None = None

    def encode(self, documents: Sequence[bytes]) -> list[Integers]:
        return [np.frombuffer(document + bytes([END_BYTE]), np.uint8) for document in documents]


class FileTokenizer:
    """A tokenizer of the library.

    Parameters
    ----------
    made :
        Of `tokenizers`.
    content :
        Of the file that it was read from; None where it was made.
    """

    def __init__(self, made: Any, name: str, content: bytes | None = None) -> None:
        self.file: bytes | None = content or made.to_str().encode()
        self.sha256: str | None = sha256(self.file).hexdigest()
        entries: dict[str, int] = made.get_vocab(with_added_tokens=True)
        if not entries:
            raise SpecError(f"tokenizer {name!r}: its vocabulary is empty")
        made.no_truncation()
        made.no_padding()
        self._made, self.name = made, name
        self.vocab_size = max(entries.values(), default=-1) + 1
        end = end_of_documents(entries)
        self._end = [] if end is None else [entries[end]]
        self.ends_documents = end is not None

    def encode(self, documents: Sequence[bytes]) -> list[Integers]:
        texts = list(map(text_of, documents))
        try:
            encoded = self._made.encode_batch_fast(texts, add_special_tokens=False)
        except BaseException as error:  # the library raises Exception itself, and where Rust panics, what is none
            if isinstance(error, KeyboardInterrupt):
                raise
            raise SpecError(f"tokenizer {self.name!r}: has no ids for a text of the data ({error})") from None
        return [np.array(each.ids + self._end, np.uint32) for each in encoded]


def end_of_documents(vocabulary: Container[str]) -> str | None:
    """The token that is put behind each document; None where the vocabulary has none."""
    return next((end for end in _ENDS if end in vocabulary), None)


def text_of(document: bytes) -> str:
    """The text that UTF-8 stands for; SpecError where it is none."""
    try:
        return document.decode()
    except UnicodeDecodeError as error:
        start = document[max(0, error.start - 20) : error.start + 20]
        raise SpecError(
            f"data: a text is not UTF-8 ({error.reason} in {start!r}): only --tokenizer bytes reads it"
        ) from None


def n_entries(name: str) -> int | None:
    """Of the tokenizer that a configuration names, without making it; None where it is a file.

    Raises
    ------
    SpecError
        When it is `bpe:` and something else than a number that is large enough.
    """
    if name == BYTES:
        return BYTE_VALUES
    if not name.startswith(BPE):
        return None
    text = name.removeprefix(BPE)
    number = as_whole_number(text)
    if number is None or not _FEWEST_ENTRIES <= number <= _MOST_ENTRIES:
        raise SpecError(
            f"tokenizer {name!r}: a vocabulary of {text!r} entries cannot be trained; {BPE}8192 would be right, and "
            f"{_FEWEST_ENTRIES} is the least (the bytes, and the end of a document)"
        )
    return number


def read_tokenizer(name: str) -> FileTokenizer:
    """The tokenizer of a file or folder: a `tokenizer.json`, or GPT-2's `vocab.json` and `merges.txt`.

    Raises
    ------
    SpecError
        When the library is missing, or there is no such thing.
    """
    path = Path(os.path.expanduser(name))
    file = path / FILE if path.is_dir() else path
    if not file.is_file() and not _gpt2_files(path):
        raise SpecError(
            f"tokenizer {name!r}: there is no such file, nor a folder with {FILE} or with vocab.json and merges.txt; "
            f"{BYTES!r} and {BPE + '8192'!r} need none"
        )
    library = extra("tokenizers", f"tokenizer {name!r}")
    try:
        if file.is_file():
            content = read_bytes(file)
            with _unheard():
                made = library.Tokenizer.from_str(content.decode())
            return FileTokenizer(made, file.name, content)
        made = library.Tokenizer(library.models.BPE.from_file(*map(str, _gpt2_files(path))))
    except (SpecError, KeyboardInterrupt):
        raise
    except BaseException as error:  # as above
        raise SpecError(f"tokenizer {name!r}: is none that the library reads ({error})") from None
    return FileTokenizer(_by_bytes(library, made), path.name)


@contextmanager
def _unheard() -> Iterator[None]:
    """What Rust prints of a panic, before Python hears of it, goes nowhere."""
    heard, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(heard, 2)
        os.close(heard)
        os.close(nowhere)


def train_bpe(name: str, documents: Iterable[bytes]) -> FileTokenizer:
    """Byte-level byte-pair encoding, trained on documents in their order, up to 64 MiB of them.

    Raises
    ------
    SpecError
        When the library is missing, or a document is not UTF-8.
    """
    n_wanted = n_entries(name)
    assert n_wanted is not None
    library = extra("tokenizers", f"tokenizer {name!r}")
    made = _by_bytes(library, library.Tokenizer(library.models.BPE()))
    trainer = library.trainers.BpeTrainer(
        vocab_size=n_wanted,
        special_tokens=[_END],
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(map(text_of, _first(documents)), trainer)
    return FileTokenizer(made, name)


def _first(documents: Iterable[bytes]) -> Iterator[bytes]:
    n_bytes = 0
    for document in documents:
        yield document
        if (n_bytes := n_bytes + len(document)) >= _MOST_TRAINED_BYTES:
            return


def _gpt2_files(folder: Path) -> list[Path]:
    paths = [folder / "vocab.json", folder / "merges.txt"]
    return paths if all(path.is_file() for path in paths) else []


def _by_bytes(library: Any, made: Any) -> Any:
    """With GPT-2's way of cutting text into words of bytes."""
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = library.decoders.ByteLevel()
    return made
