"""Tensors in a safetensors file, written and read one at a time.

The safetensors library serializes all of a file in memory, beside the tensors themselves: a checkpoint would need as
much again as the model. The format is a length, a table in JSON and the bytes of the tensors.

Source: https://github.com/huggingface/safetensors, section "Format".
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LENGTH_BYTES = 8
_ALIGNMENT = 8
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class TensorSource:
    """A tensor that is made when its turn comes to be written.

    Parameters
    ----------
    pieces :
        Makes its numbers in row-major order, cut anywhere.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[Tensor]]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def file_pieces(sources: Mapping[str, TensorSource], metadata: Mapping[str, str]) -> Iterator[memoryview]:
    """The content of a safetensors file, piece by piece.

    Parameters
    ----------
    metadata :
        Free text to keep in the file's table.
    """
    # The widest numbers first, so that each tensor begins at a multiple of its own size.
    names = sorted(sources, key=lambda name: (-sources[name].dtype.itemsize, name))
    table: dict[str, Any] = {_METADATA: dict(metadata)}
    end = 0
    for name in names:
        source, start = sources[name], end
        end += source.n_bytes
        table[name] = {"dtype": _NAMES[source.dtype], "shape": list(source.shape), "data_offsets": [start, end]}
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    yield memoryview(len(header).to_bytes(_LENGTH_BYTES, "little") + header)
    for name in names:
        for piece in sources[name].pieces():
            yield _bytes(piece.detach().cpu().contiguous())


def _bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    numbers: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)


class TensorFile(Mapping[str, Tensor]):
    """The tensors of a safetensors file, each read when it is asked for.

    Raises
    ------
    ValueError
        When the file is no safetensors file, is cut short, or holds numbers of fewer than eight bits.
    OSError
        When it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            n_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if n_bytes > path.stat().st_size:
                raise ValueError("its table is longer than the file")
            table = json.loads(file.read(n_bytes))
        if not isinstance(table, dict):
            raise ValueError("its table is no table")
        self.metadata: dict[str, str] = table.pop(_METADATA, {})
        self._start = _LENGTH_BYTES + n_bytes
        self._table = {name: self._entry(name, entry) for name, entry in table.items()}
        for name, (dtype, shape, first) in self._table.items():
            if self._start + first + math.prod(shape) * dtype.itemsize > path.stat().st_size:
                raise ValueError(f"it ends within {name}")

    def __getitem__(self, name: str) -> Tensor:
        dtype, shape, first = self._table[name]
        tensor = torch.empty(shape, dtype=dtype)
        with self._path.open("rb") as file:
            file.seek(self._start + first)
            n_read = file.readinto(_bytes(tensor)) if tensor.numel() else 0
        if n_read != tensor.numel() * dtype.itemsize:
            raise ValueError(f"{self._path} ends within {name}")
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, without reading it."""
        return self._table[name][1]

    def dtype(self, name: str) -> torch.dtype:
        """Of a tensor, without reading it."""
        return self._table[name][0]

    @staticmethod
    def _entry(name: str, entry: Any) -> tuple[torch.dtype, tuple[int, ...], int]:
        try:
            dtype, shape, (first, last) = _DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
            if math.prod(shape) * dtype.itemsize != last - first or min((first, *shape)) < 0:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{name} is described by {entry}") from None
        return dtype, shape, first
