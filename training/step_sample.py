"""What is timed of a training step: a block, both ends of the model, and the optimizer, each as the executors have it.

The dense executor holds whole matrices in 32 bits under autograd. The streaming one holds one block in the precision of
products, the gradient of one matrix at a time, and live weights that are expanded, gathered and updated. The modules
are those that train; what is in them is made up (`training.step_works`).

Shapes of tensors: B sequences, T places, D d_model, O and I channels out and in.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn

from models.roles import HIDDEN_ROLES
from training.config import TrainConfig
from training.dtypes import DTYPES
from training.executor import autocast
from training.memory import BYTES, activation_bytes_per_token
from training.optimizer import build_optimizer, clip_gradient, optimizer_of
from training.step_works import (
    empty,
    filled,
    made_up_masks,
    made_up_tokens,
    residual_stream,
    skeleton,
    there_and_back,
    with_streamed_linears,
)
from training.streaming.blocks import has_own_memory
from training.streaming.ends import Ends
from training.streaming.matrix import Workers, full_layout, padded, random_layout
from training.streaming.store import in_pieces
from training.turns import Work
from wse_sim.workload.transformer import embedding_weights, linear_matrices

_MOST_STREAMED = 2**25  # weights: enough that they do not stay near the processor
_STREAMED_BYTES = 4 * BYTES["fp32"] + 2 * BYTES["fp32"]  # value, gradient and moments of each; dense, there and here


class Sample(Protocol):
    """Works that stand for a step.

    Attributes
    ----------
    n_updated :
        Numbers that `update` steps along.
    n_streamed :
        Hidden weights that `stream` expands and gathers; 0 where none do.
    """

    n_updated: int
    n_streamed: int

    def block(self, n_sequences: int, n_places: int) -> Work:
        """A block forward and back, with the gradient of its weights."""

    def ends(self, n_sequences: int, n_places: int) -> Work:
        """Embedding, last norm, output layer and loss, forward and back."""

    def update(self) -> Work:
        """Mask and clip gradients, and AdamW."""

    def stream(self) -> Work | None:
        """Bring weights from the store for the way there and for the way back, and gradients to it, where it is one."""


@contextmanager
def sample_of(config: TrainConfig, *, is_accumulating: bool) -> Iterator[Sample]:
    """The sample of the configuration's executor, with memory for one block whatever the model's layers.

    Parameters
    ----------
    is_accumulating :
        A step has several micro-batches, whose gradients add up.

    Raises
    ------
    SpecError
        When the model is an encoder.
    """
    if config.execution.executor == "dense":
        yield _DenseSample(config, is_accumulating=is_accumulating)
        return
    workers = Workers(config.n_threads)
    try:
        yield _StreamingSample(config, workers)
    finally:
        workers.close()


def sample_bytes(config: TrainConfig) -> float:
    """Memory that the sample takes, for the tokens of a step of the configuration."""
    shape, precision = config.shape, config.execution.precision
    matrices = [matrix.n_weights for matrix in linear_matrices(shape)]
    ends, copied = embedding_weights(shape), BYTES["bf16"] if precision == "bf16" else 0
    activations = activation_bytes_per_token(shape, precision) * config.tokens_per_step
    if config.execution.executor == "dense":
        # Weights, gradients, moments and masks of the block; of the ends, weights and gradients, made and handed over.
        return (5 * BYTES["fp32"] + copied) * sum(matrices) + (3 * BYTES["fp32"] + copied) * ends + activations
    block = BYTES[precision] * (sum(matrices) + max(matrices))
    slice_bytes = _STREAMED_BYTES * min(_MOST_STREAMED, sum(matrices))
    return block + slice_bytes + (BYTES["fp32"] + copied) * ends + activations


class _DenseSample:
    """As `training.dense`."""

    n_streamed = 0

    def __init__(self, config: TrainConfig, *, is_accumulating: bool) -> None:
        self._config, self._is_accumulating = config, is_accumulating
        model, table = skeleton(config)
        self._model = filled(model, table, config)
        self._block = model.blocks[0]
        of_block = [row for row in table if row.name.startswith("blocks.")]
        self._masks = made_up_masks(model, of_block, config)
        self._optimizer = build_optimizer(model, of_block, betas=config.betas)
        self._parameters = list(self._block.parameters())
        self.n_updated = sum(parameter.numel() for parameter in self._parameters)
        model.blocks = nn.ModuleList()  # what is left are both ends

    def block(self, n_sequences: int, n_places: int) -> Work:
        x_BTD, slope_BTD = residual_stream(self._config, n_sequences, n_places)

        def work() -> None:
            self._start(self._parameters)
            there_and_back(self._config, self._block, x_BTD, slope_BTD)

        return work

    def ends(self, n_sequences: int, n_places: int) -> Work:
        inputs_BT, targets_BT = made_up_tokens(self._config, n_sequences, n_places)

        def work() -> None:
            self._start(self._model.parameters())
            with autocast(self._config, inputs_BT.device):
                loss = self._model.loss(inputs_BT, targets_BT)
            torch.autograd.backward(loss)

        return work

    def update(self) -> Work:
        def work() -> None:
            self._masks.zero_pruned_gradients()
            clip_gradient(self._parameters, self._config.clip)
            self._optimizer.step()

        return work

    def stream(self) -> None:
        """Weights stay where they are."""

    def _start(self, parameters: Iterable[nn.Parameter]) -> None:
        """A step forgets gradients; those of its later micro-batches are added to what is there."""
        if not self._is_accumulating:
            for parameter in parameters:
                parameter.grad = None


class _StreamingSample:
    """As `training.streaming`."""

    def __init__(self, config: TrainConfig, workers: Workers) -> None:
        self._config, self._workers = config, workers
        model, table = skeleton(config)
        self._linears = with_streamed_linears(model.blocks[0], config)
        self._gradient = empty(max(linear.weight_OI.numel() for linear in self._linears), config)
        filled(model, [row for row in table if row.role not in HIDDEN_ROLES], config)
        self._block = model.blocks[0]
        model.blocks = nn.ModuleList()
        resident = {name: parameter.detach() for name, parameter in model.named_parameters()}
        pieces = {name: in_pieces(tensor) for name, tensor in resident.items()}
        self._ends = Ends(model, resident, pieces, DTYPES[config.execution.precision])
        self.n_streamed = min(_MOST_STREAMED, sum(linear.weight_OI.numel() for linear in self._linears))
        shape, density = (self.n_streamed,), config.density
        self._layout = full_layout(shape) if density == 1.0 else random_layout(config.seed, "sample", shape, density)
        self.n_updated = self._layout.n_live
        hidden = next(row for row in table if row.role in HIDDEN_ROLES)
        self._values = nn.Parameter(torch.zeros(self.n_updated))
        self._optimizer = optimizer_of(lambda name: [self._values], [hidden], betas=config.betas)

    def block(self, n_sequences: int, n_places: int) -> Work:
        x_BTD, slope_BTD = residual_stream(self._config, n_sequences, n_places)

        def work() -> None:
            there_and_back(self._config, self._block, x_BTD, slope_BTD)
            for linear in self._linears:
                weight_OI = linear.weight_OI
                linear.weight_gradient(self._gradient[: weight_OI.numel()].view_as(weight_OI))

        return work

    def ends(self, n_sequences: int, n_places: int) -> Work:
        inputs_BT, targets_BT = made_up_tokens(self._config, n_sequences, n_places)

        def work() -> None:
            _, slopes = self._ends.loss_and_slopes([self._ends.embedded(inputs_BT)], [targets_BT])
            for pieces in self._ends.gradients([inputs_BT], slopes):
                for piece in pieces:
                    piece.grad = None

        return work

    def update(self) -> Work:
        self._values.grad = torch.full_like(self._values, 1e-3)

        def work() -> None:
            clip_gradient([self._values], self._config.clip)
            self._optimizer.step()

        return work

    def stream(self) -> Work:
        dense, live = empty(padded(self.n_streamed), self._config), torch.empty(self.n_updated)
        has_to_cross = has_own_memory(dense.device)
        here = torch.empty(dense.shape, dtype=dense.dtype, pin_memory=True) if has_to_cross else dense

        def work() -> None:
            for _ in ("forward", "delta"):
                self._layout.expand(self._values.detach(), here, self._workers)
                if has_to_cross:
                    dense.copy_(here)
            if has_to_cross:
                here.copy_(dense)
            self._layout.gather(here, live, self._workers)

        return work
