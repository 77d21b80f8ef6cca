"""AdamW with one group per rule of the parameterization, and the gradient it steps along."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from inspect import unwrap

import torch
from torch import Tensor, nn

from models.gpt import GPT
from models.parametrization import EffectiveTensor
from models.sparse import Masks, whole
from training.execution import Clip

CLIP_SLACK = 1e-6  # `torch.nn.utils.clip_grad_norm_` divides by the norm and this
_LR_PEAK = "lr_peak"
_LONG = 2**21  # numbers
_PIECE = 2**12


class AdamW(torch.optim.AdamW):
    """PyTorch's, out of the wrappers that keep its compiler away by importing it, which takes as long as PyTorch."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)


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
    return AdamW(groups, lr=0.0, betas=betas, fused=True)


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
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = [parameter.grad for parameter in with_gradient if parameter.grad is not None]
    if not any(map(_is_long, gradients)):
        return float(whole(nn.utils.clip_grad_norm_(with_gradient, largest)))
    norms = [norm(gradient).to(gradients[0].device) for gradient in gradients]
    total = float(torch.linalg.vector_norm(torch.stack(norms)))
    if (factor := largest / (total + CLIP_SLACK)) < 1.0:
        for gradient in gradients:
            gradient.mul_(factor)
    return total


def norm(gradient: Tensor) -> Tensor:
    """Of a gradient, a scalar.

    Of a long one, that of the norms of its pieces: on a processor PyTorch sums squares one by one in 32 bits, and loses
    3e-5 of the norm of 2 million numbers, 2.7e-3 of that of 39 million (docs/notebook.md).
    """
    norm_of: Callable[..., Tensor] = torch.linalg.vector_norm
    if not _is_long(gradient):
        return norm_of(gradient)
    flat = gradient.flatten()
    n_whole = flat.numel() // _PIECE * _PIECE
    norms = norm_of(flat[:n_whole].view(-1, _PIECE), dim=1)
    return norm_of(torch.cat([norms, norm_of(flat[n_whole:])[None]]))


def _is_long(gradient: Tensor) -> bool:
    """Shards (`DTensor`) are left to PyTorch, which sums up over processes too."""
    return gradient.numel() > _LONG and not hasattr(gradient, "to_local")


def _backward(model: GPT, batch: tuple[Tensor, Tensor]) -> float:
    loss = model.loss(*batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()
