"""AdamW with one group per rule of the parameterization."""

from collections import defaultdict

import torch
from torch import nn

from models.parametrization import EffectiveTensor

_LR_PEAK = "lr_peak"


def build_optimizer(
    model: nn.Module, table: list[EffectiveTensor], *, betas: tuple[float, float], eps: float
) -> torch.optim.AdamW:
    """AdamW whose groups share a peak learning rate and a weight decay; `set_lr` must come before each step."""
    members: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for row in table:
        members[row.lr, row.weight_decay].append(model.get_parameter(row.name))
    groups = [
        {"params": parameters, "weight_decay": weight_decay, _LR_PEAK: lr}
        for (lr, weight_decay), parameters in members.items()
    ]
    # Fused: one compiled loop per group. On a small model the Python of the plain version costs more than its sums.
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=eps, fused=True)


def set_lr(optimizer: torch.optim.AdamW, factor: float) -> None:
    """Give every group `factor` times its own peak learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group[_LR_PEAK]
