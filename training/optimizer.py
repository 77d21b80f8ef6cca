"""AdamW with one group per rule of the parameterization, and the gradient it steps along."""

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.gpt import GPT
from models.parametrization import EffectiveTensor
from models.sparse import Masks

_LR_PEAK = "lr_peak"


def build_optimizer(model: nn.Module, table: list[EffectiveTensor], *, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW whose groups share what their rows say; `set_lr` must come before each step."""
    members: dict[tuple[float, float, float], list[nn.Parameter]] = defaultdict(list)
    for row in table:
        members[row.lr, row.weight_decay, row.eps].append(model.get_parameter(row.name))
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
    clip: float,
    *,
    on_dense_gradient: Callable[[], None] | None = None,
) -> tuple[float, float]:
    """Loss of the batch, and norm of its gradient before clipping; the clipped gradient is left in the parameters.

    Parameters
    ----------
    on_dense_gradient :
        Called while pruned weights still have their gradient, before clipping.
    """
    optimizer.zero_grad(set_to_none=True)
    loss = model.loss(*batch)
    loss.backward()  # type: ignore[no-untyped-call]
    if on_dense_gradient is not None:
        on_dense_gradient()
    # Before the norm: what is masked must count neither for clipping nor, if it is NaN, at all.
    masks.zero_pruned_gradients()
    return loss.item(), float(nn.utils.clip_grad_norm_(model.parameters(), clip))
