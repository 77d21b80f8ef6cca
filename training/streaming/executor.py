"""The streaming executor: weights stream through one dense block, activations stay, gradients stream back.

The order is that of a wafer-scale cluster. Forward, every micro-batch goes through a block before the next block comes;
backward likewise, last block first; a block's gradient leaves as soon as it is whole. Without clipping the store takes
it in at once. With clipping it cannot: the norm of the whole gradient is known only when the first block's has come, so
the gradients of live weights wait for it.

Shapes of tensors: B sequences, T places, D d_model.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cross_entropy import n_counted
from models.gpt import meta_model
from training.checkpoint import MOMENTS, WEIGHT, Checkpoint, SavedParameter
from training.config import TrainConfig
from training.dtypes import DTYPES
from training.executor import Batch, Stepped, autocast, micro_batches
from training.memory import available_on_device, kept_blocks
from training.optimizer import CLIP_SLACK, clip_gradient, norm, set_lr
from training.sparsity.updater import MaskUpdater
from training.streaming.blocks import Blocks
from training.streaming.ends import Ends
from training.streaming.growth import Growth
from training.streaming.matrix import Workers
from training.streaming.record import Pass, StreamRecorder, StreamRow
from training.streaming.skeleton import streamed_model
from training.streaming.store import Store
from wse_sim.workload.flops import attention_flops, logits_flops

_ATTENTION_PRODUCTS: dict[Pass, int] = {"forward": 2, "delta": 4, "gradient": 0}
_GRADIENT_BYTES = 4


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

    Attributes
    ----------
    n_kept_blocks :
        Whose activations are kept for the way back; those of the others are computed again.
    """

    def __init__(self, config: TrainConfig, checkpoint: Checkpoint | None) -> None:
        self._config = config
        available_bytes = available_on_device(config)  # before any of it is taken
        self._device = torch.device(config.execution.device)
        self._workers = Workers(config.n_threads)
        self.store = Store(config, meta_model(config.shape), self._workers, checkpoint)
        self.n_params = self.store.n_params
        self.mask_updater = MaskUpdater(
            config.sparsity_plan,
            self.store,
            seed=config.seed,
            ever_live=None if checkpoint is None else checkpoint.ever_live,
            n_skipped=0 if checkpoint is None else checkpoint.meta.n_skipped_in_a_row,
        )
        dtype = DTYPES[config.execution.precision]
        self._blocks = Blocks(self.store, dtype, self._device, self._workers, is_waiting=config.clip != "none")
        model = streamed_model(config, self.store, self._blocks)
        self._layers = list(model.blocks)
        self._ends = Ends(model, self.store.resident, self.store.pieces, dtype)
        self._growth = Growth(self.mask_updater, self.store, self._blocks)
        self._is_immediate = config.clip == "none"
        self.n_kept_blocks = kept_blocks(config, available_bytes)
        self._n_recomputed = len(self._layers) - self.n_kept_blocks
        self._recorder = StreamRecorder()
        self._n_tokens = 0
        self._waiting: list[tuple[str, list[nn.Parameter]]] = []
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
        self._waiting, self._square, self._n_tokens = [], 0.0, batch[0].numel()
        self._recorder.start()
        passed, xs = self._forward(inputs)
        with self._recorder.timed("output", "forward", "compute"):
            self._ends.refresh()
            loss, slopes = self._ends.loss_and_slopes(xs, targets)
        self._count_logits("output", "forward", n_products=2)  # its delta is made with it
        if not math.isfinite(loss):
            return self._skipped(loss, math.nan, self._ends.norm)
        self._take_in(self._ends.norm, "output")
        for index in reversed(range(len(self._layers))):
            slopes = self._backward(index, passed.pop(), slopes, step)
        self._embed_backward(inputs, slopes)
        grad_norm = self._finish(step)
        if not math.isfinite(grad_norm):
            return self._skipped(loss, grad_norm, [p for _, parameters in self._waiting for p in parameters])
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
            total += self._ends.loss(x_BTD, targets_BT.to(self._device)) * (n_here := n_counted(targets_BT))
            n_tokens += n_here
        return total / max(1, n_tokens)

    def stream_rows(self, step: int) -> list[StreamRow]:
        """What the last optimizer step streamed and computed, layer by layer; `step` are done."""
        return self._recorder.rows(step, self._n_tokens)

    def saved_parameters(self) -> Mapping[str, SavedParameter]:
        return self.store.saved_parameters()

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()

    def _forward(self, inputs: Sequence[Tensor]) -> tuple[list[list[_Passed]], list[Tensor]]:
        """What each block needs on the way back, and what the last one gave."""
        with self._recorder.timed("embedding", "forward", "compute"):
            xs = [self._ends.embedded(inputs_BT) for inputs_BT in inputs]
        passed = []
        for index in range(len(self._layers)):
            self._stream_in(index, "forward")
            of_block = []
            with self._recorder.timed(f"block {index}", "forward", "compute"):
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
        layer, timed = f"block {index}", self._recorder.timed
        self._stream_in(index, "delta")
        before = []
        for slope_BTD in slopes:
            one = passed.pop(0)  # lets go of activations, one micro-batch at a time
            x_BTD, y_BTD = one.x_BTD, one.y_BTD
            if y_BTD is None:
                with timed(layer, "delta", "recompute"):
                    x_BTD, y_BTD = self._with_graph(index, x_BTD)
            with timed(layer, "delta", "compute"):
                torch.autograd.backward(y_BTD, slope_BTD)
            assert x_BTD.grad is not None
            before.append(x_BTD.grad)
        parameters = list(self._layers[index].parameters())
        for matrix in self.store.blocks[index]:
            with timed(layer, "gradient", "compute"):
                dense = self._blocks.weight_gradient(matrix)
            with timed(layer, "gradient", "masks"):
                self._growth.keep(matrix, dense, step + 1)
            with timed(layer, "gradient", "gather"):
                self._blocks.gather(matrix)
            parameters.append(matrix.values)
        self._count_products(index)
        self._take_in(parameters, layer)
        if self._is_immediate:
            self._update_masks(index, step + 1)
        return before

    def _embed_backward(self, inputs: Sequence[Tensor], slopes: Sequence[Tensor]) -> None:
        gradients = self._ends.gradients(inputs, slopes)
        while True:
            with self._recorder.timed("embedding", "gradient", "compute"):
                parameters = next(gradients, None)
            if parameters is None:
                break
            self._take_in(parameters, "embedding")
        self._count_logits("embedding", "gradient", n_products=1)

    def _stream_in(self, index: int, pass_: Pass) -> None:
        with self._recorder.timed(f"block {index}", pass_, "expand"):
            n_bytes = self._blocks.stream_in(index)
        self._recorder.count(f"block {index}", pass_, weight_bytes=n_bytes)
        if pass_ == "forward" and index + 1 < len(self._layers):
            self.store.prefetch(index + 1, [WEIGHT])
        elif pass_ == "delta":
            self.store.prefetch(index, MOMENTS)
            if index > 0:
                self.store.prefetch(index - 1, [WEIGHT])

    def _count_logits(self, layer: str, pass_: Pass, *, n_products: int) -> None:
        """FLOPs of the output layer's products; that of its gradient comes with the embeddings'."""
        flops = n_products * self._n_tokens * logits_flops(self._config.shape) / 3
        self._recorder.count(layer, pass_, dense_flops=flops, sparse_flops=flops)

    def _count_products(self, index: int) -> None:
        """FLOPs of a block's products and of attention, the full square of places; and the gradients it sent back."""
        layouts = [matrix.layout for matrix in self.store.blocks[index]]
        n_weights, n_live = (sum(getattr(layout, key) for layout in layouts) for key in ("n_weights", "n_live"))
        attention = attention_flops(self._config.shape, self._config.seq_len) / len(self._layers) / 6
        for pass_, n_attention in _ATTENTION_PRODUCTS.items():
            self._recorder.count(
                f"block {index}",
                pass_,
                dense_flops=self._n_tokens * (2.0 * n_weights + n_attention * attention),
                sparse_flops=self._n_tokens * (2.0 * n_live + n_attention * attention),
            )
        self._recorder.count(f"block {index}", "gradient", gradient_bytes=_GRADIENT_BYTES * n_live)

    def _through(self, index: int, x_BTD: Tensor) -> Tensor:
        with autocast(self._config, self._device):
            y_BTD: Tensor = self._layers[index](x_BTD)
        return y_BTD

    def _with_graph(self, index: int, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """What a block takes, as a leaf of a graph, and what it gives."""
        leaf_BTD = x_BTD.detach().requires_grad_()
        return leaf_BTD, self._through(index, leaf_BTD)

    def _take_in(self, parameters: list[nn.Parameter], layer: str) -> None:
        """Step along gradients that have come, or let them wait until all have."""
        if not self._is_immediate:
            self._waiting.append((layer, parameters))
            return
        for parameter in parameters:
            assert parameter.grad is not None
            self._square += float(norm(parameter.grad)) ** 2
        with self._recorder.timed(layer, "gradient", "update"):
            self.store.apply(parameters)

    def _skipped(self, loss: float, grad_norm: float, parameters: Sequence[nn.Parameter]) -> Stepped:
        """A step that is not taken, and gradients that are forgotten."""
        for parameter in parameters:
            parameter.grad = None
        self.mask_updater.skip()
        return Stepped(loss=loss, grad_norm=grad_norm)

    def _finish(self, step: int) -> float:
        """The norm of the whole gradient, once every parameter has been stepped along its own, if it is finite."""
        self._blocks.forget()
        if self._is_immediate:
            return math.sqrt(self._square)
        clip = self._config.clip
        assert clip != "none"
        waiting = [parameter for _, parameters in self._waiting for parameter in parameters]
        with self._recorder.timed("output", "gradient", "update"):
            grad_norm = clip_gradient(waiting, clip)
        if not math.isfinite(grad_norm):
            return grad_norm
        self._growth.scale(min(1.0, clip / (grad_norm + CLIP_SLACK)))
        gradients = {parameter: parameter.grad for parameter in waiting}
        for parameter in waiting:
            parameter.grad = None
        for layer, parameters in self._waiting:
            for parameter in parameters:
                parameter.grad = gradients[parameter]
            with self._recorder.timed(layer, "gradient", "update"):
                self.store.apply(parameters)
        for index in range(len(self._layers)):
            self._update_masks(index, step + 1)
        return grad_norm

    def _update_masks(self, index: int, step: int) -> None:
        with self._recorder.timed(f"block {index}", "gradient", "masks"):
            for name in self.mask_updater.due(step):
                if self.store.matrices[name].block == index:
                    self.mask_updater.update_tensor(name, step)
