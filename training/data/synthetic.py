"""The synthetic source as a corpus: what `markov` and `markov:seed=3,order=2` name."""

from hashlib import sha256
from typing import Any

from training.data.source import Corpus, Fingerprint, in_memory
from training.markov import N_TRAIN_BYTES, N_VAL_BYTES, MarkovSource
from wse_sim.errors import SpecError, choose
from wse_sim.spec.written import plain

MARKOV = "markov"
_KINDS: dict[str, type[int] | type[float]] = {
    "seed": int,
    "order": int,
    "n_symbols": int,
    "sharpness": float,
    "n_bytes": int,
}


def is_synthetic(data: str) -> bool:
    """Whether a configuration's `data` names the source."""
    return data == MARKOV or data.startswith(f"{MARKOV}:")


def corpus_of_chain(data: str) -> Corpus:
    """A sample of the chain to train on, and another one.

    Raises
    ------
    SpecError
        When a parameter is unknown or wrong.
    """
    given = _parameters(data)
    n_bytes = given.pop("n_bytes", N_TRAIN_BYTES)
    if n_bytes < 1:
        raise SpecError(f"data {data!r}: n_bytes is {n_bytes}, it must be at least 1")
    source = MarkovSource(**given)
    train, val = source.sample(0, n_bytes), source.sample(1, N_VAL_BYTES)
    digest = sha256(train.tobytes() + val.tobytes()).hexdigest()
    return Corpus(
        train=in_memory(train, name=f"data {data!r}"),
        val=in_memory(val, name=f"data {data!r}"),
        fingerprint=Fingerprint(source=data, n_files=0, n_bytes=train.size + val.size, sha256=digest),
        entropy_nats=source.entropy_rate_nats,
    )


def _parameters(data: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for part in data.partition(":")[2].split(",") if ":" in data else []:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise SpecError(f"data {data!r}: {part!r} is no key=value; {MARKOV}:seed=3,order=2 would be right")
        kind = _KINDS[choose(key, _KINDS, f"parameter of {MARKOV}")]
        try:
            given[key] = kind(plain(value))
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            raise SpecError(f"data {data!r}: {key} is {value!r}, it must be {number}") from None
    return given
