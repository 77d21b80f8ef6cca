"""AdamW with one group per rule of the parameterization, and the gradient it steps along."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from models.gpt import GPT
from models.parametrization import EffectiveTensor
from models.sparse import Masks
from training.execution import Clip

_LR_PEAK = "lr_peak"


def build_optimizer(model: nn.Module, table: list[EffectiveTensor], *, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW whose groups share what their rows say; `set_lr` must come before each step."""
    return optimizer_of(lambda name: [model.get_parameter(name)], table, betas=betas)


def optimizer_of(
    pieces_of: Callable[[str], Iterable[nn.Parameter]], table: list[EffectiveTensor], *, betas: tuple[float, float]
) -> torch.optim.AdamW:
    """The same for tensors that are kept in pieces.

    Parameters
    ----------
    pieces_of :
        Name of a row -> the parameters that its tensor consists of.
    """
    members: dict[tuple[float, float, float], list[nn.Parameter]] = defaultdict(list)
    for row in table:
        members[row.lr, row.weight_decay, row.eps].extend(pieces_of(row.name))
    groups = [
        {"params": parameters, "weight_decay": weight_decay, "eps": eps, _LR_PEAK: lr}
        for (lr, weight_decay, eps), parameters in members.items()
    ]
    # Fused: one compiled loop per group. On a small model the Python of the plain version costs more than its sums.
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=True)


def set_lr(optimizer: torch.optim.AdamW, factor: float) -> None:
    """Give every group `factor` times its own peak learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group[_LR_PEAK]


def compute_gradient(
    model: GPT,
    masks: Masks,
    optimizer: torch.optim.AdamW,
    batch: tuple[Tensor, Tensor],
    clip: Clip,
    *,
    backward: Callable[[tuple[Tensor, Tensor]], float] | None = None,
    on_dense_gradient: Callable[[], None] | None = None,
) -> tuple[float, float]:
    """Loss of the batch, and norm of its gradient before clipping; the clipped gradient is left in the parameters.

    Parameters
    ----------
    backward :
        Adds the batch's gradient to the parameters' and returns its loss; by default in one go, in 32 bits.
    on_dense_gradient :
        Called while pruned weights still have their gradient, before clipping.
    """
    optimizer.zero_grad(set_to_none=True)
    loss = (backward or (lambda whole: _backward(model, whole)))(batch)
    if on_dense_gradient is not None:
        on_dense_gradient()
    # Before the norm: what is masked must count neither for clipping nor, if it is NaN, at all.
    masks.zero_pruned_gradients()
    return loss, clip_gradient(model.parameters(), clip)


def clip_gradient(parameters: Iterable[nn.Parameter], clip: Clip) -> float:
    """Scale the gradient down to the norm `clip`, where it is above that, and return its norm before."""
    largest = math.inf if clip == "none" else clip
    return float(nn.utils.clip_grad_norm_(parameters, largest))


def _backward(model: GPT, batch: tuple[Tensor, Tensor]) -> float:
    loss = model.loss(*batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()
