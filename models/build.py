"""A model ready to train: built, initialized by the rules of its parameterization, and masked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from models.gpt import GPT
from models.parametrization import EffectiveTensor, Parametrization, effective_table, forward_multipliers
from models.sparse import Mask, Masks, add_masks, hidden_densities, philox, random_masks
from wse_sim.spec.model import ModelShape

_TRUNCATION = 2.0  # standard deviations; Cerebras-GPT (arXiv 2304.03208), the model-zoo configurations


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltModel:
    """The network, the rules each tensor got, and the masks."""

    model: GPT
    table: list[EffectiveTensor]
    masks: Masks


StartMasks = Callable[[nn.Module], Mapping[str, Mask]]


def build_model(
    shape: ModelShape,
    parametrization: Parametrization,
    *,
    seed: int,
    density: float | Mapping[str, float],
    weight_decay: float,
    eps: float,
    start_masks: StartMasks | None = None,
    device: str = "cpu",
) -> BuiltModel:
    """The model in its state before the first step, a function of these arguments alone.

    Parameters
    ----------
    density :
        Of the hidden matrices, or of each parameter by its full name; one that is not named is dense.
    start_masks :
        Initialized model -> masks by parameter name; None = random ones (`models.sparse.random_mask`).
    device :
        Where the model goes in the end; numbers are drawn on the processor, the same for every device.
    """
    # Built without memory first: PyTorch's own initialization would cost time and draw from its global generator.
    with torch.device("meta"):
        model = GPT(shape, forward_multipliers(parametrization, shape))
    model = model.to_empty(device="cpu")
    model.dot_product.fill_tables()
    densities = density if isinstance(density, Mapping) else hidden_densities(model, density)
    table = effective_table(model, shape, parametrization, densities, weight_decay, eps)
    initialize(model, table, seed)
    masks = random_masks(model, seed, densities) if start_masks is None else start_masks(model)
    return BuiltModel(model=model, table=table, masks=add_masks(model.to(device), masks))


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
