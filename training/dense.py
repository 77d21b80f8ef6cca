"""The dense executor: ordinary autograd on whole matrices, on one device or on several under `torchrun`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from models.build import build_model
from models.cross_entropy import n_counted
from models.gpt import GPT
from models.masks import Mask, Scores, packed, unpacked
from models.parametrization import EffectiveTensor
from models.sparse import Masks, laid_out_like, n_nonzero, whole
from models.tensor_file import TensorSource
from training.checkpoint import MOMENTS, WEIGHT, Checkpoint, SavedParameter
from training.config import TrainConfig
from training.distributed import World, alone
from training.executor import Batch, Stepped, autocast, micro_batches
from training.initial_weights import initial_weights
from training.optimizer import build_optimizer, compute_gradient, set_lr
from training.shared_loss import SharedLoss, share_loss
from training.sparsity.choosing import Weights
from training.sparsity.updater import MaskUpdater, magnitude
from training.streaming.record import StreamRow
from wse_sim.errors import SpecError


class DenseExecutor:
    """The network itself, its masks, and AdamW.

    Parameters
    ----------
    checkpoint :
        To go on from; None = the beginning.
    world :
        The processes that share the work; None = this one does all.

    Raises
    ------
    SpecError
        When the device is not there, or the sequences cannot be shared equally.
    """

    def __init__(self, config: TrainConfig, checkpoint: Checkpoint | None, world: World | None = None) -> None:
        plan, execution = config.sparsity_plan, config.execution
        self._config, self._world = config, world or alone(execution.device)
        self._world.require_shares(config.batch_size, execution.microbatch)
        self._device = self._world.device
        self.model, table, self.masks, self._loss = _shared_model(config, self._world, checkpoint)
        self.model.recomputes = execution.recompute == "always"
        if execution.compile:
            for block in self.model.blocks:
                block.compile()
        self.optimizer = build_optimizer(self.model, table, betas=config.betas)
        if checkpoint is not None:
            restore(checkpoint, self.model, self.masks, self.optimizer)
        self.mask_updater = MaskUpdater(
            plan,
            MaskedParameters(self.masks, self.optimizer),
            seed=config.seed,
            ever_live=None if checkpoint is None else checkpoint.ever_live,
            n_skipped=0 if checkpoint is None else checkpoint.meta.n_skipped_in_a_row,
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
            self._world.share(batch),
            config.clip,
            backward=partial(self._backward, n_tokens=n_counted(batch[1])),
            on_dense_gradient=lambda: keep_gradients(self.mask_updater, self.masks, step + 1),
        )
        if not (stepped := Stepped(loss=loss, grad_norm=grad_norm)).is_finite:
            self.optimizer.zero_grad(set_to_none=True)
            self.mask_updater.skip()
            return stepped
        set_lr(self.optimizer, config.lr_factor(step))
        self.optimizer.step()
        return replace(stepped, mask_update=self.mask_updater.update(step + 1))

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> float:
        total, n_tokens = 0.0, 0
        for inputs_BT, targets_BT in batches:
            with autocast(self._config, self._device):
                loss = self._loss.of(inputs_BT.to(self._device), targets_BT.to(self._device))
            total += loss.item() * (n_here := n_counted(targets_BT))
            n_tokens += n_here
        self._loss.settle()
        return total / max(1, n_tokens)

    def stream_rows(self, step: int) -> Sequence[StreamRow]:
        return ()

    def saved_parameters(self) -> Mapping[str, SavedParameter]:
        return saved_parameters(self.model, self.masks, self.optimizer)

    def close(self) -> None:
        """Nothing is held."""

    def _backward(self, batch: Batch, *, n_tokens: int) -> float:
        """Over this process's share of a batch; the loss of the whole one, of which `n_tokens` count."""
        loss_of_share = 0.0
        *before, last = micro_batches(batch, self._own_microbatch)
        with self._loss.keeping():
            for micro_batch in before:
                loss_of_share += self._backward_of(micro_batch, n_tokens)
        loss_of_share += self._backward_of(last, n_tokens)
        return self._world.mean(loss_of_share)

    def _backward_of(self, micro_batch: Batch, n_tokens: int) -> float:
        inputs_BT, targets_BT = micro_batch
        # The mean over processes of sums over their share is to be the mean over all tokens that count, however these
        # fall to the processes.
        share = n_counted(targets_BT) * self._world.size / max(1, n_tokens)
        with _compiling(), autocast(self._config, self._device):
            loss = self._loss.of(inputs_BT.to(self._device), targets_BT.to(self._device))
        with _compiling():
            torch.autograd.backward(loss if share == 1.0 else loss * share)
        return loss.item() * share

    @property
    def _own_microbatch(self) -> int | None:
        """Sequences that go through at once in this process."""
        microbatch = self._config.execution.microbatch
        return None if microbatch is None else microbatch // self._world.size


@contextmanager
def _compiling() -> Iterator[None]:
    """A compiler that is missing, or fails, is what the user has to know of; the first step finds out."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        said = " ".join(str(error).strip().splitlines()[:2])  # which compiler, and what it says
        raise SpecError(f"execution.compile: torch.compile fails here ({said}); leave it out (no --compile)") from None


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
        weight: Weights = whole(self._masks.weight(name).detach()).cpu().numpy()
        return weight

    def replace(self, name: str, mask: Mask) -> None:
        self._masks.replace(name, mask)
        for moment in MOMENTS:
            self._masks.select(name, self._optimizer.state[self._masks.weight(name)][moment])


def keep_gradients(updater: MaskUpdater, masks: Masks, step: int) -> None:
    """Keep the dense gradients that the update at `step` will ask for; call before pruned ones are zeroed."""
    for name in masks:
        if updater.grown_by_gradient(name, step) is None:
            continue
        gradient = masks.weight(name).grad
        assert gradient is not None
        # Shards stay shards until the update: whole gradients of all tensors at once could be more than fits.
        is_sharded = hasattr(gradient, "full_tensor")
        kept = partial(_gathered, gradient.abs()) if is_sharded else partial(_itself, magnitude(gradient))
        updater.keep_gradient(name, kept)


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
            parameter.copy_(laid_out_like(parameter, checkpoint.dense(WEIGHT, name)))
            state = optimizer.state[parameter]
            state["step"] = torch.tensor(float(checkpoint.meta.n_updates), device=parameter.device)
            for moment in MOMENTS:
                numbers = laid_out_like(parameter, checkpoint.dense(moment, name))
                state[moment] = torch.empty_like(parameter).copy_(numbers)
        for name in masks:
            mask = checkpoint.packed_mask(name)
            assert mask is not None
            masks.replace(name, unpacked(mask, checkpoint.shape(name)))


def _shared_model(
    config: TrainConfig, world: World, checkpoint: Checkpoint | None
) -> tuple[GPT, list[EffectiveTensor], Masks, SharedLoss]:
    """The model of a configuration as processes share it, the rules its tensors got, its masks, and its loss."""
    plan, sharding = config.sparsity_plan, config.execution.sharding
    is_sharded = world.size > 1 and sharding == "fsdp"

    def start_masks(model: nn.Module) -> Mapping[str, Mask]:
        if checkpoint is None:
            return plan.start_masks(model, config.seed)
        checkpoint.require(dict(model.named_parameters()), plan.shapes)
        return checkpoint.masks  # the first ones may have hung on weights that are no longer at hand

    built = build_model(
        config.shape,
        config.parameters_transfer_by,
        seed=config.seed,
        density=plan.densities,
        weight_decay=config.weight_decay,
        eps=config.eps,
        start_masks=start_masks,
        initial_draw=config.initial_draw,
        weights=None if checkpoint is not None else initial_weights(config),
        device="cpu" if is_sharded else str(world.device),  # shards go to their device block by block
    )
    model, table, masks = built.model, built.table, built.masks
    if not is_sharded:
        return model, table, masks, share_loss(model, world, sharding)
    of_names = {name: masks.mask(name) for name in masks}
    del built, masks  # they hold the whole parameters, which are to be forgotten as shards are cut out of them
    loss = share_loss(model, world, sharding)
    return model, table, Masks({name: (model.get_parameter(name), of_names[name]) for name in of_names}), loss


def _itself(scores: Scores) -> Scores:
    return scores


def _gathered(gradient: Tensor) -> Scores:
    return magnitude(whole(gradient))


def _numbers(tensor: Tensor | None, shape: tuple[int, ...], mask: Tensor | None) -> TensorSource:
    """All numbers of a tensor, or the live ones; zeros where there is no tensor yet."""

    def pieces() -> Iterator[Tensor]:
        # Shards come together here, not where pieces are taken: only one of the processes takes them.
        return _live(torch.zeros(shape) if tensor is None else whole(tensor), mask)

    n_live = None if mask is None else (int(torch.count_nonzero(mask)),)
    return TensorSource(torch.float32, n_live or shape, pieces)


def _live(tensor: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
    numbers = tensor.cpu()
    yield numbers if mask is None else numbers[mask]
