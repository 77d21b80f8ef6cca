"""Hyper-parameters tuned once on a narrow dense model, to be transferred to others."""

from collections.abc import Mapping

import msgspec

from wse_sim.errors import SpecError, choose
from wse_sim.spec.load import convert, data_path, read_toml
from wse_sim.spec.model import ModelPreset
from wse_sim.spec.sourced import Kind

_POSITIVE = ("d_base", "peak_lr", "init_std", "embedding_multiplier", "logits_multiplier", "attention_multiplier")


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
    embedding_multiplier: float = 1.0
    logits_multiplier: float = 1.0
    attention_multiplier: float = 1.0
    source: str
    kind: Kind = "assumed"

    def __post_init__(self) -> None:
        for field in _POSITIVE:
            _require(getattr(self, field) > 0, field, getattr(self, field), "positive")
        _require(self.depth_base is None or self.depth_base >= 1, "depth_base", self.depth_base, "at least 1")
        _require(0 < self.density_base <= 1, "density_base", self.density_base, "in (0, 1]")


def base_for(preset: ModelPreset | None, parametrization: str) -> BaseHyperparameters:
    """The published hyper-parameters from which a model of full size would be trained under `parametrization`.

    SP takes the learning rate of the model's own recipe, μP the base that the model was published with. SμPar takes its
    own, and so does what has none published: the ablations, and CompleteP, whose residual outputs start larger.
    """
    recipe = preset.recipe_for(parametrization) if preset else None
    if parametrization == "sp":
        base = BASES["cerebras-gpt-sp"]
        source = recipe.source if recipe and recipe.source else base.source
        return msgspec.structs.replace(base, peak_lr=recipe.peak_lr, source=source) if recipe else base
    if parametrization == "mup":
        return BASES[choose(recipe.base, BASES, "base")] if recipe and recipe.base else BASES["cerebras-gpt-mup"]
    return BASES["smupar-paper"]


def _require(holds: bool, field: str, value: object, right: str) -> None:
    if not holds:
        raise SpecError(f"base hyper-parameters: {field} is {value}, it must be {right}")


def _read_bases() -> Mapping[str, BaseHyperparameters]:
    return convert(read_toml(data_path("bases.toml")), dict[str, BaseHyperparameters], "data/bases.toml")


BASES: Mapping[str, BaseHyperparameters] = _read_bases()
