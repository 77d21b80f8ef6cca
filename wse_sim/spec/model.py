"""The shape of a transformer: what it is, before any arithmetic on it."""

from typing import Any, Literal

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.base import BaseHyperparameters
from wse_sim.spec.ranges import check_number, check_range

FeedForward = Literal["gelu", "gelu_tanh", "swiglu"]
Norm = Literal["layernorm", "rmsnorm"]
Positions = Literal["learned", "rotary", "alibi"]


class ModelShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of a decoder or encoder transformer.

    Parameters
    ----------
    name :
        What lists and results call it.
    n_layers :
        Blocks.
    d_model :
        Width of the residual stream.
    n_heads :
        Heads of attention, into which d_model is divided.
    d_ff :
        Width of the feed-forward layer (4 x d_model in GPT-2).
    vocab_size :
        Entries of the vocabulary.
    seq_len :
        Longest sequence; learned positions have one vector for each of its places.
    n_kv_heads :
        Heads of keys and values; None = n_heads.
    feed_forward :
        `gelu` has two matrices, `swiglu` three; `gelu_tanh` is OpenAI GPT-2's approximation of `gelu`.
    norm :
        `rmsnorm` has no bias, whatever `has_biases` says.
    positions :
        `learned` vectors, `rotary` queries and keys, or `alibi`, which adds to scores.
    is_tied :
        The output layer uses the token embedding's matrix.
    has_biases :
        Linear layers and norms carry biases.
    logits_fraction :
        Share of the positions at which logits are computed: 1 for a language model, the masked share for an encoder.
    """

    name: str
    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    vocab_size: int
    seq_len: int
    n_kv_heads: int | None = None
    feed_forward: FeedForward = "gelu"
    norm: Norm = "layernorm"
    positions: Positions = "learned"
    is_tied: bool = True
    has_biases: bool = True
    logits_fraction: float = 1.0

    def __post_init__(self) -> None:
        for field in ("n_layers", "d_model", "n_heads", "n_kv_heads", "d_ff", "vocab_size", "seq_len"):
            if (value := getattr(self, field)) is not None:
                check_number(field, value, f"model {self.name!r}: {field}")
        if not 0 < self.logits_fraction <= 1:
            raise SpecError(
                f"model {self.name!r}: logits_fraction is {self.logits_fraction}, it must be above 0 and at most 1"
            )
        if self.d_model % self.n_heads:
            raise SpecError(f"model {self.name!r}: d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.n_heads % self.kv_heads:
            raise SpecError(
                f"model {self.name!r}: n_heads {self.n_heads} is not a multiple of n_kv_heads {self.kv_heads}"
            )

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of a run with one batch size.

    Parameters
    ----------
    batch_size :
        Sequences per optimizer step.
    num_csx :
        Systems that it ran on; None = not published.
    first_step, last_step :
        Of the step counter when the phase begins and ends; a later phase starts where the tokens seen so far stand,
        counted in its own steps.
    warmup_steps, decay_steps :
        Of the learning-rate schedule, which runs over the whole run counted in the phase's steps.
    """

    batch_size: int
    num_csx: int | None = None
    first_step: int
    last_step: int
    warmup_steps: int
    decay_steps: int

    @property
    def n_sequences(self) -> int:
        return (self.last_step - self.first_step) * self.batch_size

    @property
    def schedule_steps(self) -> int:
        """Steps of this phase's batch that the whole run would take, the horizon of its schedule."""
        return self.warmup_steps + self.decay_steps

    def decay_progress(self, step: int) -> float:
        """How much of the decay lies behind at `step` of the counter, 0 to 1."""
        return max(0.0, (step - self.warmup_steps) / self.decay_steps)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a published model was trained. What is None is not published.

    Parameters
    ----------
    parametrization :
        `mup`: peak_lr and the initial weights are those of `base` at its width, and transfer by μP.
    base :
        Name of the base hyper-parameters, in data/bases.toml.
    batch_size :
        Sequences per optimizer step, over the whole cluster; of the last phase where there are several.
    n_steps :
        Of the whole run, in steps of batch_size.
    warmup_steps :
        Over which the learning rate rises to its peak.
    peak_lr :
        Largest learning rate.
    end_lr_fraction :
        Learning rate at the end, as a fraction of the peak.
    decay :
        How it falls from the peak to the end.
    adam_eps, betas, weight_decay :
        Of AdamW.
    clip :
        Largest norm of the gradient.
    num_csx :
        Systems that the published run used.
    phases :
        Where the batch size changed during the run.
    source :
        Where it is published.
    """

    parametrization: Literal["sp", "mup"] = "sp"
    base: str | None = None
    batch_size: int
    n_steps: int
    warmup_steps: int
    peak_lr: float
    end_lr_fraction: float
    decay: Literal["linear", "cosine"]
    adam_eps: float
    betas: tuple[float, float] | None = None
    weight_decay: float | None = None
    clip: float | None = None
    num_csx: int | None = None
    phases: tuple[Phase, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "n_steps", "num_csx", "peak_lr", "clip"):
            if (value := getattr(self, name)) is not None:
                check_number(name, value)
        _check("warmup_steps", self.warmup_steps, may_be_least=True, most=self.n_steps)
        _check("end_lr_fraction", self.end_lr_fraction, may_be_least=True, most=1)
        for name in ("adam_eps", "weight_decay"):
            _check(name, getattr(self, name), may_be_least=True)
        if self.betas is not None and not all(0 <= beta < 1 for beta in self.betas):
            raise SpecError(f"betas are {self.betas[0]} and {self.betas[1]}: they must be at least 0 and below 1")
        n_sequences = sum(phase.n_sequences for phase in self.phases)
        if self.phases and n_sequences != self.n_steps * self.batch_size:
            raise SpecError(
                f"recipe: its phases have {n_sequences} sequences, n_steps x batch_size = "
                f"{self.n_steps * self.batch_size}; the two must agree"
            )


class ModelPreset(msgspec.Struct, frozen=True, kw_only=True):
    """A shape, and the recipes it was published with, if it has any.

    Parameters
    ----------
    recipe_mup :
        Of the same model in μP, where it was trained both ways.
    base :
        Its own base hyper-parameters, by the parameterization of `recipe`, in place of those of data/bases.toml.
    """

    shape: ModelShape
    recipe: Recipe | None = None
    recipe_mup: Recipe | None = None
    base: BaseHyperparameters | None = None

    def recipe_for(self, parametrization: str) -> Recipe | None:
        """The recipe whose learning rate means something under `parametrization`: SP's own, or any other's of μP."""
        wanted = "sp" if parametrization == "sp" else "mup"
        return next((r for r in (self.recipe, self.recipe_mup) if r and r.parametrization == wanted), None)


def _check(name: str, value: float | None, **allowed: Any) -> None:
    """`check_range` of what is published."""
    if value is not None:
        check_range(name, value, **allowed)
