"""The shape of a transformer: what it is, before any arithmetic on it."""

from typing import Literal

import msgspec

from wse_sim.errors import SpecError

FeedForward = Literal["gelu", "swiglu"]
Positions = Literal["learned", "rotary", "alibi"]


class ModelShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of a decoder or encoder transformer.

    Parameters
    ----------
    d_ff :
        Width of the feed-forward layer (4 x d_model in GPT-2).
    seq_len :
        Longest sequence; learned positions have one vector for each of its places.
    n_kv_heads :
        Heads of keys and values; None = n_heads.
    feed_forward :
        `gelu` has two matrices, `swiglu` three.
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
    positions: Positions = "learned"
    is_tied: bool = True
    has_biases: bool = True
    logits_fraction: float = 1.0

    def __post_init__(self) -> None:
        for field in ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len"):
            if getattr(self, field) < 1:
                raise SpecError(f"model {self.name!r}: {field} is {getattr(self, field)}, it must be at least 1")
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


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a published model was trained.

    Parameters
    ----------
    batch_size :
        Sequences per optimizer step, over the whole cluster.
    end_lr_fraction :
        Learning rate at the end, as a fraction of the peak.
    num_csx :
        Systems that the published run used.
    """

    batch_size: int
    n_steps: int
    warmup_steps: int
    peak_lr: float
    end_lr_fraction: float
    decay: Literal["linear", "cosine"]
    adam_eps: float
    num_csx: int


class ModelPreset(msgspec.Struct, frozen=True, kw_only=True):
    """A shape, and the recipe it was published with, if it has one."""

    shape: ModelShape
    recipe: Recipe | None = None
