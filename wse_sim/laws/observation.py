"""Finished runs as rows that a law can be fitted to: which may be mixed, and which are the same but for the seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import Convention, training_flops_per_token
from wse_sim.workload.transformer import linear_weights, n_parameters, nonzero_parameters

# What a law is about, or what scales with it: runs may differ in these. In everything else they must agree.
_SIZES = ("shape.name", "shape.n_layers", "shape.d_model", "shape.n_heads", "shape.n_kv_heads", "shape.d_ff")
_HOW_OFTEN = ("eval_interval", "log_interval", "checkpoint_interval", "kept_checkpoints", "n_threads")
_SETTINGS = ("batch_size", "weight_decay", "eps", "base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A model that was, or would be, trained.

    Parameters
    ----------
    density :
        Of the linear layers.
    seq_len :
        Tokens per training sequence.
    """

    shape: ModelShape
    density: float
    tokens: float
    seq_len: int

    @property
    def tokens_per_parameter(self) -> float:
        """All parameters count, embeddings and zeros too."""
        return self.tokens / n_parameters(self.shape)

    def flops(self, convention: Convention) -> float:
        """Of the whole training; masked weights cost nothing."""
        return training_flops_per_token(self.shape, self.seq_len, self.density, convention) * self.tokens

    def inputs(self, names: Iterable[str], convention: Convention) -> tuple[float, ...]:
        """What a law that depends on `names` is asked about.

        `parameters`: all that are trained, embeddings with them; `nonzeros`: of the linear layers alone.
        """
        nonzero = nonzero_parameters(self.shape, self.density)
        known = {
            "flops": self.flops(convention),
            "parameters": float(nonzero),
            "nonzeros": float(nonzero - (n_parameters(self.shape) - linear_weights(self.shape))),
            "density": self.density,
            "tokens": self.tokens,
            "data": self.tokens,
        }
        return tuple(known[name] for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One finished run.

    Parameters
    ----------
    name :
        Of its folder.
    loss :
        Held out, after the last step.
    config :
        Its configuration, flat: `shape.d_model`.
    corpus :
        What tells its text from another, by name.
    """

    name: str
    sample: Sample
    loss: float
    config: Mapping[str, Any]
    corpus: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Runs that differ in their seed alone."""

    sample: Sample
    losses: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def loss(self) -> float:
        return sum(self.losses) / len(self.losses)


def rows_of(observations: Sequence[Observation]) -> tuple[Row, ...]:
    """The runs by what they trained, each with its seeds, the smallest first.

    Raises
    ------
    SpecError
        When runs differ in something that no law here is about, or the same run is there twice.
    """
    _require_same_conditions(observations)
    found: dict[tuple[Any, ...], list[Observation]] = {}
    for observation in sorted(observations, key=lambda o: (o.config.get("seed", 0), o.name)):
        sample = observation.sample
        shape = msgspec.structs.replace(sample.shape, name="")
        found.setdefault((msgspec.json.encode(shape), sample.density, sample.tokens), []).append(observation)
    for group in found.values():
        _require_seeds_alone(group)
    rows = (
        Row(sample=group[0].sample, losses=tuple(o.loss for o in group), names=tuple(o.name for o in group))
        for group in found.values()
    )
    return tuple(sorted(rows, key=lambda row: (row.sample.density, row.sample.flops("6nd"))))


def differing(observations: Sequence[Observation], keys: Iterable[str]) -> tuple[str, ...]:
    """The `keys` of the configuration in which the runs differ."""
    first = observations[0]
    return tuple(key for key in keys if any(o.config.get(key) != first.config.get(key) for o in observations))


def settings(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Hyper-parameters that may go with a model's size: the keys that there are."""
    return _keys(observations, lambda key: key.split(".")[0] in _SETTINGS)


def _require_same_conditions(observations: Sequence[Observation]) -> None:
    may_differ = {*_SIZES, *_HOW_OFTEN, "seed", "density", "sparsity.sparsity", "n_steps", "data"}
    keys = _keys(observations, lambda key: key not in may_differ and key.split(".")[0] not in _SETTINGS)
    wrong = differing(observations, keys)
    if wrong:
        raise SpecError(f"runs cannot be mixed: {_difference(observations, wrong[0])}{_and_more(wrong)}")
    first = observations[0]
    for other in observations:
        if other.corpus.get("sha256") != first.corpus.get("sha256"):
            raise SpecError(
                f"runs cannot be mixed: {first.name} was trained on {_text(first)}, {other.name} on {_text(other)}"
            )


def _require_seeds_alone(group: Sequence[Observation]) -> None:
    wrong = differing(group, settings(group))
    if wrong:
        raise SpecError(
            f"runs of one model with different hyper-parameters: {_difference(group, wrong[0])}{_and_more(wrong)}; "
            "name only those with the setting that you would use"
        )
    by_seed: dict[Any, Observation] = {}
    for observation in group:
        other = by_seed.setdefault(observation.config.get("seed"), observation)
        if other is not observation:
            raise SpecError(f"{other.name} and {observation.name} are the same run: name it once")


def _keys(observations: Sequence[Observation], wanted: Any) -> tuple[str, ...]:
    return tuple(sorted({key for o in observations for key in o.config if wanted(key)}))


def _difference(observations: Sequence[Observation], key: str) -> str:
    first = observations[0]
    other = next(o for o in observations if o.config.get(key) != first.config.get(key))
    return f"{key} is {_value(first, key)} in {first.name} and {_value(other, key)} in {other.name}"


def _value(observation: Observation, key: str) -> str:
    return repr(observation.config[key]) if key in observation.config else "not set"


def _and_more(keys: Sequence[str]) -> str:
    return f" (and {', '.join(keys[1:])} differ too)" if len(keys) > 1 else ""


def _text(observation: Observation) -> str:
    corpus = observation.corpus
    return f"{corpus.get('source')} ({str(corpus.get('sha256'))[:12]})"
