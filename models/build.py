"""A model ready to train: built, initialized by the rules of its parameterization, and masked."""

from dataclasses import dataclass

import torch
from torch import nn

from models.gpt import GPT
from models.parametrization import EffectiveTensor, Parametrization, effective_table, forward_multipliers
from models.sparse import Masks, philox, sparsify
from wse_sim.spec.model import ModelShape

_TRUNCATION = 2.0  # standard deviations; Cerebras-GPT (arXiv 2304.03208), the model-zoo configurations


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltModel:
    """The network, the rules each tensor got, and the masks."""

    model: GPT
    table: list[EffectiveTensor]
    masks: Masks


def build_model(
    shape: ModelShape, parametrization: Parametrization, *, seed: int, density: float, weight_decay: float
) -> BuiltModel:
    """The model in its state before the first step, a function of these arguments alone."""
    # Built without memory first: PyTorch's own initialization would cost time and draw from its global generator.
    with torch.device("meta"):
        model = GPT(shape, forward_multipliers(parametrization, shape))
    model = model.to_empty(device="cpu")
    table = effective_table(model, shape, parametrization, density, weight_decay)
    initialize(model, table, seed)
    return BuiltModel(model=model, table=table, masks=sparsify(model, seed, density))


def initialize(model: nn.Module, table: list[EffectiveTensor], seed: int) -> None:
    """Fill every parameter by its row. The draw depends on (seed, name), not on the order of the rows."""
    with torch.no_grad():
        for row in table:
            parameter = model.get_parameter(row.name)
            if row.start == "normal":
                generator = torch.Generator().manual_seed(int(philox(seed, "init", row.name).random_raw()) >> 1)
                cut = _TRUNCATION * row.init_std
                nn.init.trunc_normal_(parameter, std=row.init_std, a=-cut, b=cut, generator=generator)
            else:
                parameter.fill_(1.0 if row.start == "one" else 0.0)
