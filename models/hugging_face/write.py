"""A folder that stock `transformers` models load, written one tensor at a time."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.hugging_face.config import CONFIG, config_of
from models.hugging_face.fold import factors, folded, must_untie
from models.hugging_face.tensors import INDEX, SPARSE_WEIGHTS, WEIGHTS, Tensors
from models.masks import MASK_SUFFIX, Mask, packed
from models.multipliers import ForwardMultipliers
from models.tensor_file import TensorSource, file_pieces
from wse_sim.errors import SpecError
from wse_sim.files import write_atomically, write_json
from wse_sim.spec.hugging_face_tensors import HuggingFaceTensor, hugging_face_tensors
from wse_sim.spec.model import ModelShape

SHARD_BYTES = 5 * 10**9
_FORMAT = {"format": "pt"}  # transformers asks for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Exportable:
    """A model of ours that is to be written.

    Parameters
    ----------
    weight :
        Name of a parameter -> its numbers, zeros and all, in float32.
    mask :
        Name of a parameter -> its mask; None where it has none.
    end_id :
        The token that ends a document; None where there is none, or nobody knows.
    """

    shape: ModelShape
    multipliers: ForwardMultipliers
    weight: Callable[[str], Tensor]
    mask: Callable[[str], Mask | None]
    end_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What goes into the files of tensors.

    Parameters
    ----------
    shapes :
        `768x2304`, of those that are kept as live numbers and a mask.
    """

    tensors: Mapping[str, TensorSource]
    shapes: Mapping[str, str]

    @property
    def n_bytes(self) -> int:
        return sum(source.n_bytes for source in self.tensors.values())


def write_model(
    folder: Path, model: Exportable, *, dtype: torch.dtype, is_sparse: bool = False, shard_bytes: int = SHARD_BYTES
) -> list[Path]:
    """Write `config.json` and the weights into a folder that is there; the paths of the files of weights.

    Parameters
    ----------
    is_sparse :
        Masked tensors as live numbers and masks, in one file that stock models do not load
        (`models.hugging_face.tensors`).
    shard_bytes :
        Largest size of a file, but for a tensor that is larger by itself.

    Raises
    ------
    SpecError
        When no stock model computes what the model does, a weight does not fit the dtype, or a file cannot be written.
    """
    is_tied = model.shape.is_tied and not must_untie(model.shape, model.multipliers)
    config = config_of(model.shape, is_tied=is_tied, dtype=dtype, end_id=model.end_id)
    paths = write_weights(folder, sources_of_model(model, dtype, is_sparse=is_sparse), shard_bytes)
    write_json(folder / CONFIG, config)  # last: without it, nobody takes the folder for a model
    return paths


def write_weights(folder: Path, sources: Sources, shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write the files of tensors: one if it is sparse or small enough, else several with their index."""
    if sources.shapes:
        path = folder / SPARSE_WEIGHTS
        write_atomically(path, file_pieces(sources.tensors, _FORMAT | dict(sources.shapes)))
        return [path]
    shards = list(_shards(sources.tensors, shard_bytes))
    if len(shards) == 1:
        write_atomically(folder / WEIGHTS, file_pieces(sources.tensors, _FORMAT))
        return [folder / WEIGHTS]
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        write_atomically(folder / name, file_pieces(shard, _FORMAT))
    where = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    write_json(folder / INDEX, {"metadata": {"total_size": sources.n_bytes}, "weight_map": where})
    return [folder / name for name in names]


def sources_of_model(model: Exportable, dtype: torch.dtype, *, is_sparse: bool) -> Sources:
    """The tensors of a model, its multipliers folded into them."""
    found: dict[str, TensorSource] = {}
    shapes: dict[str, str] = {}
    is_untied = must_untie(model.shape, model.multipliers)
    for tensor in hugging_face_tensors(model.shape, is_untied=is_untied):
        mask = _mask(model, tensor) if is_sparse else None
        if mask is not None:
            bits = torch.from_numpy(packed(mask))
            found[f"{tensor.name}{MASK_SUFFIX}"] = TensorSource(bits.dtype, tuple(bits.shape), partial(list, [bits]))
            shapes[tensor.name] = "x".join(map(str, tensor.shape))
        dims = tensor.shape if mask is None else (int(np.count_nonzero(mask)),)
        found[tensor.name] = TensorSource(dtype, dims, partial(_pieces, model, tensor, dtype, mask is not None))
    return Sources(tensors=found, shapes=shapes)


def sources_of_folder(tensors: Tensors, dtype: torch.dtype) -> Sources:
    """The tensors of a folder, sparse or not, whole and in another dtype."""
    found = {
        name: TensorSource(dtype, tensors.shape(name), partial(_cast_of, tensors, name, dtype)) for name in tensors
    }
    return Sources(tensors=found, shapes={})


def _shards(tensors: Mapping[str, TensorSource], shard_bytes: int) -> Iterator[dict[str, TensorSource]]:
    shard: dict[str, TensorSource] = {}
    n_bytes = 0
    for name, source in tensors.items():
        if shard and n_bytes + source.n_bytes > shard_bytes:
            yield shard
            shard, n_bytes = {}, 0
        shard[name] = source
        n_bytes += source.n_bytes
    yield shard


def _pieces(model: Exportable, tensor: HuggingFaceTensor, dtype: torch.dtype, is_sparse: bool) -> Iterator[Tensor]:
    if tensor.is_optional:
        yield torch.zeros(tensor.shape, dtype=dtype)
        return
    rows = model.weight(tensor.own)[tensor.rows]
    numbers = folded(rows, factors(tensor, model.shape, model.multipliers))
    if tensor.is_transposed:
        numbers = numbers.T
    if is_sparse:
        mask = _mask(model, tensor)
        assert mask is not None
        numbers = numbers[torch.from_numpy(mask)]
    yield _cast(numbers, dtype, tensor.name)


def _mask(model: Exportable, tensor: HuggingFaceTensor) -> Mask | None:
    """Of a tensor, as it lies in its file."""
    mask = None if tensor.is_optional else model.mask(tensor.own)
    if mask is None:
        return None
    rows = mask[tensor.rows]
    return np.ascontiguousarray(rows.T) if tensor.is_transposed else rows


def _cast_of(tensors: Tensors, name: str, dtype: torch.dtype) -> Iterable[Tensor]:
    yield _cast(tensors[name], dtype, name)


def _cast(numbers: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    cast = numbers.to(dtype)
    if not _is_finite(cast):
        right = "dtype bf16 or fp32 would be right" if _is_finite(numbers) else "the run had diverged"
        raise SpecError(f"{name}: a weight is not finite as {str(dtype).removeprefix('torch.')}: {right}")
    return cast


def _is_finite(numbers: Tensor) -> bool:
    if not numbers.numel():
        return True
    return all(math.isfinite(extreme) for extreme in numbers.aminmax())  # without a tensor of answers as large again
