"""Bytes to train on: the standard library's sources, the user's text, or a source whose entropy is known.

Which sequence comes k-th is a function of (seed, k) alone: not of the batch size, nor of what was read before, so a run
resumes from the number of sequences it has consumed.
"""

import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.sparse import philox
from training.markov import N_TRAIN_BYTES, N_VAL_BYTES, MarkovSource
from wse_sim.errors import SpecError

STDLIB = "stdlib"
MARKOV = "markov"

# Tests of the library repeat themselves and some distributions leave them out; packages are the user's, not Python's.
_LEFT_OUT = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})
_HELD_OUT_OF_256 = 26  # about a tenth of the files: fewer are too few to stand for the rest
_FEW_FILES = 20
_BLOCK_BYTES = 4096
_SEPARATOR = b"\0"

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What tells one corpus from another: runs on different ones must not be compared.

    Parameters
    ----------
    sha256 :
        Over names and contents, in order.
    """

    source: str
    n_files: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Text as bytes, split in two.

    Parameters
    ----------
    train, val :
        (n_bytes,) uint8. No file, and no copy of a file under another name, is in both.
    """

    train: Bytes = field(repr=False)
    val: Bytes = field(repr=False)
    fingerprint: Fingerprint


def load_corpus(data: str) -> Corpus:
    """The corpus that a configuration names: `stdlib`, `markov`, or the path of a file or folder of text.

    Raises
    ------
    SpecError
        When the path is missing, unreadable or empty.
    """
    if data == STDLIB:
        return _corpus_of_files(Path(sysconfig.get_path("stdlib")), ".py", STDLIB)
    if data == MARKOV:
        source = MarkovSource()
        train, val = source.sample(0, N_TRAIN_BYTES), source.sample(1, N_VAL_BYTES)
        digest = sha256(train.tobytes() + val.tobytes()).hexdigest()
        return Corpus(
            train=train,
            val=val,
            fingerprint=Fingerprint(source=MARKOV, n_files=0, n_bytes=train.size + val.size, sha256=digest),
        )
    path = Path(data).expanduser()
    if not path.exists():
        raise SpecError(f"data {data!r}: there is no such file or folder; {STDLIB!r} needs none")
    return _corpus_of_files(path, "", data)


def require_enough(corpus: Corpus, *, seq_len: int, batch_size: int) -> None:
    """Raise SpecError when the corpus does not hold one batch to train on and one sequence to evaluate on."""
    for part, n_bytes, n_needed in (
        ("train", corpus.train.size, batch_size * seq_len + 1),
        ("held-out", corpus.val.size, seq_len + 1),
    ):
        if n_bytes < n_needed:
            raise SpecError(
                f"data {corpus.fingerprint.source!r} ({corpus.fingerprint.n_bytes} bytes): the {part} part has "
                f"{n_bytes} bytes, it must have at least {n_needed} for batch_size {batch_size} and seq_len {seq_len}"
            )


class TrainOrder:
    """Which sequence comes k-th: each one once per epoch, in an order drawn from (seed, epoch)."""

    def __init__(self, data: Bytes, seq_len: int, seed: int) -> None:
        self._data = data
        self._seq_len = seq_len
        self._seed = seed
        self._n_sequences = (data.size - 1) // seq_len
        self._epoch = -1
        self._order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def batch(self, first: int, batch_size: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, both (B, T) int64, of the sequences `first` ... `first + batch_size - 1`."""
        numbers = [self._sequence(position) for position in range(first, first + batch_size)]
        return _gather(self._data, np.array(numbers) * self._seq_len, self._seq_len)

    def _sequence(self, position: int) -> int:
        epoch, index = divmod(position, self._n_sequences)
        if epoch != self._epoch:
            draws = philox(self._seed, "order", epoch).random_raw(self._n_sequences)
            self._epoch, self._order = epoch, np.argsort(draws, kind="stable")
        return int(self._order[index])


def held_out_batches(data: Bytes, *, seq_len: int, n_sequences: int, batch_size: int) -> list[tuple[Tensor, Tensor]]:
    """Inputs and targets of held-out sequences spread evenly over the part; the same for every seed."""
    n_there = (data.size - 1) // seq_len
    n_taken = min(n_sequences, n_there)
    starts = (np.arange(n_taken) * n_there // n_taken) * seq_len
    return [_gather(data, starts[i : i + batch_size], seq_len) for i in range(0, n_taken, batch_size)]


def _gather(data: Bytes, starts: npt.NDArray[np.int64], seq_len: int) -> tuple[Tensor, Tensor]:
    window_BT = torch.from_numpy(data[starts[:, None] + np.arange(seq_len + 1)].astype(np.int64))
    return window_BT[:, :-1].contiguous(), window_BT[:, 1:].contiguous()


def _corpus_of_files(root: Path, suffix: str, source: str) -> Corpus:
    names, contents = _read_files(root, suffix)
    if not contents:
        raise SpecError(f"data {source!r}: no file with text in it was found under {root}")
    digest = sha256()
    for name, content in zip(names, contents, strict=True):
        digest.update(name.encode() + _SEPARATOR + len(content).to_bytes(8, "little") + content)
    # Few files cannot be split as files: cut them into blocks, and split those by hash all the same.
    pieces = contents if len(contents) >= _FEW_FILES else list(_blocks(contents))
    n_bytes = sum(map(len, contents))
    return Corpus(
        train=_joined(piece for piece in pieces if not _is_held_out(piece)),
        val=_joined(piece for piece in pieces if _is_held_out(piece)),
        fingerprint=Fingerprint(source=source, n_files=len(contents), n_bytes=n_bytes, sha256=digest.hexdigest()),
    )


def _read_files(root: Path, suffix: str) -> tuple[list[str], list[bytes]]:
    """Relative names and contents of the files that are not empty, sorted by name."""
    paths = [root] if root.is_file() else [path for path in root.rglob(f"*{suffix}") if path.is_file()]
    base = root.parent if root.is_file() else root
    relative = sorted((path.relative_to(base).as_posix(), path) for path in paths)
    kept = [(name, path) for name, path in relative if not _LEFT_OUT.intersection(name.split("/")[:-1])]
    try:
        read = [(name, path.read_bytes()) for name, path in kept]
    except OSError as error:
        raise SpecError(f"data {error.filename}: cannot be read: {error.strerror}") from None
    return [name for name, content in read if content], [content for _, content in read if content]


def _blocks(contents: Sequence[bytes]) -> Iterable[bytes]:
    for content in contents:
        for start in range(0, len(content), _BLOCK_BYTES):
            yield content[start : start + _BLOCK_BYTES]


def _is_held_out(piece: bytes) -> bool:
    # By content, not by name or place: a file copied elsewhere falls on the same side.
    return blake2b(piece, digest_size=1).digest()[0] < _HELD_OUT_OF_256


def _joined(pieces: Iterable[bytes]) -> Bytes:
    return np.frombuffer(_SEPARATOR.join(pieces), dtype=np.uint8)
