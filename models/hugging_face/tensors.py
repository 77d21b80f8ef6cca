"""The tensors of a folder by their own names, each read when it is asked for.

Three forms: `model.safetensors`; several such files and `model.safetensors.index.json`, which says what is where; and
`model.sparse.safetensors`. The last holds of a masked tensor the live numbers, in row-major order, under its name; its
mask, eight weights to a byte (`numpy.packbits`: row-major, the first weight in the highest bit), under its name with
`_mask` behind; and its shape, as in `768x2304`, by its name in the file's own metadata.
"""

import math
import re
from collections.abc import Iterator, Mapping, Set
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.masks import MASK_SUFFIX, Mask, unpacked
from models.tensor_file import TensorFile
from wse_sim.errors import SpecError
from wse_sim.files import is_in_folder, open_file
from wse_sim.spec.reading import read_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
SPARSE_WEIGHTS = "model.sparse.safetensors"
_DIM = re.compile(r"[0-9]{1,18}")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


class Tensors(Mapping[str, "Tensor"]):
    """The tensors of a folder; see the head of this module.

    Raises
    ------
    SpecError
        When the folder holds none, or a file is missing, cut short or no safetensors file.
    """

    def __init__(self, folder: Path) -> None:
        self.files, named = _files_of(folder)
        opened = {file: _opened(file) for file in self.files}
        self._file_of = {name: file for file in opened.values() for name in file}
        for name, path in named.items():
            if name not in opened[path]:
                raise SpecError(f"{path}: holds no {name}, which {INDEX} says is there")
        masks = [name for name in self._file_of if name.endswith(MASK_SUFFIX)] if _is_sparse(folder) else []
        masked = [mask.removesuffix(MASK_SUFFIX) for mask in masks]
        self._shapes = {name: self._whole_shape(name) for name in masked if name in self._file_of}

    def __getitem__(self, name: str) -> "Tensor":
        import torch

        numbers = self._file_of[name][name]
        if name not in self._shapes:
            return numbers
        mask = torch.from_numpy(self.mask(name))
        if (n_live := int(torch.count_nonzero(mask))) != numbers.numel():
            raise SpecError(f"{self.files[0]}: {name} has {numbers.numel()} numbers, and its mask {n_live}")
        return torch.zeros(mask.shape, dtype=numbers.dtype).masked_scatter_(mask, numbers)

    def __iter__(self) -> Iterator[str]:
        masks = {f"{name}{MASK_SUFFIX}" for name in self._shapes}
        return (name for name in self._file_of if name not in masks)

    def __len__(self) -> int:
        return len(self._file_of) - len(self._shapes)

    @property
    def masked(self) -> Set[str]:
        """Names of those that are kept as live numbers and a mask."""
        return self._shapes.keys()

    def mask(self, name: str) -> Mask:
        """Of a masked tensor."""
        return unpacked(self._file_of[name][f"{name}{MASK_SUFFIX}"].numpy(), self.shape(name))

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, masked or not."""
        return self._shapes.get(name) or self._file_of[name].shape(name)

    def dtype(self, name: str) -> "torch.dtype":
        """Of a tensor's numbers."""
        return self._file_of[name].dtype(name)

    def _whole_shape(self, name: str) -> tuple[int, ...]:
        file, dims = self._file_of[name], self._file_of[name].metadata.get(name, "").split("x")
        if not all(_DIM.fullmatch(dim) for dim in dims):
            raise SpecError(f"{self.files[0]}: its metadata do not say the shape of {name}, as in 768x2304")
        shape = tuple(map(int, dims))
        if file.shape(f"{name}{MASK_SUFFIX}") != (math.ceil(math.prod(shape) / 8),):
            raise SpecError(f"{self.files[0]}: the mask of {name} is not of {math.prod(shape)} weights")
        return shape


def read_tensors(folder: Path | str) -> Tensors:
    """The tensors of a folder of Hugging Face's, by their names, sparse or not: each is made whole when asked for.

    Raises
    ------
    SpecError
        As `Tensors`.
    """
    return Tensors(Path(folder))


def digest(folder: Path | str) -> str:
    """The sha256 of a folder's weights; of several files, of their bytes one after the other, sorted by name."""
    found = sha256()
    for path in _files_of(Path(folder))[0]:
        try:
            with open_file(path) as file:
                file_digest(file, lambda: found)
        except OSError as error:
            raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    return found.hexdigest()


def _files_of(folder: Path) -> tuple[list[Path], dict[str, Path]]:
    """The files of tensors, sorted, and where an index says that each tensor is."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS], {}
    if (folder / INDEX).is_file():
        index: Any = read_json(folder / INDEX).get("weight_map")
        if not isinstance(index, dict) or not all(isinstance(name, str) for name in index.values()):
            raise SpecError(f"{folder / INDEX}: weight_map is {index!r}, it must say in which file each tensor is")
        for name in set(index.values()):
            if not is_in_folder(name):
                raise SpecError(f"{folder / INDEX}: weight_map names {name!r}, it must name files in the folder")
        named = {name: folder / file for name, file in index.items()}
        return sorted(set(named.values())), named
    if _is_sparse(folder):
        return [folder / SPARSE_WEIGHTS], {}
    if any((folder / pickle).is_file() for pickle in _PICKLES):
        raise SpecError(
            f"{folder}: holds pytorch_model.bin, a pickle, which may run any code when it is read, and no {WEIGHTS}: "
            "convert it once with transformers, "
            f"AutoModelForCausalLM.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        )
    raise SpecError(f"{folder}: there are no weights here, they would be in {WEIGHTS} or {INDEX}")


def _is_sparse(folder: Path) -> bool:
    """There are sparse weights, and no dense ones, which go before."""
    return (folder / SPARSE_WEIGHTS).is_file() and not any((folder / name).is_file() for name in (WEIGHTS, INDEX))


def _opened(path: Path) -> TensorFile:
    try:
        return TensorFile(path)
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError(f"{path}: is no whole safetensors file ({error})") from None
