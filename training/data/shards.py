"""Files of tokens, of whatever format, as one corpus."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from training.data.digest import digest_of
from training.data.side_car import SideCar
from training.data.source import Corpus, Fingerprint, Places, Reader, TokenStream
from training.data.splits import split_by_name, split_places
from wse_sim.errors import SpecError

_BY_SIDE_CARS = "all, by the side-cars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Tokens in a file, and what is said of them.

    Parameters
    ----------
    split :
        What of the shard is to train on and what is held out, (n_stretches, 2) each, where no file is held out;
        without it, by `split_places`.
    note :
        What was assumed.
    """

    path: Path
    read: Reader
    n: int
    said: SideCar
    split: Callable[[], tuple[Places, Places]] | None = None
    note: str = ""

    @property
    def kind(self) -> tuple[int | None, str]:
        """Vocabulary and tokenizer, which shards must have in common."""
        return self.said.vocab_size, self.said.tokenizer_in_words

    def parts(self) -> tuple[Places, Places]:
        """What is to train on, and what is held out."""
        return split_places(self.n) if self.split is None else self.split()


def corpus_of_shards(shards: Sequence[Shard], root: Path, source: str) -> Corpus:
    """The shards laid end to end.

    Those that are called `val` are held out; where there is none, a tenth of each.

    Raises
    ------
    SpecError
        When shards are of different tokenizers.
    """
    for shard in shards:
        if shard.kind != shards[0].kind:
            raise SpecError(
                f"data {shard.path}: vocabulary and tokenizer are {shard.kind}, those of {shards[0].path} are "
                f"{shards[0].kind}: files of one folder must have the same"
            )
    of_path = {shard.path: shard for shard in shards}
    train, val = ([of_path[path] for path in some] for some in split_by_name(of_path, root))
    name = f"data {source!r}"
    if val:
        streams = [_stream(some, [_whole(shard) for shard in some], name) for some in (train, val)]
    else:
        parts = [shard.parts() for shard in train]
        streams = [_stream(train, [part[side] for part in parts], name) for side in (0, 1)]
    return Corpus(
        train=streams[0],
        val=streams[1],
        fingerprint=_fingerprint([*train, *val], root, source),
        notes=tuple(dict.fromkeys(shard.note for shard in shards if shard.note)),
    )


def _whole(shard: Shard) -> Places:
    return np.array([[0, shard.n]], dtype=np.int64)


def _stream(shards: Sequence[Shard], parts: Sequence[Places], name: str) -> TokenStream:
    numbered = [np.insert(part, 0, number, axis=1) for number, part in enumerate(parts)]
    sizes = [None if shard.said.n_bytes is None else shard.said.n_bytes / shard.n for shard in shards]
    # Of a part of a file, the share of its text that it has of its tokens.
    known = [int(part[:, 1].sum()) * size for part, size in zip(parts, sizes, strict=True) if size is not None]
    return TokenStream(
        name=name,
        readers=[shard.read for shard in shards],
        stretches=np.concatenate(numbered),
        vocab_size=shards[0].said.vocab_size,
        n_bytes=round(sum(known)) if len(known) == len(shards) else None,
    )


def _fingerprint(shards: Sequence[Shard], root: Path, source: str) -> Fingerprint:
    said = [(shard.path.relative_to(root).as_posix(), shard.said.sha256) for shard in shards]
    known_bytes = [shard.said.n_bytes for shard in shards if shard.said.n_bytes is not None]
    if all(checksum is not None for _, checksum in said):
        digest, covers = sha256(repr(said).encode()).hexdigest(), _BY_SIDE_CARS
        file_bytes = sum(shard.path.stat().st_size for shard in shards)
    else:
        digest, covers, file_bytes = digest_of([shard.path for shard in shards], root)
    return Fingerprint(
        source=source,
        n_files=len(shards),
        n_bytes=sum(known_bytes) if len(known_bytes) == len(shards) else file_bytes,
        sha256=digest,
        tokenizer=shards[0].said.tokenizer_in_words,
        covers=covers,
    )
