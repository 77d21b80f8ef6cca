"""The dense executor: ordinary autograd on whole matrices, on one device or on several under `torchrun`."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from models.build import build_model
from models.gpt import GPT
from models.sparse import Mask, Masks, Scores, n_nonzero, packed, unpacked
from training.checkpoint import MOMENTS, WEIGHT, Checkpoint, SavedParameter
from training.config import TrainConfig
from training.executor import Batch, Stepped, micro_batches, require_finite
from training.optimizer import build_optimizer, compute_gradient, set_lr
from training.sparsity.choosing import Weights
from training.sparsity.updater import MaskUpdater, magnitude
from training.tensor_file import TensorSource


class DenseExecutor:
    """The network itself, its masks, and AdamW.

    Parameters
    ----------
    checkpoint :
        To go on from; None = the beginning.
    """

    def __init__(self, config: TrainConfig, checkpoint: Checkpoint | None) -> None:
        plan, execution = config.sparsity_plan, config.execution
        self._config, self._device = config, torch.device(execution.device)
        built = build_model(
            config.shape,
            config.parameters_transfer_by,
            seed=config.seed,
            density=plan.densities,
            weight_decay=config.weight_decay,
            eps=config.eps,
            start_masks=lambda model: plan.start_masks(model, config.seed),
            initial_draw=config.initial_draw,
            device=execution.device,
        )
        self.model, self.masks = built.model, built.masks
        self.model.recomputes = execution.recompute == "always"
        self.optimizer = build_optimizer(self.model, built.table, betas=config.betas)
        if checkpoint is not None:
            restore(checkpoint, self.model, self.masks, self.optimizer)
        if execution.compile:
            for block in self.model.blocks:
                block.compile()
        self.mask_updater = MaskUpdater(
            plan,
            MaskedParameters(self.masks, self.optimizer),
            seed=config.seed,
            ever_live=None if checkpoint is None else checkpoint.ever_live,
        )
        self.n_params = sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def n_nonzero_params(self) -> int:
        return n_nonzero(self.model)

    def step(self, batch: Batch, step: int) -> Stepped:
        config = self._config
        loss, grad_norm = compute_gradient(
            self.model,
            self.masks,
            self.optimizer,
            batch,
            config.clip,
            backward=self._backward,
            on_dense_gradient=lambda: keep_gradients(self.mask_updater, self.masks, step + 1),
        )
        require_finite(config, step, loss, grad_norm)
        set_lr(self.optimizer, config.lr_factor(step))
        self.optimizer.step()
        return Stepped(loss=loss, grad_norm=grad_norm, mask_update=self.mask_updater.update(step + 1))

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> float:
        total, n_tokens = 0.0, 0
        for inputs_BT, targets_BT in batches:
            with self._autocast():
                loss = self.model.loss(inputs_BT.to(self._device), targets_BT.to(self._device))
            total += loss.item() * targets_BT.numel()
            n_tokens += targets_BT.numel()
        return total / n_tokens

    def saved_parameters(self) -> Mapping[str, SavedParameter]:
        return saved_parameters(self.model, self.masks, self.optimizer)

    def close(self) -> None:
        """Nothing is held."""

    def _backward(self, batch: Batch) -> float:
        loss_of_batch = 0.0
        for inputs_BT, targets_BT in micro_batches(batch, self._config.execution.microbatch):
            with self._autocast():
                loss = self.model.loss(inputs_BT.to(self._device), targets_BT.to(self._device))
            share = len(inputs_BT) / len(batch[0])
            torch.autograd.backward(loss if share == 1.0 else loss * share)
            loss_of_batch += loss.item() * share
        return loss_of_batch

    def _autocast(self) -> AbstractContextManager[object]:
        if self._config.execution.precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, torch.bfloat16)


class MaskedParameters:
    """The masked parameters of a dense model, as a `MaskUpdater` takes them."""

    def __init__(self, masks: Masks, optimizer: torch.optim.AdamW) -> None:
        self._masks, self._optimizer = masks, optimizer

    def mask(self, name: str) -> Mask:
        mask: Mask = self._masks.mask(name).cpu().numpy().copy()
        return mask

    def n_live(self, name: str) -> int:
        return int(torch.count_nonzero(self._masks.mask(name)))

    def weight(self, name: str) -> Weights:
        weight: Weights = self._masks.weight(name).detach().cpu().numpy()
        return weight

    def replace(self, name: str, mask: Mask) -> None:
        self._masks.replace(name, mask)
        for moment in MOMENTS:
            self._masks.select(name, self._optimizer.state[self._masks.weight(name)][moment])


def keep_gradients(updater: MaskUpdater, masks: Masks, step: int) -> None:
    """Keep the dense gradients that the update at `step` will ask for; call before pruned ones are zeroed."""
    for name in updater.grown_by_gradient(step):
        gradient = masks.weight(name).grad
        assert gradient is not None
        kept = magnitude(gradient)
        updater.keep_gradient(name, partial(_itself, kept))


def saved_parameters(model: nn.Module, masks: Masks, optimizer: torch.optim.AdamW) -> dict[str, SavedParameter]:
    """What a checkpoint takes of a dense model, by parameter name."""
    saved = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        tensors = {WEIGHT: parameter.detach(), **{moment: state.get(moment) for moment in MOMENTS}}
        mask = masks.mask(name).cpu() if name in masks else None
        shape = tuple(parameter.shape)
        saved[name] = SavedParameter(
            shape=shape,
            numbers={kind: _numbers(tensor, shape, mask) for kind, tensor in tensors.items()},
            mask=None if mask is None else packed(mask.numpy()),
        )
    return saved


def restore(checkpoint: Checkpoint, model: GPT, masks: Masks, optimizer: torch.optim.AdamW) -> None:
    """Put the checkpoint's weights, masks and moments into a model and optimizer built from the same configuration.

    Raises
    ------
    SpecError
        When the checkpoint lacks a parameter of the model, or has one too many, or one of them has no mask.
    """
    checkpoint.require(dict(model.named_parameters()), masks)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Copied into the tensors that are there: memory handed over by a file reader is aligned otherwise, and
            # sums over it may round otherwise.
            parameter.copy_(checkpoint.dense(WEIGHT, name))
            state = optimizer.state[parameter]
            state["step"] = torch.tensor(float(checkpoint.meta.step))
            for moment in MOMENTS:
                state[moment] = torch.empty_like(parameter).copy_(checkpoint.dense(moment, name))
        for name in masks:
            mask = checkpoint.packed_mask(name)
            assert mask is not None
            masks.replace(name, unpacked(mask, checkpoint.shape(name)))


def _itself(scores: Scores) -> Scores:
    return scores


def _numbers(tensor: Tensor | None, shape: tuple[int, ...], mask: Tensor | None) -> TensorSource:
    """All numbers of a tensor, or the live ones; zeros where there is no tensor yet."""

    def pieces() -> list[Tensor]:
        whole = torch.zeros(shape) if tensor is None else tensor.cpu()
        return [whole if mask is None else whole[mask]]

    n_live = None if mask is None else (int(torch.count_nonzero(mask)),)
    return TensorSource(torch.float32, n_live or shape, pieces)
