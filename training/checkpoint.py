"""Checkpoints that a crash cannot half-write and a damaged disk cannot pass off as good.

One checkpoint is `step-00000100.safetensors` (weights, masks, Adam moments) and `step-00000100.json` (everything else,
and the checksum of the first). The JSON is written last: a checkpoint without one never happened.

Of a masked parameter the tensor file holds the live numbers, in row-major order, and the mask, eight weights to a byte
(`numpy.packbits`); the shape stands in the file's own table. So it is with its moments. Every executor writes this
form, one tensor at a time, and reads it.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from models.masks import MASK_SUFFIX, Mask, PackedMask, unpacked
from models.tensor_file import TensorFile, TensorSource, file_pieces
from training.config import TrainConfig
from training.data import Fingerprint
from wse_sim.errors import FileError, SpecError
from wse_sim.files import make_folder, open_file, read_bytes, remove_torn, write_atomically
from wse_sim.spec.written import as_whole_number

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "checkpoints"
WEIGHT = "model"
MOMENTS = ("exp_avg", "exp_avg_sq")
_EVER_LIVE = "ever_live."
_NAME = "step-"
_FORMAT = 2  # 1 held masked parameters with their zeros
_SOON_READ_BYTES = 2**28  # in less time than torch takes to load

Read = TypeVar("Read")


class CheckpointMeta(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stood.

    Parameters
    ----------
    step :
        Optimizer steps done.
    n_sequences :
        Training sequences consumed: the place in the data.
    host_s :
        Measured seconds until then.
    data :
        Of the corpus; a resumed run must read the same one.
    sha256 :
        Of the tensor file.
    format :
        Of the tensor file; see the head of this module.
    n_skipped, n_skipped_in_a_row :
        Steps among `step` that changed nothing, and how many of them were the last ones.
    """

    step: int
    n_sequences: int
    host_s: float
    config: TrainConfig
    data: Fingerprint
    sha256: str
    format: int = 1
    n_skipped: int = 0
    n_skipped_in_a_row: int = 0

    @property
    def n_updates(self) -> int:
        """Steps of the optimizer, which is what Adam counts."""
        return self.step - self.n_skipped

    def __post_init__(self) -> None:
        if self.step < 1 or not 0 <= self.host_s < math.inf:
            raise ValueError(f"step is {self.step} and host_s {self.host_s}")
        if not 0 <= self.n_skipped_in_a_row <= self.n_skipped <= self.step:
            raise ValueError(f"of {self.step} steps, {self.n_skipped} were skipped, {self.n_skipped_in_a_row} in a row")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedParameter:
    """What a checkpoint takes of one parameter.

    Parameters
    ----------
    numbers :
        By kind, `model` (the parameter itself), `exp_avg` and `exp_avg_sq`: all numbers, or the live ones.
    mask :
        Packed; None where all weights live.
    """

    shape: tuple[int, ...]
    numbers: Mapping[str, TensorSource]
    mask: PackedMask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose checksum is right; its tensors, by the names of the file, are read when they are asked for."""

    meta: CheckpointMeta
    tensors: TensorFile

    @property
    def parameters(self) -> list[str]:
        """Names of the model's parameters."""
        names = (name.removeprefix(f"{WEIGHT}.") for name in self.tensors if name.startswith(f"{WEIGHT}."))
        return [name for name in names if not name.endswith(MASK_SUFFIX)]

    def packed_mask(self, name: str) -> PackedMask | None:
        """Of a parameter; None where it has none."""
        return self.tensors[f"{WEIGHT}.{name}{MASK_SUFFIX}"].numpy() if self.has_mask(name) else None

    def mask(self, name: str) -> Mask | None:
        """The same, in the parameter's shape."""
        packed = self.packed_mask(name)
        if packed is None:
            return None
        mask = unpacked(packed, self.shape(name))
        if (n := int(mask.sum())) != self.n_live(name):
            raise SpecError(f"the checkpoint's mask of {name} keeps {n} weights, and it has {self.n_live(name)}")
        return mask

    @property
    def masks(self) -> dict[str, Mask]:
        """All masks, by parameter name."""
        found = {name: self.mask(name) for name in self.parameters}
        return {name: mask for name, mask in found.items() if mask is not None}

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a parameter, masked or not."""
        dims = self.tensors.metadata.get(name)
        return self.tensors.shape(f"{WEIGHT}.{name}") if dims is None else tuple(map(int, dims.split("x")))

    def n_live(self, name: str) -> int:
        """Weights of a parameter that are not masked, without reading it."""
        return math.prod(self.tensors.shape(f"{WEIGHT}.{name}"))

    def dense(self, kind: str, name: str) -> "Tensor":
        """A parameter (`model`) or a moment of it (`exp_avg`, `exp_avg_sq`), zeros and all."""
        numbers, mask = self.tensors[f"{kind}.{name}"], self.mask(name)
        if mask is None:
            return numbers
        import torch

        return torch.zeros(mask.shape).masked_scatter_(torch.from_numpy(mask), numbers.float())

    @property
    def ever_live(self) -> dict[str, PackedMask]:
        """Where weights have ever lived, by parameter name; empty for a run whose masks do not change."""
        names = [name for name in self.tensors if name.startswith(_EVER_LIVE)]
        return {name.removeprefix(_EVER_LIVE): self.tensors[name].numpy() for name in names}

    def require(self, parameters: Iterable[str], masked: Iterable[str]) -> None:
        """Raise SpecError when the checkpoint lacks a parameter or a mask of the run, or has one too many."""
        for what, there, wanted in (
            ("parameter", set(self.parameters), set(parameters)),
            ("mask", {name for name in self.parameters if self.has_mask(name)}, set(masked)),
        ):
            if missing := sorted(wanted - there):
                raise SpecError(
                    f"the checkpoint has no {what} {missing[0]} ({len(missing)} are missing): it is of another run"
                )
            if extra := sorted(there - wanted):
                raise SpecError(f"the checkpoint has a {what} {extra[0]}, which this run has not ({len(extra)} in all)")

    def has_mask(self, name: str) -> bool:
        """A parameter is masked."""
        return f"{WEIGHT}.{name}{MASK_SUFFIX}" in self.tensors


def save_checkpoint(
    run_dir: Path,
    parameters: Mapping[str, SavedParameter],
    *,
    step: int,
    host_s: float,
    config: TrainConfig,
    data: Fingerprint,
    ever_live: Mapping[str, PackedMask] | None = None,
    n_skipped: int = 0,
    n_skipped_in_a_row: int = 0,
) -> Path:
    """Write a checkpoint and return the path of its tensors; older ones than the last few go, but for those to be kept.

    Parameters
    ----------
    ever_live :
        By parameter name, where its weights have ever lived; of a run whose masks change.

    Raises
    ------
    SpecError
        When it cannot be written, or a source of the parameters says so; those before it are still there.
    """
    path = tensor_path(run_dir, step)
    digest = sha256()

    def counted(pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            digest.update(piece)
            yield piece

    make_folder(path.parent)
    try:
        remove_torn(path.parent)
        write_atomically(path, counted(file_pieces(*_sources(parameters, ever_live or {}))))
        meta = CheckpointMeta(
            step=step,
            n_sequences=step * config.batch_size,
            host_s=host_s,
            config=config,
            data=data,
            sha256=digest.hexdigest(),
            format=_FORMAT,
            n_skipped=n_skipped,
            n_skipped_in_a_row=n_skipped_in_a_row,
        )
        write_atomically(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(meta), indent=2))
        kept = {tensor_path(run_dir, kept_step).with_suffix(".json") for kept_step in config.kept_checkpoints}
        for old in [old for old in _meta_paths(run_dir)[config.last_checkpoints :] if old not in kept]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{path}: the checkpoint cannot be written: {error.strerror or error}") from None
    return path


def load_latest(run_dir: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest undamaged checkpoint of a run, None when it has none yet, and what was passed over, in words.

    Raises
    ------
    SpecError
        When there are checkpoints and all of them are damaged.
    """
    checkpoint, warnings = _first_sound(run_dir, load_checkpoint)
    return checkpoint, [f"{warning}; the one before it is taken" for warning in warnings]


def latest_description(run_dir: Path) -> CheckpointMeta | None:
    """What `load_latest` would find, as far as that is told without torch and soon; errors likewise."""
    return _first_sound(run_dir, _soon_told)[0]


def _first_sound(run_dir: Path, read: Callable[[Path], Read]) -> tuple[Read | None, list[str]]:
    """What is read of the newest checkpoint that can be, and why those after it cannot."""
    warnings: list[str] = []
    for path in _meta_paths(run_dir):
        try:
            return read(path), warnings
        except SpecError as error:
            warnings.append(str(error))
    if warnings:
        raise SpecError(
            f"{warnings[0]}; no undamaged checkpoint is left in {run_dir / FOLDER}: "
            "start the run again in another folder"
        )
    return None, warnings


def load_checkpoint(meta_path: Path) -> Checkpoint:
    """The checkpoint that a JSON file describes.

    Raises
    ------
    SpecError
        When either file is missing, cut short or changed, or of an older form.
    """
    from training.whole_checkpoint import require_whole  # it needs torch, and who is refused before waits for none

    meta, path = _description(meta_path), meta_path.with_suffix(".safetensors")
    _require_undamaged(path, meta)
    tensors = _tensors(path)
    try:
        require_whole(tensors, meta.config, (WEIGHT, *MOMENTS), _EVER_LIVE)
    except ValueError as error:
        raise SpecError(f"{path}: the checkpoint is not that of its description: {error}") from None
    return Checkpoint(meta=meta, tensors=tensors)


def _soon_told(meta_path: Path) -> CheckpointMeta:
    """A description whose tensors look right: a small file is read, a large one left for later."""
    meta, path = _description(meta_path), meta_path.with_suffix(".safetensors")
    if path.stat().st_size <= _SOON_READ_BYTES:
        _require_undamaged(path, meta)
        _tensors(path)
    return meta


def _description(meta_path: Path) -> CheckpointMeta:
    """Of a checkpoint of this format whose tensors can be opened."""
    meta, path = read_meta(meta_path), meta_path.with_suffix(".safetensors")
    if meta.format != _FORMAT:
        raise SpecError(
            f"{meta_path}: the checkpoint is of format {meta.format}, this version reads {_FORMAT}: "
            "go on with the version that wrote it"
        )
    if path.stem.startswith(_NAME) and path.name != tensor_path(path.parent, meta.step).name:
        raise SpecError(f"{meta_path}: the checkpoint's description is of step {meta.step}")
    _opened(path).close()
    return meta


def _require_undamaged(path: Path, meta: CheckpointMeta) -> None:
    with _opened(path) as file:
        checksum, n_bytes = file_digest(file, sha256).hexdigest(), file.tell()
    if checksum != meta.sha256:
        raise SpecError(
            f"{path}: the checkpoint is damaged: its {n_bytes} bytes do not have the checksum written with it"
        )


def _opened(path: Path) -> BufferedReader:
    try:
        return open_file(path)
    except OSError as error:
        raise SpecError(f"{path}: the checkpoint cannot be read: {error.strerror}") from None


def _tensors(path: Path) -> TensorFile:
    try:
        return TensorFile(path)
    except ValueError as error:
        raise SpecError(f"{path}: the checkpoint is not a safetensors file ({error})") from None


def read_meta(path: Path) -> CheckpointMeta:
    """The description of a checkpoint, whose tensors are not looked at.

    Raises
    ------
    SpecError
        When it cannot be read.
    """
    try:
        return msgspec.json.decode(read_bytes(path), type=CheckpointMeta)
    except (SpecError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError(f"{path}: the checkpoint's description cannot be read ({error})") from None


def saved_steps(run_dir: Path) -> list[int]:
    """Of a run's checkpoints, damaged or not; the first ones first."""
    steps = (as_whole_number(path.stem.removeprefix(_NAME)) for path in _meta_paths(run_dir))
    return sorted(step for step in steps if step is not None)


def tensor_path(run_dir: Path, step: int) -> Path:
    """Where the tensors of a step's checkpoint are."""
    return run_dir / FOLDER / f"{_NAME}{step:08d}.safetensors"


def _sources(
    parameters: Mapping[str, SavedParameter], ever_live: Mapping[str, PackedMask]
) -> tuple[dict[str, TensorSource], dict[str, str]]:
    """What goes into the tensor file, and what into its table."""
    sources = {_EVER_LIVE + name: _whole(mask) for name, mask in ever_live.items()}
    shapes = {}
    for name, parameter in parameters.items():
        sources |= {f"{kind}.{name}": numbers for kind, numbers in parameter.numbers.items()}
        if parameter.mask is not None:
            sources[f"{WEIGHT}.{name}{MASK_SUFFIX}"] = _whole(parameter.mask)
            shapes[name] = "x".join(map(str, parameter.shape))
    return sources, shapes


def _whole(mask: PackedMask) -> TensorSource:
    import torch

    tensor = torch.from_numpy(mask)
    return TensorSource(tensor.dtype, tuple(tensor.shape), lambda: [tensor])


def _meta_paths(run_dir: Path) -> list[Path]:
    """Newest first. A folder that cannot be listed is an error, or a run that is resumed would begin anew."""
    folder = run_dir / FOLDER
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SpecError(f"{folder}: the checkpoints cannot be listed: {error.strerror}") from None
    found = (folder / name for name in names if name.startswith(_NAME) and name.endswith(".json"))
    return sorted(found, reverse=True)
