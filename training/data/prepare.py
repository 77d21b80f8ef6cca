"""Documents to files of tokens: `train.bin`, `val.bin` and side-cars, in a folder of the user's or in the cache."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np

from training.data.digest import digest_of
from training.data.documents import Document, DocumentFiles
from training.data.side_car import UNKNOWN, SideCar, side_car_path, smallest_dtype, write_side_car
from training.data.source import Integers
from training.data.tokenizer import BPE, BYTES, FILE, ByteTokenizer, Tokenizer, read_tokenizer, train_bpe
from wse_sim.errors import FileError, SpecError
from wse_sim.files import lock, make_folder, user_cache, write_atomically
from wse_sim.report.quantities import counted

TRAIN, VAL = "train.bin", "val.bin"
_FORMAT = 1  # of the cache; rises when the same documents become other tokens
_BATCH_BYTES = 1 << 20
_SAID_EVERY_S = 0.2


class Progress(NamedTuple):
    """How far reading is.

    Parameters
    ----------
    what :
        Is done with the documents.
    n_bytes, n_bytes_in_all :
        Of the files, on the disk.
    """

    what: str
    n_bytes: int
    n_bytes_in_all: int


OnProgress = Callable[[Progress], object]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of tokens holds: of each part, what its side-car says."""

    train: SideCar
    val: SideCar


def write_tokens(files: DocumentFiles, tokenizer: str, folder: Path, on_progress: OnProgress | None = None) -> Prepared:
    """Fill a folder with the tokens of documents: `train.bin`, `val.bin`, a side-car each, and the `tokenizer.json`.

    Parameters
    ----------
    tokenizer :
        As a configuration names it; not asked where documents are ids.

    Raises
    ------
    SpecError
        When files or tokenizer cannot be read or trained, nothing could be held out, or the folder cannot be written.
    """
    column = files.column
    if column is not None and column.is_ids:
        return _write(files, None, files.largest_id() + 1, folder, _teller(files, "reading", on_progress))
    made = _made(files, tokenizer, on_progress)
    prepared = _write(files, made, made.vocab_size, folder, _teller(files, "tokenizing", on_progress))
    if made.file is not None:
        write_atomically(folder / FILE, made.file)
    return prepared


def cached_tokens(files: DocumentFiles, tokenizer: str, on_progress: OnProgress | None = None) -> Path:
    """The folder of the user's cache that holds the tokens of documents, made now if it is not there.

    Two processes that want the same do the work once: the second one waits.

    Raises
    ------
    SpecError
        As `write_tokens`.
    """
    cache = user_cache() / "tokens"
    folder = cache / _key(files, tokenizer)
    if folder.is_dir():
        return folder
    make_folder(cache)
    with lock(cache / f".{folder.name}.lock"):
        if not folder.is_dir():
            new = cache / f".{folder.name}.{os.getpid()}.part"
            make_folder(new)
            try:
                write_tokens(files, tokenizer, new, on_progress)
                new.rename(folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    return folder


def _made(files: DocumentFiles, tokenizer: str, on_progress: OnProgress | None) -> Tokenizer:
    if tokenizer == BYTES:
        return ByteTokenizer()
    if not tokenizer.startswith(BPE):
        return read_tokenizer(tokenizer)
    tell = _teller(files, f"training {tokenizer}", on_progress)
    return train_bpe(tokenizer, (text for is_val, text in files.split(tell) if not is_val and isinstance(text, bytes)))


def _write(
    files: DocumentFiles, tokenizer: Tokenizer | None, vocab_size: int, folder: Path, tell: Callable[[int], object]
) -> Prepared:
    parts = [_Part(folder / name, vocab_size) for name in (TRAIN, VAL)]
    try:
        for batch in _batches(files.split(tell)):
            for is_val, ids, n_bytes in _encoded(batch, tokenizer):
                parts[is_val].write(ids, n_bytes)
        for part, words in zip(parts, ("to train on", "held out"), strict=True):
            if not part.n_tokens:
                there = counted(sum(of_side.n_documents for of_side in parts), "piece")
                raise SpecError(
                    f"data {files.source!r}: nothing is {words}: {there} of text cannot be split; more text, or a "
                    "folder with files called train and val, would be right"
                )
        train, val = (part.finish(tokenizer, vocab_size) for part in parts)
        return Prepared(train=train, val=val)
    finally:
        for part in parts:
            part.discard()


class _Part:
    """A file of tokens that grows beside its final place."""

    def __init__(self, path: Path, vocab_size: int) -> None:
        self._path, self._beside = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        self._dtype = smallest_dtype(vocab_size)
        self._vocab_size = vocab_size
        self._digest = sha256()
        self.n_tokens = self.n_bytes = self.n_documents = 0
        try:
            self._file: IO[bytes] = self._beside.open("wb")
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {error.strerror}") from None

    def write(self, ids: Integers, n_bytes: int) -> None:
        assert not len(ids) or int(ids.max()) < self._vocab_size, "an id outside the vocabulary"
        content = ids.astype(np.dtype(self._dtype).newbyteorder("<")).tobytes()
        self._digest.update(content)
        try:
            self._file.write(content)
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {error.strerror}") from None
        self.n_tokens, self.n_bytes, self.n_documents = (
            self.n_tokens + len(ids),
            self.n_bytes + n_bytes,
            self.n_documents + 1,
        )

    def finish(self, tokenizer: Tokenizer | None, vocab_size: int) -> SideCar:
        """Put the file into its place, and beside it its side-car, which is returned."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            side_car_path(self._path).unlink(missing_ok=True)  # that of what was there before
            self._beside.replace(self._path)
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {error.strerror}") from None
        said = SideCar(
            dtype=self._dtype,
            vocab_size=None if tokenizer is None else vocab_size,
            tokenizer=UNKNOWN if tokenizer is None else tokenizer.name,
            tokenizer_sha256=None if tokenizer is None else tokenizer.sha256,
            n_tokens=self.n_tokens,
            n_bytes=None if tokenizer is None else self.n_bytes,
            n_documents=self.n_documents,
            sha256=self._digest.hexdigest(),
        )
        write_side_car(self._path, said)
        return said

    def discard(self) -> None:
        """What is not in its place goes."""
        self._file.close()
        self._beside.unlink(missing_ok=True)


def _batches(split: Iterator[tuple[bool, Document]]) -> Iterator[list[tuple[bool, Document]]]:
    """Documents that are made tokens of together: the library spreads them over processors."""
    batch: list[tuple[bool, Document]] = []
    n_bytes = 0
    for is_val, document in split:
        batch.append((is_val, document))
        if (n_bytes := n_bytes + len(document)) >= _BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    yield batch


def _encoded(
    batch: Sequence[tuple[bool, Document]], tokenizer: Tokenizer | None
) -> Iterator[tuple[bool, Integers, int]]:
    """Whether held out, ids, and bytes of text, of each document."""
    sides = [is_val for is_val, _ in batch]
    texts = [document for _, document in batch if isinstance(document, bytes)]
    if tokenizer is None:
        yield from ((is_val, ids, 0) for is_val, ids in batch if not isinstance(ids, bytes))
        return
    for is_val, text, ids in zip(sides, texts, tokenizer.encode(texts), strict=True):
        yield is_val, ids, len(text) + tokenizer.ends_documents


def _teller(files: DocumentFiles, what: str, on_progress: OnProgress | None) -> Callable[[int], object]:
    """What is told the bytes that have been read, and tells how far that is, now and then and at the end."""
    n_in_all, said_s = files.n_bytes, 0.0

    def tell(n_bytes: int) -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if on_progress is not None and (now_s - said_s >= _SAID_EVERY_S or n_bytes >= n_in_all):
            said_s = now_s
            on_progress(Progress(what, n_bytes, n_in_all))

    return tell


def _key(files: DocumentFiles, tokenizer: str) -> str:
    """Name of the cache's folder for these documents and tokens of them."""
    is_file = tokenizer != BYTES and not tokenizer.startswith(BPE)
    content = [
        _FORMAT,
        files.kind,
        files.field,
        [len(files.train), len(files.val)],
        digest_of(files.paths, files.root).sha256,
        # Of a large file the digest covers parts: a change elsewhere in it shows in its time.
        [path.stat().st_mtime_ns for path in files.paths],
        read_tokenizer(tokenizer).sha256 if is_file else tokenizer,
    ]
    return sha256(msgspec.json.encode(content)).hexdigest()[:32]
