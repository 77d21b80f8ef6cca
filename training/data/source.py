"""What the trainer reads: numbered sequences of tokens, wherever they come from.

Shapes of arrays: B sequences, T places.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError

BYTE_VALUES = 256
END_BYTE = 0  # ends a document of bytes

Integers = npt.NDArray[np.integer[Any]]
Places = npt.NDArray[np.int64]
Reader = Callable[[int, int], Integers]  # first token, how many -> these tokens


class TokenSource(Protocol):
    """One part of a corpus: sequence number k of any length is always the same tokens."""

    @property
    def vocab_size(self) -> int | None:
        """Ids are below this; None = nobody said."""

    @property
    def n_tokens(self) -> int:
        """All of them."""

    @property
    def n_bytes(self) -> int | None:
        """Of the text that the tokens stand for, where that is known."""

    @property
    def longest_seq_len(self) -> int | None:
        """Where the data are cut into sequences already, the length of these; shorter ones are cut out of them."""

    def n_sequences(self, seq_len: int) -> int:
        """How many there are of a length; SpecError where it is longer than the data have them."""

    def read(self, numbers: Places, seq_len: int) -> tuple[Places, Places]:
        """Inputs and targets, both (B, T) int64, of sequences by number; -1 is a target that does not count.

        Raises
        ------
        SpecError
            When an id is not in the vocabulary.
        """

    def within(self, vocab_size: int) -> Self:
        """The same, with ids held to be below `vocab_size`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStream:
    """One long row of tokens; sequences follow one another in it, and the target of a token is the next one.

    Parameters
    ----------
    name :
        For errors.
    readers :
        Of the places that tokens are in.
    stretches :
        (n_stretches, 3) int64: number of the reader, first token there, how many. Laid end to end they are the row.
    """

    name: str
    readers: Sequence[Reader] = field(repr=False)
    stretches: Places = field(repr=False)
    vocab_size: int | None
    n_bytes: int | None = None
    _ends: Places = field(repr=False, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", np.cumsum(self.stretches[:, 2], dtype=np.int64))

    @property
    def n_tokens(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def longest_seq_len(self) -> int | None:
        return None

    def n_sequences(self, seq_len: int) -> int:
        return max(0, self.n_tokens - 1) // seq_len

    def read(self, numbers: Places, seq_len: int) -> tuple[Places, Places]:
        windows = [self.tokens(first, seq_len + 1) for first in (numbers * seq_len).tolist()]
        window_BT = np.array(windows, dtype=np.int64)
        if windows[0].dtype != np.uint8 or self.vocab_size != BYTE_VALUES:
            require_ids(window_BT, self.vocab_size, self.name)
        return window_BT[:, :-1], window_BT[:, 1:]

    def tokens(self, first: int, n: int) -> Integers:
        """(n,): tokens from place `first` of the row on."""
        if len(self.stretches) == 1:
            return self.readers[0](int(self.stretches[0, 1]) + first, n)
        number = int(np.searchsorted(self._ends, first, side="right"))
        parts = []
        while n > 0:
            reader, start, n_here = (int(value) for value in self.stretches[number])
            skipped = first - (int(self._ends[number]) - n_here)
            n_taken = min(n, n_here - skipped)
            parts.append(self.readers[reader](start + skipped, n_taken))
            first, n, number = first + n_taken, n - n_taken, number + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def within(self, vocab_size: int) -> Self:
        return replace(self, vocab_size=vocab_size)


def in_memory(tokens: Integers, *, name: str = "tokens", vocab_size: int | None = BYTE_VALUES) -> TokenStream:
    """A row of tokens that is there; of bytes, the text is as long as the row."""
    return TokenStream(
        name=name,
        readers=[lambda first, n: tokens[first : first + n]],
        stretches=np.array([[0, 0, len(tokens)]], dtype=np.int64),
        vocab_size=vocab_size,
        n_bytes=len(tokens) if tokens.dtype == np.uint8 and vocab_size == BYTE_VALUES else None,
    )


def require_ids(ids: Places, vocab_size: int | None, name: str) -> None:
    """Raise SpecError when one of the ids is not in the vocabulary."""
    if not ids.size:
        return
    if (least := int(ids.min())) < 0:
        raise SpecError(f"{name}: a token has the id {least}; ids are 0 or more")
    if vocab_size is not None and (most := int(ids.max())) >= vocab_size:
        raise SpecError(
            f"{name}: a token has the id {most}, the vocabulary has {vocab_size} entries: data of the model's "
            "tokenizer would be right (or the file's dtype is not the one that it was read with)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What tells one corpus from another: runs on different ones must not be compared.

    Parameters
    ----------
    n_bytes :
        Of text, where that is known, else of files.
    sha256 :
        Over what `covers` says.
    tokenizer :
        Name and digest.
    covers :
        `all`: names and contents, in order; else what of the contents was read.
    """

    source: str
    n_files: int
    n_bytes: int
    sha256: str
    tokenizer: str = "bytes"
    covers: str = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Tokens split in two.

    Parameters
    ----------
    train, val :
        No document, and no copy of it under another name, is in both, where documents are known.
    entropy_nats :
        Per token, below which no model can predict the held-out part; None where nobody knows.
    tokenizer_file :
        That reads as these tokens; None where there is none.
    notes :
        What was assumed, for nothing says it, in sentences.
    """

    train: TokenSource = field(repr=False)
    val: TokenSource = field(repr=False)
    fingerprint: Fingerprint
    entropy_nats: float | None = None
    tokenizer_file: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def vocab_size(self) -> int | None:
        """None where nobody said."""
        return self.train.vocab_size
