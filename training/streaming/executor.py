"""The streaming executor: weights stream through one dense block, activations stay, gradients stream back.

The order is that of a wafer-scale cluster. Forward, every micro-batch goes through a block before the next block comes;
backward likewise, last block first; a block's gradient leaves as soon as it is whole. Without clipping the store takes
it in at once. With clipping it cannot: the norm of the whole gradient is known only when the first block's has come, so
the gradients of live weights wait for it.

Shapes of tensors: B sequences, T places, D d_model.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.gpt import meta_model
from training.checkpoint import Checkpoint, SavedParameter
from training.config import TrainConfig
from training.executor import Batch, Stepped, micro_batches, require_finite
from training.optimizer import clip_gradient, set_lr
from training.sparsity.updater import MaskUpdater
from training.streaming.blocks import Blocks
from training.streaming.ends import Ends
from training.streaming.growth import Growth
from training.streaming.matrix import Workers
from training.streaming.skeleton import streamed_model
from training.streaming.store import Store

_CLIP_SLACK = 1e-6  # torch.nn.utils.clip_grad_norm_ divides by the norm and this
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(slots=True)
class _Passed:
    """A micro-batch that went through a block: what came in and, where activations are kept, what went out."""

    x_BTD: Tensor
    y_BTD: Tensor | None = None


class StreamingExecutor:
    """A model of which only the non-zeros are kept.

    Parameters
    ----------
    checkpoint :
        To go on from; None = the beginning.
    """

    def __init__(self, config: TrainConfig, checkpoint: Checkpoint | None) -> None:
        self._config = config
        self._device = torch.device(config.execution.device)
        self._workers = Workers(config.n_threads)
        self.store = Store(config, meta_model(config.shape), self._workers, checkpoint)
        self.n_params = self.store.n_params
        self.mask_updater = MaskUpdater(
            config.sparsity_plan,
            self.store,
            seed=config.seed,
            ever_live=None if checkpoint is None else checkpoint.ever_live,
        )
        dtype = DTYPES[config.execution.precision]
        self._blocks = Blocks(self.store, dtype, self._device, self._workers, is_waiting=config.clip != "none")
        model = streamed_model(config, self.store, self._blocks)
        self._layers = list(model.blocks)
        self._ends = Ends(model, self.store, dtype)
        self._growth = Growth(self.mask_updater, self.store, self._blocks)
        self._is_immediate = config.clip == "none"
        self._n_recomputed = 0 if config.execution.recompute == "never" else len(self._layers)
        self._waiting: list[list[nn.Parameter]] = []
        self._square = 0.0  # of the norm of all gradients that were taken in at once

    @property
    def n_nonzero_params(self) -> int:
        return self.store.n_nonzero_params

    def step(self, batch: Batch, step: int) -> Stepped:
        config = self._config
        set_lr(self.store.optimizer, config.lr_factor(step))
        micros = micro_batches(batch, config.execution.microbatch)
        inputs = [inputs_BT.to(self._device) for inputs_BT, _ in micros]
        targets = [targets_BT.to(self._device) for _, targets_BT in micros]
        self._waiting, self._square = [], 0.0
        passed, xs = self._forward(inputs)
        self._ends.refresh()
        loss, slopes = self._ends.loss_and_slopes(xs, targets)
        require_finite(config, step, loss, 0.0)
        self._take_in(self._ends.norm)
        for index in reversed(range(len(self._layers))):
            slopes = self._backward(index, passed.pop(), slopes, step)
        for parameters in self._ends.gradients(inputs, slopes):
            self._take_in(parameters)
        grad_norm = self._finish(step)
        require_finite(config, step, loss, grad_norm)
        return Stepped(loss=loss, grad_norm=grad_norm, mask_update=self.mask_updater.finish(step + 1))

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> float:
        xs = [self._ends.embedded(inputs_BT.to(self._device)) for inputs_BT, _ in batches]
        for index in range(len(self._layers)):
            self._blocks.stream_in(index)
            xs = [self._through(index, x_BTD) for x_BTD in xs]
        self._ends.refresh()
        total, n_tokens = 0.0, 0
        for x_BTD, (_, targets_BT) in zip(xs, batches, strict=True):
            total += self._ends.loss(x_BTD, targets_BT.to(self._device)) * targets_BT.numel()
            n_tokens += targets_BT.numel()
        return total / n_tokens

    def saved_parameters(self) -> Mapping[str, SavedParameter]:
        return self.store.saved_parameters()

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()

    def _forward(self, inputs: Sequence[Tensor]) -> tuple[list[list[_Passed]], list[Tensor]]:
        """What each block needs on the way back, and what the last one gave."""
        xs = [self._ends.embedded(inputs_BT) for inputs_BT in inputs]
        passed = []
        for index in range(len(self._layers)):
            self._blocks.stream_in(index)
            of_block = []
            for number, x_BTD in enumerate(xs):
                if index < self._n_recomputed:
                    with torch.no_grad():
                        xs[number] = self._through(index, x_BTD)
                    of_block.append(_Passed(x_BTD))
                else:
                    x_BTD, y_BTD = self._with_graph(index, x_BTD)
                    of_block.append(_Passed(x_BTD, y_BTD))
                    xs[number] = y_BTD.detach()
            passed.append(of_block)
        return passed, xs

    def _backward(self, index: int, passed: list[_Passed], slopes: list[Tensor], step: int) -> list[Tensor]:
        """The derivative of the loss by what a block took, from that by what it gave."""
        self._blocks.stream_in(index)
        before = []
        for slope_BTD in slopes:
            one = passed.pop(0)  # lets go of activations, one micro-batch at a time
            x_BTD, y_BTD = self._with_graph(index, one.x_BTD) if one.y_BTD is None else (one.x_BTD, one.y_BTD)
            torch.autograd.backward(y_BTD, slope_BTD)
            assert x_BTD.grad is not None
            before.append(x_BTD.grad)
        parameters = list(self._layers[index].parameters())
        for matrix, dense in self._blocks.gradients(index):
            self._growth.keep(matrix, dense, step + 1)
            parameters.append(matrix.values)
        self._take_in(parameters)
        if self._is_immediate:
            self._update_masks(index, step + 1)
        return before

    def _through(self, index: int, x_BTD: Tensor) -> Tensor:
        with self._autocast():
            y_BTD: Tensor = self._layers[index](x_BTD)
        return y_BTD

    def _with_graph(self, index: int, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """What a block takes, as a leaf of a graph, and what it gives."""
        leaf_BTD = x_BTD.detach().requires_grad_()
        return leaf_BTD, self._through(index, leaf_BTD)

    def _take_in(self, parameters: list[nn.Parameter]) -> None:
        """Step along gradients that have come, or let them wait until all have."""
        if not self._is_immediate:
            self._waiting.append(parameters)
            return
        for parameter in parameters:
            assert parameter.grad is not None
            self._square += float(torch.linalg.vector_norm(parameter.grad)) ** 2
        self.store.apply(parameters)

    def _finish(self, step: int) -> float:
        """The norm of the whole gradient, once every parameter has been stepped along its own."""
        self._blocks.forget()
        if self._is_immediate:
            return math.sqrt(self._square)
        clip = self._config.clip
        assert clip != "none"
        grad_norm = clip_gradient([parameter for some in self._waiting for parameter in some], clip)
        require_finite(self._config, step, 0.0, grad_norm)
        self._growth.scale(min(1.0, clip / (grad_norm + _CLIP_SLACK)))
        waiting = [[(parameter, parameter.grad) for parameter in some] for some in self._waiting]
        for some in self._waiting:
            for parameter in some:
                parameter.grad = None
        for some_waiting in waiting:
            for parameter, gradient in some_waiting:
                parameter.grad = gradient
            self.store.apply([parameter for parameter, _ in some_waiting])
        for index in range(len(self._layers)):
            self._update_masks(index, step + 1)
        return grad_norm

    def _update_masks(self, index: int, step: int) -> None:
        for name in self.mask_updater.due(step):
            if self.store.matrices[name].block == index:
                self.mask_updater.update_tensor(name, step)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._config.execution.precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, torch.bfloat16)
