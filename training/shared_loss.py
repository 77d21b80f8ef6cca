"""A model's loss, and hung onto it the exchange of gradients or shards between processes: DDP, FSDP2, or neither."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from models.gpt import GPT
from training.distributed import World
from training.execution import Sharding
from wse_sim.errors import SpecError

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLoss:
    """A model's loss, the gradient of which is averaged over the processes on the way back.

    Parameters
    ----------
    of :
        Inputs and targets -> mean loss of this process's tokens.
    keeping :
        While it lasts, gradients are added up in each process and not averaged.
    settle :
        To be called after forward passes that no backward pass follows.
    """

    of: Loss
    keeping: Callable[[], AbstractContextManager[Any]] = nullcontext
    settle: Callable[[], None] = lambda: None


def share_loss(model: GPT, world: World, sharding: Sharding) -> SharedLoss:
    """The loss of a model that the processes train together; under `fsdp` its parameters become shards, on the device.

    The model must be the same in every process, and not compiled yet: what is compiled first would be for other shapes.
    """
    if world.size == 1:
        return SharedLoss(of=model.loss)
    return _sharded(model, world) if sharding == "fsdp" else _replicated(model, world.device)


class _Loss(nn.Module):
    """The loss as a forward pass, which is what PyTorch hangs the exchange on."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return self.model.loss(inputs_BT, targets_BT)


def _replicated(model: GPT, device: torch.device) -> SharedLoss:
    kind: Any = nn.parallel.DistributedDataParallel
    # Masks and tables are the same in every process: PyTorch would send them at each step, in case they are not.
    still = next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in signature(kind).parameters)
    replicas = kind(_Loss(model), gradient_as_bucket_view=True, **{still: False})
    # A rehearsal. After the first backward pass PyTorch orders gradients anew for their sums, by when they came, and
    # three numbers or more add up otherwise in another order: a resumed run, whose first pass is a later one, would
    # differ in the last bits from the run that was not interrupted.
    token_BT = torch.zeros(1, 1, dtype=torch.int64, device=device)
    replicas(token_BT, token_BT).backward()
    model.zero_grad(set_to_none=True)
    return SharedLoss(of=replicas, keeping=replicas.no_sync)


def _sharded(model: GPT, world: World) -> SharedLoss:
    from torch.distributed.device_mesh import init_device_mesh

    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError:
        raise SpecError("execution.sharding is 'fsdp', which needs PyTorch 2.6; 'ddp' would be right here") from None
    mesh = init_device_mesh(world.device.type, (world.size,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    loss = _Loss(model)
    shards = fully_shard(loss, mesh=mesh)  # the same object
    # No `keeping`: gradients that wait to be averaged are whole, and memory is what shards are for.
    return SharedLoss(of=loss, settle=shards.reshard)
