"""Hyper-parameters tuned once on a narrow dense model, to be transferred to others."""

from collections.abc import Mapping

import msgspec

from wse_sim.errors import choose
from wse_sim.spec.base import BaseHyperparameters
from wse_sim.spec.load import convert, data_path, read_toml
from wse_sim.spec.model import ModelPreset

__all__ = ["BASES", "BaseHyperparameters", "base_for"]


def base_for(preset: ModelPreset | None, parametrization: str) -> BaseHyperparameters:
    """The published hyper-parameters from which a model of full size would be trained under `parametrization`.

    SP takes the learning rate of the model's own recipe, μP the base that the model was published with. SμPar takes its
    own, and so does what has none published: the ablations, and CompleteP, whose residual outputs start larger.
    A model that comes with a base of its own takes that.
    """
    recipe = preset.recipe_for(parametrization) if preset else None
    if preset and preset.base and recipe:
        return preset.base
    if parametrization == "sp":
        base = BASES["cerebras-gpt-sp"]
        source = recipe.source if recipe and recipe.source else base.source
        return msgspec.structs.replace(base, peak_lr=recipe.peak_lr, source=source) if recipe else base
    if parametrization == "mup":
        return BASES[choose(recipe.base, BASES, "base")] if recipe and recipe.base else BASES["cerebras-gpt-mup"]
    return BASES["smupar-paper"]


def _read_bases() -> Mapping[str, BaseHyperparameters]:
    return convert(read_toml(data_path("bases.toml")), dict[str, BaseHyperparameters], "data/bases.toml")


BASES: Mapping[str, BaseHyperparameters] = _read_bases()
