"""Megatron's indexed data sets: tokens in `PREFIX.bin`, documents in `PREFIX.idx`.

Layout of the index, little-endian: `MMIDIDX\\0\\0`, version (u64, 1), kind of number (u8), sequences (u64), entries of
the table of documents (u64); length of each sequence (i32), where it begins in the file (bytes, i64), and the first
sequence of each document, with the end behind the last (i64).

Source: https://github.com/NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py.
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from training.data.on_disk import FileTokens
from training.data.shards import Shard
from training.data.side_car import SideCar, read_side_car, side_car_path
from training.data.source import Places
from training.data.splits import FEWEST_DOCUMENTS, held_out_documents, split_places
from wse_sim.errors import SpecError

INDEX, TOKENS = ".idx", ".bin"
_MAGIC = b"MMIDIDX\0\0"
_HEADER = struct.Struct("<9sQBQQ")
# 2 and 3, int8 and int16, cannot hold what they are for; 6 and 7 are float64 and float32.
_DTYPES = {1: "uint8", 4: "int32", 5: "int64", 8: "uint16"}


class _Index(NamedTuple):
    """Where sequences and documents are.

    Parameters
    ----------
    firsts, lengths :
        (n_sequences,) in tokens.
    documents :
        (n_documents + 1,) sequences.
    """

    dtype: str
    firsts: Places
    lengths: Places
    documents: Places


def megatron_shard(index_path: Path) -> Shard:
    """The documents of an index in their order; where they are many, those held out are drawn by their number.

    Raises
    ------
    SpecError
        When a file cannot be read, is cut short or not what it should be, or its numbers are no tokens.
    """
    path = index_path.with_suffix(TOKENS)
    index = _index(index_path)
    tokens = FileTokens(path, np.dtype(index.dtype).newbyteorder("<"))
    n_needed = int((index.firsts + index.lengths).max(initial=0))
    if n_needed > tokens.n:
        raise SpecError(f"data {path}: is cut short: {tokens.n} tokens, {index_path.name} speaks of {n_needed}")
    if not index.lengths.sum():
        raise SpecError(f"data {path}: there is no token in it")
    said = read_side_car(path) or SideCar(dtype="uint16")
    if said.dtype != index.dtype and side_car_path(path).is_file():
        raise SpecError(f"{side_car_path(path)}: dtype is {said.dtype}, {index_path.name} says {index.dtype}")
    said = msgspec.convert({**msgspec.to_builtins(said), "dtype": index.dtype}, SideCar)
    return Shard(
        path=path, read=_InOrder(tokens, index), n=int(index.lengths.sum()), said=said, split=lambda: _split(index)
    )


class _InOrder:
    """Tokens of the sequences in their order, which nearly always is that in which they lie in the file."""

    def __init__(self, tokens: FileTokens, index: _Index) -> None:
        self._tokens = tokens
        self._ends = np.cumsum(index.lengths)
        starts = self._ends - index.lengths
        shifts = index.firsts - starts
        # Sequences that lie one behind the other are one piece.
        begins = np.flatnonzero(np.diff(shifts, prepend=shifts[:1] - 1))
        self._starts, self._shifts = starts[begins], shifts[begins]
        self._stops = np.append(self._starts[1:], self._ends[-1:])

    def __call__(self, first: int, n: int) -> Any:
        piece = int(np.searchsorted(self._stops, first, side="right"))
        parts = []
        while n > 0:
            n_taken = min(n, int(self._stops[piece]) - first)
            parts.append(self._tokens(first + int(self._shifts[piece]), n_taken))
            first, n, piece = first + n_taken, n - n_taken, piece + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _split(index: _Index) -> tuple[Places, Places]:
    ends = np.concatenate([[0], np.cumsum(index.lengths)])[index.documents]
    n_documents = len(index.documents) - 1
    if n_documents < FEWEST_DOCUMENTS:
        return split_places(int(index.lengths.sum()))
    is_held_out = held_out_documents(n_documents)
    begins = np.flatnonzero(np.diff(is_held_out, prepend=~is_held_out[:1]))  # neighbours on one side are one stretch
    starts = ends[begins]
    stretches = np.stack([starts, np.append(starts[1:], ends[-1]) - starts], axis=1)
    side = is_held_out[begins]
    return stretches[~side], stretches[side]


def _index(path: Path) -> _Index:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except OSError as error:
        raise SpecError(f"data {path}: cannot be read: {error.strerror}") from None
    if header[: len(_MAGIC)] != _MAGIC:
        raise SpecError(f"data {path}: is no index of Megatron's: it does not begin with MMIDIDX")
    if len(header) < _HEADER.size:
        raise SpecError(f"data {path}: is cut short: {size} bytes")
    _, version, code, n_sequences, n_entries = _HEADER.unpack(header)
    if version != 1:
        raise SpecError(f"data {path}: is of version {version}; 1 would be right")
    if code not in _DTYPES:
        known = ", ".join(f"{known} ({name})" for known, name in _DTYPES.items())
        raise SpecError(f"data {path}: its numbers are of kind {code}, which holds no tokens; known are {known}")
    if size < (n_bytes := _HEADER.size + 12 * n_sequences + 8 * n_entries):
        raise SpecError(f"data {path}: is cut short: {size} bytes, {n_bytes} belong to {n_sequences} sequences")
    return _tables(path, _DTYPES[code], n_sequences, n_entries)


def _tables(path: Path, dtype: str, n_sequences: int, n_entries: int) -> _Index:
    offset = _HEADER.size
    lengths = np.fromfile(path, "<i4", n_sequences, offset=offset).astype(np.int64)
    pointers = np.fromfile(path, "<i8", n_sequences, offset=offset + 4 * n_sequences)
    documents = np.fromfile(path, "<i8", n_entries, offset=offset + 12 * n_sequences)
    firsts, rests = np.divmod(pointers, np.dtype(dtype).itemsize)
    is_whole = n_entries > 0 and documents[0] == 0 and documents[-1] == n_sequences and (np.diff(documents) >= 0).all()
    if not is_whole or rests.any() or (lengths < 0).any() or (firsts < 0).any():
        raise SpecError(f"data {path}: its tables do not cover its {n_sequences} sequences: it is damaged")
    return _Index(dtype, firsts, lengths, documents)
