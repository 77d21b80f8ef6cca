"""The weights of a folder for `transformers`, as those of a model of ours."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from models.hugging_face.config import CONFIG, require_exact
from models.hugging_face.fold import factors, must_untie, plain_multipliers, unfolded
from models.hugging_face.tensors import read_tensors
from models.multipliers import ForwardMultipliers
from wse_sim.errors import SpecError
from wse_sim.spec.hugging_face import shape_from_hugging_face
from wse_sim.spec.hugging_face_tensors import FAMILIES, HuggingFaceTensor, hugging_face_tensors, layout_of
from wse_sim.spec.model import ModelShape
from wse_sim.spec.reading import read_json

_HEAD = "lm_head.weight"
_ROWS = 1024  # compared at a time
# What a checkpoint's tensors do not all show, and what decides what is computed with them.
_OF_THE_FUNCTION = (
    "n_layers",
    "d_model",
    "n_heads",
    "kv_heads",
    "d_ff",
    "vocab_size",
    "seq_len",
    "feed_forward",
    "norm",
    "positions",
)


class HuggingFaceWeights(Mapping[str, Tensor]):
    """By the names of our parameters, in float32, each read when it is asked for: never more than one in memory.

    Parameters
    ----------
    folder :
        With `config.json` and the weights (`models.hugging_face.tensors`).
    shape, multipliers :
        Of the model that is to compute what the folder's does; None = the folder's own shape, and no multipliers. With
        multipliers, they are taken out of the weights (`models.hugging_face.fold`).

    Raises
    ------
    SpecError
        When the folder's model is not one of ours, or a tensor is missing, of another shape, or one too many.
    """

    def __init__(
        self, folder: Path | str, shape: ModelShape | None = None, multipliers: ForwardMultipliers | None = None
    ) -> None:
        self.folder = Path(folder)
        path = self.folder / CONFIG
        config = read_json(path)
        require_exact(config, str(path))
        own_shape = shape_from_hugging_face(config, name=self.folder.resolve().name, where=str(path))
        self.shape = own_shape if shape is None else shape
        self._multipliers = multipliers or plain_multipliers(self.shape)
        self._family = FAMILIES[layout_of(self.shape)]
        self._tensors = read_tensors(self.folder)
        wanted = hugging_face_tensors(self.shape, is_untied=must_untie(self.shape, self._multipliers))
        self._names = {tensor.name: self._name_of(tensor.name) for tensor in wanted}
        self._require(wanted, own_shape)

    def __getitem__(self, name: str) -> Tensor:
        rows = [self._rows(tensor) for tensor in self._parts[name]]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @cached_property
    def _parts(self) -> dict[str, list[HuggingFaceTensor]]:
        """What our parameters are made of, in the order of their rows."""
        parts: dict[str, list[HuggingFaceTensor]] = {}
        for tensor in hugging_face_tensors(self.shape):
            if not tensor.is_optional:
                parts.setdefault(tensor.own, []).append(tensor)
        return parts

    def _rows(self, tensor: HuggingFaceTensor) -> Tensor:
        numbers = self._tensors[self._names[tensor.name]].float()
        if not torch.isfinite(numbers).all():
            raise SpecError(f"{self.folder}: {self._names[tensor.name]} holds a number that is not finite")
        rows = numbers.T.contiguous() if tensor.is_transposed else numbers
        return unfolded(rows, factors(tensor, self.shape, self._multipliers))

    def _name_of(self, name: str) -> str:
        """As the folder has it: checkpoints of a bare network leave the prefix out."""
        bare = name.removeprefix(self._family.prefix)
        return bare if name not in self._tensors and bare in self._tensors else name

    def _require(self, wanted: tuple[HuggingFaceTensor, ...], own_shape: ModelShape) -> None:
        """Raise SpecError when the folder does not hold this very model."""
        for key in _OF_THE_FUNCTION:
            if getattr(own_shape, key) != getattr(self.shape, key):
                raise SpecError(
                    f"{self.folder}: its {CONFIG} says {key} = {getattr(own_shape, key)}, and the model that is to "
                    f"begin with its weights has {getattr(self.shape, key)}"
                )
        for tensor in wanted:
            self._require_tensor(tensor)
        if must_untie(self.shape, self._multipliers) and not self._is_one_matrix():
            raise SpecError(
                f"{self.folder}: lm_head.weight is not the token embedding times a number, as in a tied model with "
                "multipliers: --parametrization sp would be right"
            )
        known = {self._names[tensor.name] for tensor in wanted}
        for name in self._tensors:
            if name in known or name.endswith(self._family.ignored):
                continue
            if name != _HEAD:
                raise SpecError(f"{self.folder}: holds a tensor {name}, which the model of its {CONFIG} has not")
            if not torch.equal(self._tensors[name], self._tensors[self._embedding]):
                raise SpecError(
                    f"{self.folder}: lm_head.weight is not the token embedding, and the model ties the two: "
                    f'"tie_word_embeddings": false in its {CONFIG} would be right'
                )

    def _require_tensor(self, tensor: HuggingFaceTensor) -> None:
        where, name = self.folder, self._names[tensor.name]
        if name not in self._tensors:
            raise SpecError(f"{where}: there is no tensor {name}, which {_which_has(tensor, self.shape)}")
        if (there := self._tensors.shape(name)) != tensor.shape:
            raise SpecError(f"{where}: {name} is {_by(there)}, and by its {CONFIG} it is {_by(tensor.shape)}")
        if not (dtype := self._tensors.dtype(name)).is_floating_point:
            raise SpecError(f"{where}: {name} holds {dtype}, it must hold floating-point numbers")
        if tensor.is_optional and torch.count_nonzero(self._tensors[name]):
            raise SpecError(f"{where}: {name} is not 0, and the model that is to begin with it has no biases")

    def _is_one_matrix(self) -> bool:
        """The output layer and the embedding are multiples of one another, but for rounding."""
        step = torch.finfo(self._tensors.dtype(_HEAD))
        factor = self._multipliers.embedding / self._multipliers.logits
        pairs = zip(*(torch.split(self._tensors[name], _ROWS) for name in (_HEAD, self._embedding)), strict=True)
        return all(
            torch.allclose(head.float() * factor, embedding.float(), rtol=4 * step.eps, atol=step.tiny)
            for head, embedding in pairs
        )

    @property
    def _embedding(self) -> str:
        """Name of the token embedding."""
        return next(self._names[part.name] for part in self._parts["token.weight"])


def _which_has(tensor: HuggingFaceTensor, shape: ModelShape) -> str:
    if tensor.name == _HEAD and shape.is_tied:
        return (
            "a parameterization with multipliers needs beside the embedding: the weights of a tied model begin under "
            "--parametrization sp"
        )
    return "the model has"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
