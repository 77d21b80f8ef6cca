"""Which sequences come when.

Which sequence comes k-th is a function of (seed, k) alone: not of the batch size, of processes or what was read before,
so a run resumes from the number of sequences it has consumed.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from training.data.permutation import Permutation, permutation
from training.data.source import BYTE_VALUES, Corpus, Places, TokenSource
from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor

_WINDOW_TOKENS = 1 << 16  # looked at together
_MOST_WINDOWS, _SAMPLED_WINDOWS = 1 << 13, 1 << 9  # the first takes a second or two; of more, the second are read


class TrainOrder:
    """Which sequence comes k-th: each one once per epoch, in an order drawn from (seed, epoch)."""

    def __init__(self, data: TokenSource, seq_len: int, seed: int) -> None:
        self._data = data
        self._seq_len = seq_len
        self._seed = seed
        self._n_sequences = data.n_sequences(seq_len)
        self._epoch = -1
        self._order: Permutation | None = None

    def batch(self, first: int, batch_size: int) -> "tuple[Tensor, Tensor]":
        """Inputs and targets, both (B, T) int64, of the sequences `first` ... `first + batch_size - 1`."""
        return _tensors(self._data, self.numbers(first, batch_size), self._seq_len)

    def numbers(self, first: int, n: int) -> Places:
        """(n,): which sequences of the source those are."""
        parts = []
        while n > 0:
            epoch, place = divmod(first, self._n_sequences)
            n_here = min(n, self._n_sequences - place)
            parts.append(self._of_epoch(epoch).at(np.arange(place, place + n_here, dtype=np.int64)))
            first, n = first + n_here, n - n_here
        return np.concatenate(parts)

    def _of_epoch(self, epoch: int) -> Permutation:
        if self._order is None or epoch != self._epoch:
            self._epoch, self._order = epoch, permutation(self._n_sequences, self._seed, epoch)
        return self._order


def held_out_batches(
    data: TokenSource, *, seq_len: int, n_sequences: int, batch_size: int
) -> "list[tuple[Tensor, Tensor]]":
    """Inputs and targets of held-out sequences spread evenly over the part; the same for every seed."""
    n_there = data.n_sequences(seq_len)
    n_taken = min(n_sequences, n_there)
    numbers = np.arange(n_taken, dtype=np.int64) * n_there // n_taken
    return [_tensors(data, numbers[i : i + batch_size], seq_len) for i in range(0, n_taken, batch_size)]


def require_enough(corpus: Corpus, *, seq_len: int, batch_size: int) -> None:
    """Raise SpecError when the corpus does not hold one batch to train on and one sequence to evaluate on."""
    unit = "bytes" if corpus.fingerprint.tokenizer == "bytes" else "tokens"
    for part, source, n_needed in (("train", corpus.train, batch_size), ("held-out", corpus.val, 1)):
        if source.n_sequences(seq_len) < n_needed:
            raise SpecError(
                f"data {corpus.fingerprint.source!r} ({corpus.fingerprint.n_bytes} bytes): the {part} part has "
                f"{source.n_tokens} {unit}, it must have at least {n_needed * seq_len + 1} for batch_size {batch_size} "
                f"and seq_len {seq_len}"
            )


def require_readable(corpus: Corpus, vocab_size: int, *, seq_len: int, batch_size: int, seed: int) -> None:
    """Read what a run reads first, and throw it away: SpecError where that cannot be, or is not in the vocabulary."""
    data = fitted(corpus, vocab_size)
    TrainOrder(data.train, seq_len, seed).batch(0, batch_size)
    held_out_batches(data.val, seq_len=seq_len, n_sequences=batch_size, batch_size=batch_size)


def fitted(corpus: Corpus, vocab_size: int) -> Corpus:
    """The corpus, for a model of this vocabulary; ids are held against it as they are read, where nobody said theirs.

    Those are looked through first, of a large corpus a sample: a run would meet the wrong one only when it comes to it.

    Raises
    ------
    SpecError
        When the corpus has a larger one.
    """
    require_vocabulary(corpus.fingerprint.source, corpus.vocab_size, vocab_size)
    if corpus.vocab_size is not None and corpus.vocab_size <= BYTE_VALUES:
        return corpus
    train, val = corpus.train.within(vocab_size), corpus.val.within(vocab_size)
    if corpus.vocab_size is None:
        for part in (train, val):
            _look_through(part)
    return replace(corpus, train=train, val=val)


def _look_through(part: TokenSource) -> None:
    """Read it once, or windows spread over it where it is long: reading raises SpecError on an id that is too large."""
    last = part.n_tokens - 1
    if last < 1:
        return
    seq_len = part.longest_seq_len or last // -(-last // _WINDOW_TOKENS)
    n_there = part.n_sequences(seq_len)
    n_read = n_there if n_there <= _MOST_WINDOWS else _SAMPLED_WINDOWS
    for number in range(n_read):
        part.read(np.array([number * n_there // n_read], dtype=np.int64), seq_len)


def require_vocabulary(data: str, of_data: int | None, of_model: int) -> None:
    """Raise SpecError when data have a larger vocabulary than a model."""
    if of_data is not None and of_data > of_model:
        raise SpecError(
            f"data {data!r}: their vocabulary has {of_data} entries, the model's has {of_model}: a tokenizer of "
            "at most as many, or a model for the data's, would be right"
        )


def _tensors(data: TokenSource, numbers: Places, seq_len: int) -> "tuple[Tensor, Tensor]":
    import torch  # which takes seconds, and who only names data needs none of it

    inputs_BT, targets_BT = data.read(numbers, seq_len)
    return torch.from_numpy(inputs_BT).contiguous(), torch.from_numpy(targets_BT).contiguous()
