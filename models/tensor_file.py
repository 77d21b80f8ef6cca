"""Tensors in a safetensors file, written and read one at a time.

The safetensors library serializes all of a file in memory, beside the tensors themselves: a checkpoint would need as
much again as the model. The format is a length, a table in JSON and the bytes of the tensors.

Source: https://github.com/huggingface/safetensors, section "Format".
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wse_sim.files import open_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# By the format's name: PyTorch's, and bytes of a number.
_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
_NAMES = {of_torch: name for name, (of_torch, _) in _DTYPES.items()}
_LENGTH_BYTES = 8
_MOST_DIMENSIONS = 64  # of PyTorch
_ALIGNMENT = 8
_METADATA = "__metadata__"
_MOST_TABLE_BYTES = 100_000_000  # as the safetensors library has it


@dataclass(frozen=True, slots=True)
class TensorSource:
    """A tensor that is made when its turn comes to be written.

    Parameters
    ----------
    pieces :
        Makes its numbers in row-major order, cut anywhere.
    """

    dtype: "torch.dtype"
    shape: tuple[int, ...]
    pieces: Callable[[], "Iterable[Tensor]"]

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
        table[name] = {
            "dtype": _NAMES[str(source.dtype).removeprefix("torch.")],
            "shape": list(source.shape),
            "data_offsets": [start, end],
        }
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    yield memoryview(len(header).to_bytes(_LENGTH_BYTES, "little") + header)
    for name in names:
        for piece in sources[name].pieces():
            yield _bytes(piece.detach().cpu().contiguous())


def _table_of(content: bytes) -> dict[str, Any]:
    """The table in JSON; a name that is there twice would be one thing here and another one elsewhere."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("its table says a name twice")
        return found

    try:
        table = json.loads(content, object_pairs_hook=once)
    except RecursionError:
        raise ValueError("its table has no end") from None
    if not isinstance(table, dict):
        raise ValueError("its table is no table")
    return table


def _bytes(tensor: "Tensor") -> memoryview:
    """The memory of a contiguous tensor."""
    import torch

    numbers: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)


class _Place(NamedTuple):
    """A tensor in a file: PyTorch's name of its numbers, and where it begins behind the table."""

    dtype: str
    shape: tuple[int, ...]
    first: int
    n_bytes: int


class TensorFile(Mapping[str, "Tensor"]):
    """The tensors of a safetensors file, each read when it is asked for.

    Raises
    ------
    ValueError
        When the file is no safetensors file, is cut short, says a thing twice, or holds numbers of fewer than eight
        bits.
    OSError
        When it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            n_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if n_bytes > min(size, _MOST_TABLE_BYTES):
                raise ValueError("its table is longer than the file" if n_bytes > size else "its table has no end")
            table = _table_of(file.read(n_bytes))
        self.metadata: dict[str, str] = table.pop(_METADATA, {})
        if not isinstance(self.metadata, dict) or not all(isinstance(text, str) for text in self.metadata.values()):
            raise ValueError(f"its {_METADATA} are no texts by name")
        self._start = _LENGTH_BYTES + n_bytes
        self._table = {name: self._entry(name, entry) for name, entry in table.items()}
        self._require_places(size)

    def __getitem__(self, name: str) -> "Tensor":
        import torch

        place = self._table[name]
        tensor = torch.empty(place.shape, dtype=self.dtype(name))
        with self._path.open("rb") as file:
            file.seek(self._start + place.first)
            n_read = file.readinto(_bytes(tensor)) if tensor.numel() else 0
        if n_read != place.n_bytes:
            raise ValueError(f"{self._path} ends within {name}")
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, without reading it."""
        return self._table[name].shape

    def dtype(self, name: str) -> "torch.dtype":
        """Of a tensor, without reading it."""
        import torch

        dtype: torch.dtype = getattr(torch, self._table[name].dtype)
        return dtype

    def _require_places(self, size: int) -> None:
        """Raise ValueError unless each tensor has bytes of its own in a file of `size` bytes."""
        end_before = 0
        for name, place in sorted(self._table.items(), key=lambda item: item[1].first):
            if place.n_bytes and place.first < end_before:
                raise ValueError(f"{name} overlaps the tensor before it")
            end_before = max(end_before, place.first + place.n_bytes)
            if self._start + end_before > size:
                raise ValueError(f"it ends within {name}")

    @staticmethod
    def _entry(name: str, entry: Any) -> "_Place":
        try:
            dtype, item_bytes = _DTYPES[entry["dtype"]]
            shape, (first, last) = tuple(entry["shape"]), entry["data_offsets"]
            is_whole = all(type(number) is int and number >= 0 for number in (first, last, *shape))
            if not is_whole or math.prod(shape) * item_bytes != last - first or len(shape) > _MOST_DIMENSIONS:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{name} is described by {str(entry)[:200]}") from None
        return _Place(dtype, shape, first, last - first)
