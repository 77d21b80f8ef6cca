"""What is kept of a model between the turns of its layers: MemoryX's part.

Of each hidden matrix the live weights, Adam's moments of them, and a bit for every weight; of everything else (norms,
biases, embeddings) all numbers, the large ones in pieces of rows, so that no gradient of a whole embedding is needed.
"""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.build import fill, truncate_
from models.gpt import GPT
from models.masks import Mask
from models.parametrization import EffectiveTensor, effective_table
from models.roles import HIDDEN_ROLES
from models.tensor_file import TensorSource
from training.checkpoint import MOMENTS, WEIGHT, Checkpoint, SavedParameter
from training.config import TrainConfig
from training.disk import reserve
from training.dtypes import DTYPES
from training.initial_weights import initial_weights
from training.memory import PIECE_NUMBERS
from training.optimizer import optimizer_of
from training.sparsity.choosing import Weights
from training.sparsity.plan import MaskedGroup, SparsityPlan
from training.streaming.matrix import (
    Layout,
    Workers,
    draw_live,
    full_layout,
    layout_of,
    padded,
    random_layout,
    unpacked_layout,
)
from wse_sim.errors import SpecError
from wse_sim.files import make_folder


@dataclass(slots=True)
class StreamedMatrix:
    """A hidden matrix in the store.

    Parameters
    ----------
    own_name :
        Within its block.
    values :
        (n_live,) float32.
    """

    name: str
    own_name: str
    block: int
    is_masked: bool
    layout: Layout
    values: nn.Parameter


class Store:
    """Weights, masks and moments of a model in training, and AdamW on them.

    Parameters
    ----------
    skeleton :
        The model on the meta device, for names and shapes.
    checkpoint :
        To go on from; None = the beginning.
    """

    def __init__(self, config: TrainConfig, skeleton: GPT, workers: Workers, checkpoint: Checkpoint | None) -> None:
        plan = config.sparsity_plan
        self._config, self._workers = config, workers
        self._weights = None if checkpoint is not None else initial_weights(config)
        self.table = effective_table(
            skeleton, config.shape, config.parameters_transfer_by, plan.densities, config.weight_decay, config.eps
        )
        hidden = [row for row in self.table if row.role in HIDDEN_ROLES]
        _require_hidden(plan, {row.name for row in hidden})
        if checkpoint is not None:
            checkpoint.require([row.name for row in self.table], plan.shapes)
        made = workers.map(lambda row: self._matrix(row, plan, checkpoint), hidden)
        self.matrices: dict[str, StreamedMatrix] = {matrix.name: matrix for matrix in made}
        self.blocks = [list(of_block) for _, of_block in groupby(made, key=lambda matrix: matrix.block)]
        self.resident = {
            row.name: self._resident(row, checkpoint) for row in self.table if row.name not in self.matrices
        }
        self.pieces = {name: in_pieces(tensor) for name, tensor in self.resident.items()}
        self.optimizer = optimizer_of(self._parameters_of, self.table, betas=config.betas)
        for row in self.table:
            self._start_moments(row.name, checkpoint)

    @property
    def n_params(self) -> int:
        """Of the model, masked or not."""
        return sum(math.prod(row.shape) for row in self.table)

    @property
    def n_nonzero_params(self) -> int:
        """Of the model, that are not masked."""
        masked = sum(matrix.layout.n_weights - matrix.layout.n_live for matrix in self.matrices.values())
        return self.n_params - masked

    def apply(self, parameters: Sequence[nn.Parameter]) -> None:
        """One step of AdamW for those that have a gradient, which they lose; no other may have one."""
        states = [self.optimizer.state[parameter] for parameter in parameters]
        if self._config.execution.moments == "bf16":
            for state in states:
                state.update({moment: state[moment].float() for moment in MOMENTS})
        self.optimizer.step()
        if self._config.execution.moments == "bf16":
            for state in states:
                state.update({moment: state[moment].bfloat16() for moment in MOMENTS})
        for parameter in parameters:
            parameter.grad = None

    def prefetch(self, index: int, kinds: Sequence[str]) -> None:
        """Have the disk bring a block's numbers into memory while something else is computed; in memory they are there.

        Parameters
        ----------
        kinds :
            `model` and moments, as in checkpoints.
        """
        if self._config.execution.store is None or not hasattr(os, "posix_fadvise"):
            return
        for matrix in self.blocks[index]:
            for kind in kinds:
                file = os.open(self._path(f"{kind}.{matrix.name}"), os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
                os.close(file)

    def mask(self, name: str) -> Mask:
        """As `MaskedTensors`."""
        return self.matrices[name].layout.mask()

    def n_live(self, name: str) -> int:
        """As `MaskedTensors`."""
        return self.matrices[name].layout.n_live

    def weight(self, name: str) -> Weights:
        """As `MaskedTensors`."""
        matrix = self.matrices[name]
        weight: Weights = self.expanded(matrix.layout, matrix.values.detach()).numpy()
        return weight[: matrix.layout.n_weights].reshape(matrix.layout.shape)

    def replace(self, name: str, mask: Mask) -> None:
        """As `MaskedTensors`."""
        matrix = self.matrices[name]
        before, after = matrix.layout, layout_of(mask)
        state = self.optimizer.state[matrix.values]
        matrix.values.data = self._moved(before, after, matrix.values.detach(), f"{WEIGHT}.{name}")
        for moment in MOMENTS:
            state[moment] = self._moved(before, after, state[moment], f"{moment}.{name}")
        matrix.layout = after

    def expanded(self, layout: Layout, values: Tensor) -> Tensor:
        """(padded(n_weights),) float32: live numbers and zeros."""
        dense = torch.empty(padded(layout.n_weights))
        layout.expand(values, dense, self._workers)
        return dense

    def saved_parameters(self) -> dict[str, SavedParameter]:
        """What a checkpoint takes, by parameter name."""
        return {row.name: self._saved(row) for row in self.table}

    def _matrix(self, row: EffectiveTensor, plan: SparsityPlan, checkpoint: Checkpoint | None) -> StreamedMatrix:
        groups = [group for group in plan.groups if row.name in group.shapes]
        if checkpoint is not None:
            packed = checkpoint.packed_mask(row.name)
            layout = full_layout(row.shape) if packed is None else unpacked_layout(packed, row.shape)
            values = self._allocated(f"{WEIGHT}.{row.name}", layout.n_live, torch.float32)
            values.copy_(checkpoint.tensors[f"{WEIGHT}.{row.name}"].flatten())
        else:
            layout, values = self._start(row, groups[0] if groups else None)
        number, own_name = _split(row.name)
        return StreamedMatrix(row.name, own_name, int(number), bool(groups), layout, nn.Parameter(values))

    def _start(self, row: EffectiveTensor, group: MaskedGroup | None) -> tuple[Layout, Tensor]:
        """Layout and live numbers of a matrix before the first step; the whole of it is made only where it must be."""
        key = f"{WEIGHT}.{row.name}"
        seed, draw = self._config.seed, self._config.initial_draw
        layout = None
        if group is None or group.starts_dense:
            layout = full_layout(row.shape)
        elif group.has_plain_random_masks:
            density = group.densities(group.density(0))[row.name]
            layout = full_layout(row.shape) if density == 1.0 else random_layout(seed, row.name, row.shape, density)
        if layout is not None and draw == "philox" and row.start == "normal" and self._weights is None:
            values = self._allocated(key, layout.n_live, torch.float32)
            draw_live(seed, row.name, layout, values)
            return layout, truncate_(values, row.init_std)
        dense = torch.empty(padded(math.prod(row.shape)))
        matrix = dense[: math.prod(row.shape)].view(row.shape)
        with torch.no_grad():
            fill(matrix, row, seed, draw, self._weights)
        if layout is None:
            assert group is not None
            layout = layout_of(group.start_mask(row.name, matrix.numpy(), seed))
        values = self._allocated(key, layout.n_live, torch.float32)
        layout.gather(dense, values, Workers(1))
        return layout, values

    def _resident(self, row: EffectiveTensor, checkpoint: Checkpoint | None) -> Tensor:
        if checkpoint is not None:
            return checkpoint.tensors[f"{WEIGHT}.{row.name}"].to(self._config.execution.device)
        tensor = torch.empty(row.shape)
        with torch.no_grad():
            fill(tensor, row, self._config.seed, self._config.initial_draw, self._weights)
        return tensor.to(self._config.execution.device)

    def _parameters_of(self, name: str) -> Sequence[nn.Parameter]:
        return [self.matrices[name].values] if name in self.matrices else self.pieces[name]

    def _start_moments(self, name: str, checkpoint: Checkpoint | None) -> None:
        saved = {m: None if checkpoint is None else checkpoint.tensors[f"{m}.{name}"].flatten() for m in MOMENTS}
        first = 0
        for number, parameter in enumerate(self._parameters_of(name)):
            last = first + parameter.numel()
            state = self.optimizer.state[parameter]
            state["step"] = torch.tensor(
                0.0 if checkpoint is None else float(checkpoint.meta.n_updates), device=parameter.device
            )
            for moment, numbers in saved.items():
                key = f"{moment}.{name}" + (f".{number}" if number else "")
                kept = self._allocated(key, parameter.numel(), DTYPES[self._config.execution.moments])
                if numbers is not None:
                    kept.copy_(numbers[first:last])
                state[moment] = kept.view_as(parameter).to(parameter.device)
            first = last

    def _allocated(self, key: str, n: int, dtype: torch.dtype) -> Tensor:
        """Zeros, in memory or in the store's folder."""
        folder = self._config.execution.store
        if folder is None or n == 0:
            # Of numpy, which asks for large pages: with small ones, the first touch of a store takes seconds.
            return torch.from_numpy(np.zeros(n * dtype.itemsize, dtype=np.uint8)).view(dtype)
        path = self._path(key)
        make_folder(path.parent)
        reserve(path, n * dtype.itemsize)
        return torch.from_file(str(path), shared=True, size=n, dtype=dtype)

    def _path(self, key: str) -> Path:
        return Path(self._config.execution.store or "") / f"{key}.bin"

    def _moved(self, before: Layout, after: Layout, numbers: Tensor, key: str) -> Tensor:
        """Live numbers of one layout as those of another; in the same memory where they are as many."""
        values = torch.empty(after.n_live)
        after.gather(self.expanded(before, numbers.float()), values, self._workers)
        target = numbers if after.n_live == before.n_live else self._allocated(key, after.n_live, numbers.dtype)
        return target.copy_(values)

    def _saved(self, row: EffectiveTensor) -> SavedParameter:
        parameters = self._parameters_of(row.name)
        matrix = self.matrices.get(row.name)
        is_masked = matrix is not None and matrix.is_masked
        shape = (matrix.layout.n_live,) if matrix is not None and is_masked else row.shape
        states = [self.optimizer.state[parameter] for parameter in parameters]
        numbers = {WEIGHT: _source(shape, [parameter.detach() for parameter in parameters])}
        for moment in MOMENTS:
            numbers[moment] = _source(shape, [state[moment] for state in states])
        mask = matrix.layout.packed() if matrix is not None and is_masked else None
        return SavedParameter(shape=row.shape, numbers=numbers, mask=mask)


def in_pieces(tensor: Tensor) -> list[nn.Parameter]:
    """A tensor as parameters that share its memory, cut between rows, so that none needs a gradient of the whole."""
    n_rows = max(1, PIECE_NUMBERS // (tensor.numel() // len(tensor)))
    return [nn.Parameter(rows) for rows in torch.split(tensor, n_rows)]


def _split(name: str) -> tuple[str, str]:
    """Number of the block of a hidden matrix, and its name within that."""
    number, _, own_name = name.removeprefix("blocks.").partition(".")
    return number, own_name


def _source(shape: tuple[int, ...], tensors: list[Tensor]) -> TensorSource:
    return TensorSource(tensors[0].dtype, shape, lambda: tensors)


def _require_hidden(plan: SparsityPlan, hidden: Iterable[str]) -> None:
    if others := sorted(set(plan.shapes) - set(hidden)):
        raise SpecError(
            f"sparsity: a param_filter matches {others[0]}: the streaming executor masks hidden matrices alone; "
            'execution.executor = "dense" would be right'
        )
