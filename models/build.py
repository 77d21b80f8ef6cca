"""A model ready to train: built, initialized by the rules of its parameterization, and masked."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.gpt import GPT, undrawn_model
from models.masks import Mask, philox
from models.parametrization import (
    EffectiveTensor,
    InitialDraw,
    Parametrization,
    effective_table,
    forward_multipliers,
)
from models.sparse import Masks, add_masks, hidden_densities, random_masks
from wse_sim.spec.model import ModelShape

_TRUNCATION = 2.0  # standard deviations; Cerebras-GPT (arXiv 2304.03208), the model-zoo configurations
_STEP_BITS = 24  # of a float32


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
    initial_draw: InitialDraw = "torch",
    weights: Mapping[str, Tensor] | None = None,
    device: str = "cpu",
) -> BuiltModel:
    """The model in its state before the first step, a function of these arguments alone.

    Parameters
    ----------
    density :
        Of the hidden matrices, or of each parameter by its full name; one that is not named is dense.
    start_masks :
        Initialized model -> masks by parameter name; None = random ones (`models.masks.random_mask`).
    initial_draw :
        See `initialize`.
    weights :
        By parameter name, in place of drawn ones.
    device :
        Where the model goes in the end; numbers are drawn on the processor, the same for every device.
    """
    model = undrawn_model(shape, forward_multipliers(parametrization, shape))
    densities = density if isinstance(density, Mapping) else hidden_densities(model, density)
    table = effective_table(model, shape, parametrization, densities, weight_decay, eps)
    initialize(model, table, seed, initial_draw, weights)
    masks = random_masks(model, seed, densities) if start_masks is None else start_masks(model)
    return BuiltModel(model=model, table=table, masks=add_masks(model.to(device), masks))


def initialize(
    model: nn.Module,
    table: Iterable[EffectiveTensor],
    seed: int,
    initial_draw: InitialDraw = "torch",
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Fill the parameters of the rows. The draw depends on (seed, name), not on the order of the rows.

    Parameters
    ----------
    initial_draw :
        `torch`: by `torch.nn.init.trunc_normal_`, whole tensors, one number after the other; `philox`: each number from
        its own place in a counter-based stream, so that live weights can be drawn alone, and by many threads.
    weights :
        By parameter name, in place of drawn ones; each is asked for once.
    """
    with torch.no_grad():
        for row in table:
            fill(model.get_parameter(row.name), row, seed, initial_draw, weights)


def fill(
    tensor: Tensor,
    row: EffectiveTensor,
    seed: int,
    initial_draw: InitialDraw,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Fill one tensor by its row; see `initialize`."""
    if weights is not None:
        tensor.copy_(weights[row.name])
    elif row.start != "normal":
        tensor.fill_(1.0 if row.start == "one" else 0.0)
    elif initial_draw == "philox":
        draws = philox(seed, "init", row.name).random_raw(tensor.numel())
        tensor.copy_(truncate_(centred(draws), row.init_std).view_as(tensor))
    else:
        generator = torch.Generator().manual_seed(int(philox(seed, "init", row.name).random_raw()) >> 1)
        cut = _TRUNCATION * row.init_std
        nn.init.trunc_normal_(tensor, std=row.init_std, a=-cut, b=cut, generator=generator)


def centred(draws: npt.NDArray[np.uint64]) -> Tensor:
    """float32 numbers evenly in (-1, 1): the upper bits of 64-bit draws, in the middle of their step."""
    steps = torch.from_numpy((draws >> np.uint64(64 - _STEP_BITS)).astype(np.int32)).float()
    return steps.add_(0.5).mul_(2.0 ** (1 - _STEP_BITS)).sub_(1.0)


def truncate_(centred: Tensor, std: float) -> Tensor:
    """Make even numbers in (-1, 1) normal ones, of that standard deviation before a cut at two of them; in place.

    By the inverse of the distribution function.
    """
    return centred.mul_(math.erf(_TRUNCATION / math.sqrt(2.0))).erfinv_().mul_(std * math.sqrt(2.0))
