"""The hyper-parameters that a parameterization transfers to other models."""

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.sourced import Kind

_POSITIVE = ("d_base", "peak_lr", "init_std", "embedding_multiplier", "logits_multiplier", "attention_multiplier")
_POSITIVE_OR_NONE = ("depth_base", "embedding_init_std", "residual_init_std")


class BaseHyperparameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hyper-parameters tuned once on a narrow dense model, to be transferred.

    Parameters
    ----------
    d_base :
        Width of the model they were tuned on.
    depth_base :
        Its number of layers; None where it is not known, and then nothing transfers over depth.
    density_base :
        Density of that model, in (0, 1].
    peak_lr :
        Peak learning rate of AdamW (eta).
    init_std :
        Standard deviation before truncation (sigma).
    embedding_init_std, residual_init_std :
        The same of token and position embeddings, and of the matrices that end a residual branch, whose factors it
        takes too; None = init_std.
    embedding_multiplier, logits_multiplier :
        alpha_in and alpha_out.
    attention_multiplier :
        Factor on the attention scale 1/d_head of μP (ModelZoo's attention_logits_alpha); SP ignores all three.
    source, kind :
        Where the numbers come from, as in `wse_sim.spec.sourced.Sourced`.
    """

    d_base: int
    depth_base: int | None = None
    density_base: float = 1.0
    peak_lr: float
    init_std: float
    embedding_init_std: float | None = None
    residual_init_std: float | None = None
    embedding_multiplier: float = 1.0
    logits_multiplier: float = 1.0
    attention_multiplier: float = 1.0
    source: str
    kind: Kind = "assumed"

    def __post_init__(self) -> None:
        for field in _POSITIVE:
            _require(getattr(self, field) > 0, field, getattr(self, field), "positive")
        for field in _POSITIVE_OR_NONE:
            value = getattr(self, field)
            _require(value is None or value > 0, field, value, "positive")
        _require(0 < self.density_base <= 1, "density_base", self.density_base, "in (0, 1]")

    def sigma(self, role: str) -> float:
        """Standard deviation of a tensor of that role, before a rule scales it."""
        if role in ("embedding", "position") and self.embedding_init_std is not None:
            return self.embedding_init_std
        if role == "hidden_out" and self.residual_init_std is not None:
            return self.residual_init_std
        return self.init_std


def _require(holds: bool, field: str, value: object, right: str) -> None:
    if not holds:
        raise SpecError(f"base hyper-parameters: {field} is {value}, it must be {right}")
