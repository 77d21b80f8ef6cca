"""Data whose documents are read one after the other: text to be made tokens of, or ids to be laid end to end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np

from training.data.arrow import Column, column_documents, column_of, largest_id
from training.data.jsonl import json_documents
from training.data.source import Integers
from training.data.splits import FEWEST_DOCUMENTS, is_held_out
from training.data.text import blocks, pieces_of
from wse_sim.errors import SpecError

Kind = Literal["text", "json", "columns"]
Document = bytes | Integers
OnRead = Callable[[int], object]
_BLOCK_IDS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFiles:
    """Files of documents.

    Parameters
    ----------
    train, val :
        Files; where none is for validation, documents of the others are held out.
    field :
        Of a line of JSON, or column, that holds the text.
    """

    kind: Kind
    root: Path
    train: Sequence[Path]
    val: Sequence[Path]
    field: str
    source: str

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [*self.train, *self.val]

    @property
    def n_bytes(self) -> int:
        """On the disk."""
        return sum(path.stat().st_size for path in self.paths)

    @property
    def column(self) -> Column | None:
        """That documents are read from, of tables; SpecError where files differ."""
        if self.kind != "columns":
            return None
        first, *others = (column_of(path, self.field) for path in self.paths)
        if any(other != first for other in others):
            raise SpecError(f"data {self.source!r}: some files have the column {first.name!r}, and some have not")
        return first

    def split(self, on_read: OnRead) -> Iterator[tuple[bool, Document]]:
        """Each document that is not empty, and whether it is held out.

        Parameters
        ----------
        on_read :
            Called now and then with the bytes of the files that have been read.

        Raises
        ------
        SpecError
            When a file cannot be read, or is not what it should be.
        """
        documents = self._documents(self.train, 0, on_read)
        if self.val:
            yield from ((False, document) for document in documents)
            n_before = sum(path.stat().st_size for path in self.train)
            yield from ((True, document) for document in self._documents(self.val, n_before, on_read))
            return
        for document in documents if self.kind == "text" else _cut_if_few(documents):
            yield is_held_out(_content(document)), document

    def largest_id(self) -> int:
        """Of tables of ids."""
        column = self.column
        assert column is not None
        return max(largest_id(path, column) for path in self.paths)

    def _documents(self, paths: Sequence[Path], n_before: int, on_read: OnRead) -> Iterator[Document]:
        if self.kind == "text":
            yield from self._pieces_of_text(paths, on_read)
            return
        column = self.column
        for path in paths:
            if self.kind == "json":
                yield from json_documents(path, self.field, lambda n, before=n_before: on_read(before + n))  # type: ignore[misc]
            elif column is not None:
                yield from column_documents(path, column)
            n_before += path.stat().st_size
            on_read(n_before)

    def _pieces_of_text(self, paths: Sequence[Path], on_read: OnRead) -> Iterator[bytes]:
        """Files, or where they are few, blocks of them; as bytes of them are split."""
        sizes = {path: path.stat().st_size for path in paths}
        n_files, n_read = sum(size > 0 for size in sizes.values()), 0
        for path, size in sizes.items():
            if size:
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise SpecError(f"data {path}: cannot be read: {error.strerror}") from None
                yield from pieces_of([content], n_files, keeps_characters=True)
            on_read(n_read := n_read + size)


def _cut_if_few(documents: Iterator[Document]) -> Iterator[Document]:
    """The documents; where they are too few to be split as documents, blocks of them."""
    first = list(islice(documents, FEWEST_DOCUMENTS))
    if len(first) == FEWEST_DOCUMENTS:
        yield from chain(first, documents)
        return
    for document in first:
        if isinstance(document, bytes):
            yield from blocks(document, keeps_characters=True)
        else:
            yield from np.split(document, range(_BLOCK_IDS, len(document), _BLOCK_IDS))


def _content(document: Document) -> bytes:
    return document if isinstance(document, bytes) else document.astype(np.int64).tobytes()
