"""Whether the tensors of a checkpoint are those of the configuration that stands beside them."""

import math
from collections.abc import Sequence

import torch

from models.gpt import meta_model
from models.masks import MASK_SUFFIX
from models.tensor_file import TensorFile
from training.config import TrainConfig


def require_whole(tensors: TensorFile, config: TrainConfig, kinds: Sequence[str], others: str) -> None:
    """Make sure that all are there, each in the form that the configuration gives it, and no more.

    The numbers are not read.

    Parameters
    ----------
    kinds :
        What there is of each parameter: the parameter itself, then its moments.
    others :
        How the names of further tensors begin.

    Raises
    ------
    ValueError
        When that is not so.
    """
    weight, *_ = kinds
    masked = config.sparsity_plan.shapes
    wanted: dict[str, str] = {}  # tensors that are to be there, by what is wrong with them
    for name, parameter in meta_model(config.shape).named_parameters():
        shape = tuple(parameter.shape)
        numbers = {f"{kind}.{name}": shape for kind in kinds}
        if name in masked:
            bits = f"{weight}.{name}{MASK_SUFFIX}"
            wanted[bits] = _wrong(tensors, bits, (math.ceil(math.prod(shape) / 8),), is_mask=True)
            if tensors.metadata.get(name) != "x".join(map(str, shape)):
                wanted[bits] = wanted[bits] or f"is of {name}, whose shape is not said to be {shape}"
            n_live = math.prod(tensors.shape(f"{weight}.{name}")) if f"{weight}.{name}" in tensors else 0
            numbers = dict.fromkeys(numbers, (n_live,))
        wanted |= {tensor: _wrong(tensors, tensor, dims) for tensor, dims in numbers.items()}
    for tensor, wrong in wanted.items():
        if wrong:
            raise ValueError(f"{tensor} {wrong}")
    if extra := [name for name in tensors if name not in wanted and not name.startswith(others)]:
        raise ValueError(f"{extra[0]} is no tensor of the model ({len(extra)} in all)")


def _wrong(tensors: TensorFile, name: str, shape: tuple[int, ...], *, is_mask: bool = False) -> str:
    """In words; "" where nothing is."""
    if name not in tensors:
        return "is missing"
    dtype = tensors.dtype(name)
    if (dtype != torch.uint8) if is_mask else (not dtype.is_floating_point):
        return f"holds {dtype}"
    return "" if tensors.shape(name) == shape else f"is of shape {tensors.shape(name)}, not {shape}"
