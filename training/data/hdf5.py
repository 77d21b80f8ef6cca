"""HDF5 files as Cerebras' Model Zoo writes them: samples with a loss mask, or tokens in one row ("corpus").

A sample is a row of the data set `data`, (n_samples, 3, length): inputs, loss mask, and targets, which are shifted
already. A corpus is a data set `data`, (n_tokens,), and is cut into sequences as they are asked for.

Source: https://github.com/Cerebras/modelzoo, src/cerebras/modelzoo/data/common/h5_map_dataset/readers.py.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.targets import NOT_COUNTED
from training.data.digest import digest_of
from training.data.extras import extra
from training.data.shards import Shard, corpus_of_shards
from training.data.side_car import SideCar, read_side_car
from training.data.source import Corpus, Fingerprint, Integers, Places, require_ids
from training.data.splits import split_by_name, split_places
from wse_sim.errors import SpecError

SUFFIXES = (".h5", ".hdf5")
_DATA, _COUNT = "data", "n_examples"
_N_CHANNELS = 3
_N_CHANNELS_VSL = 5
_LEAST_PART = 16  # samples
_MOST_CHUNK_BYTES = 256 << 20
# What h5py raises where a file is not as it should be.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def corpus_of_hdf5(paths: Sequence[Path], root: Path, source: str) -> Corpus:
    """The files in the order of their names.

    Files called `val` are held out; where there is none, `training.data.splits.split_places` of tokens or samples.

    Raises
    ------
    SpecError
        When h5py is missing, a file cannot be read or is of another form, or files are of different forms.
    """
    opened = {path: _Opened(path) for path in paths}
    first = opened[paths[0]]
    for path, other in opened.items():
        if other.shape[1:] != first.shape[1:]:
            raise SpecError(
                f"data {path}: its samples are of shape {other.shape[1:]}, those of {paths[0]} of {first.shape[1:]}: "
                "files of one folder must have the same"
            )
    if len(first.shape) == 1:
        shards = [
            Shard(path=path, read=file.tokens, n=file.shape[0], said=_said(path, file)) for path, file in opened.items()
        ]
        return corpus_of_shards(shards, root, source)
    return _corpus_of_samples(opened, root, source)


class _Opened:
    """The data set of a file."""

    def __init__(self, path: Path) -> None:
        h5py = extra("h5py", f"data {path}")
        try:
            self._file = h5py.File(path, "r")
            self._require_inside(h5py, path)
            self._data = self._file.get(_DATA)
            there = ", ".join(self._file) or "nothing"
        except _DAMAGE as error:
            if isinstance(error, SpecError):
                raise
            raise SpecError(f"data {path}: is no HDF5 file that can be read ({error})") from None
        if not isinstance(self._data, h5py.Dataset) or self._data.shape is None:
            raise SpecError(f"data {path}: has no data set {_DATA!r}; there is {there}")
        self.path, self.shape, self.dtype = path, tuple(self._data.shape), self._data.dtype
        self._require_form()

    def tokens(self, first: int, n: int) -> Integers:
        with self._reading():
            tokens: Integers = self._data[first : first + n]
        return tokens

    def sample(self, number: int, first: int, n: int) -> Integers:
        """(3, n): inputs, loss mask and targets at `n` places."""
        with self._reading():
            sample: Integers = self._data[number, :, first : first + n]
        return sample

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise SpecError(f"data {self.path}: cannot be read, it is damaged ({error})") from None

    def _require_inside(self, h5py: Any, path: Path) -> None:
        """Raise SpecError where the numbers are in another file: whoever made this one would choose what is read."""
        leads_out = isinstance(self._file.get(_DATA, getlink=True), h5py.ExternalLink)
        if not leads_out and isinstance(found := self._file.get(_DATA), h5py.Dataset):
            leads_out = bool(found.external or found.is_virtual or found.file != self._file)
        if leads_out:
            raise SpecError(f"data {path}: {_DATA} leads to another file; name that one, or copy the tokens into this")

    def _require_form(self) -> None:
        shape = self.shape
        if self.dtype.kind not in "ui":
            raise SpecError(f"data {self.path}: {_DATA} holds {self.dtype}; whole numbers would be right")
        if len(shape) == 3 and shape[1] == _N_CHANNELS_VSL:
            raise SpecError(
                f"data {self.path}: samples of shape {shape[1:]} are packed for variable sequence lengths (VSL), whose "
                "attention spans the models here do not honour; (3, length) would be right"
            )
        if len(shape) != 1 and (len(shape) != 3 or shape[1] != _N_CHANNELS):
            raise SpecError(f"data {self.path}: {_DATA} is of shape {shape}; (n, 3, length) or (n,) would be right")
        if 0 in shape:
            raise SpecError(f"data {self.path}: there is no token in it, {_DATA} is of shape {shape}")
        if (n_bytes := prod(self._data.chunks or ()) * self.dtype.itemsize) > _MOST_CHUNK_BYTES:
            raise SpecError(
                f"data {self.path}: {_DATA} is in chunks of {n_bytes:,} bytes, each of which is read whole: at most "
                f"{_MOST_CHUNK_BYTES:,} would be right"
            )
        n = self._count()
        if len(shape) == 3 and n is not None and n != shape[0]:
            raise SpecError(f"data {self.path}: {_COUNT} is {n}, and {_DATA} has {shape[0]} samples: it is damaged")

    def _count(self) -> object:
        """The samples that there are said to be; None where nothing is said."""
        with self._reading():
            said = self._file.attrs.get(_COUNT)
        if said is None:
            return None
        return np.ravel(said)[0] if np.size(said) == 1 else str(said)


def _said(path: Path, file: _Opened) -> SideCar:
    return read_side_car(path) or SideCar(dtype="int32" if file.dtype.itemsize <= 4 else "int64")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSource:
    """Samples of one length; a shorter sequence is a part of one, numbered within it.

    Parameters
    ----------
    stretches :
        (n_stretches, 3) int64: number of the file, first sample there, how many.
    """

    name: str
    files: Sequence[Any] = field(repr=False)
    stretches: Places = field(repr=False)
    longest_seq_len: int
    vocab_size: int | None
    n_bytes: int | None = None

    @property
    def n_tokens(self) -> int:
        return int(self.stretches[:, 2].sum()) * self.longest_seq_len

    def n_sequences(self, seq_len: int) -> int:
        if seq_len > self.longest_seq_len:
            raise SpecError(
                f"{self.name}: its samples have {self.longest_seq_len} tokens, sequences of {seq_len} cannot be cut "
                f"out of them: a sequence length of at most {self.longest_seq_len} would be right"
            )
        return int(self.stretches[:, 2].sum()) * (self.longest_seq_len // seq_len)

    def read(self, numbers: Places, seq_len: int) -> tuple[Places, Places]:
        ends = np.cumsum(self.stretches[:, 2])
        window_B3T = np.stack([self._window(int(number), seq_len, ends) for number in numbers]).astype(np.int64)
        inputs_BT, mask_BT, labels_BT = window_B3T[:, 0], window_B3T[:, 1], window_B3T[:, 2]
        require_ids(inputs_BT, self.vocab_size, self.name)
        require_ids(labels_BT[mask_BT != 0], self.vocab_size, self.name)
        return inputs_BT, np.where(mask_BT != 0, labels_BT, NOT_COUNTED)

    def within(self, vocab_size: int) -> Self:
        return replace(self, vocab_size=vocab_size)

    def _window(self, number: int, seq_len: int, ends: Places) -> Integers:
        sample, part = divmod(number, self.longest_seq_len // seq_len)
        stretch = int(np.searchsorted(ends, sample, side="right"))
        file, first, n = (int(value) for value in self.stretches[stretch])
        window: Integers = self.files[file].sample(first + sample - (int(ends[stretch]) - n), part * seq_len, seq_len)
        return window


def _corpus_of_samples(opened: dict[Path, _Opened], root: Path, source: str) -> Corpus:
    train, val = split_by_name(opened, root)
    said = _said(train[0], opened[train[0]])
    digest = digest_of([*train, *val], root)

    def part(paths: Sequence[Path], stretches: Sequence[Places]) -> SampleSource:
        numbered = [np.insert(of, 0, number, axis=1) for number, of in enumerate(stretches)]
        return SampleSource(
            name=f"data {source!r}",
            files=[opened[path] for path in paths],
            stretches=np.concatenate(numbered),
            longest_seq_len=opened[train[0]].shape[2],
            vocab_size=said.vocab_size,
        )

    def whole(path: Path) -> Places:
        return np.array([[0, opened[path].shape[0]]], dtype=np.int64)

    parts = [split_places(opened[path].shape[0], _LEAST_PART) for path in train]
    return Corpus(
        train=part(train, [whole(path) if val else split[0] for path, split in zip(train, parts, strict=True)]),
        val=part(val, list(map(whole, val))) if val else part(train, [split[1] for split in parts]),
        fingerprint=Fingerprint(
            source=source,
            n_files=len(train) + len(val),
            n_bytes=digest.n_bytes,
            sha256=digest.sha256,
            tokenizer=said.tokenizer_in_words,
            covers=digest.covers,
        ),
    )
