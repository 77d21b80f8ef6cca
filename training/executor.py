"""What the trainer asks of whatever carries a model through its steps."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.checkpoint import SavedParameter
from training.config import TrainConfig
from training.dtypes import DTYPES
from training.sparsity.updater import MaskUpdate, MaskUpdater
from training.streaming.record import StreamRow

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """What an optimizer step tells.

    Parameters
    ----------
    loss :
        Of the batch before the step, nats per token.
    grad_norm :
        Before clipping; masked gradients count as 0.
    mask_update :
        None at most steps.
    """

    loss: float
    grad_norm: float
    mask_update: MaskUpdate | None = None

    @property
    def is_finite(self) -> bool:
        """Loss and gradient are numbers; where they are not, the step was not taken."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


class Executor(Protocol):
    """A model in training: what is kept of it, and how it takes a step."""

    mask_updater: MaskUpdater
    n_params: int

    @property
    def n_nonzero_params(self) -> int:
        """Parameters that are not masked."""

    def step(self, batch: Batch, step: int) -> Stepped:
        """Take one optimizer step; `step` of them were done before.

        Where loss or gradient are no finite numbers, weights, moments and masks are left as they were; but for those of
        a configuration that `takes_gradients_at_once`, after which there is nothing to go on with.
        """

    def evaluate(self, batches: Sequence[Batch]) -> float:
        """Mean loss over the batches, nats per token."""

    def stream_rows(self, step: int) -> Sequence[StreamRow]:
        """What the last step streamed and computed, layer by layer, where weights stream; `step` are done."""

    def saved_parameters(self) -> Mapping[str, SavedParameter]:
        """What a checkpoint takes, by parameter name."""

    def close(self) -> None:
        """Give back what a process does not give back by itself."""


def micro_batches(batch: Batch, microbatch: int | None) -> list[Batch]:
    """The batch in pieces of `microbatch` sequences."""
    inputs_BT, targets_BT = batch
    size = microbatch or len(inputs_BT)
    return list(zip(torch.split(inputs_BT, size), torch.split(targets_BT, size), strict=True))


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Products in the precision of the configuration, while it lasts."""
    precision = config.execution.precision
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])
