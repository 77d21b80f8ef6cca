"""Checkpoints that a crash cannot half-write and a damaged disk cannot pass off as good.

One checkpoint is `step-00000100.safetensors` (weights, masks, Adam moments) and `step-00000100.json` (everything else,
and the checksum of the first). The JSON is written last: a checkpoint without one never happened.

Masks are packed, eight weights to a byte: `numpy.packbits` of the mask in row-major order, in the weight's shape.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from models.sparse import MASK_SUFFIX, Mask
from training.config import TrainConfig
from training.data import Fingerprint
from wse_sim.errors import SpecError
from wse_sim.files import write_atomically

FOLDER = "checkpoints"
_N_KEPT = 2
_MODEL = "model."
_EVER_LIVE = "ever_live."
_MOMENTS = ("exp_avg", "exp_avg_sq")


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
    """

    step: int
    n_sequences: int
    host_s: float
    config: TrainConfig
    data: Fingerprint
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint in memory; the tensors by the names of the file."""

    meta: CheckpointMeta
    tensors: dict[str, Tensor]


def save_checkpoint(
    run_dir: Path,
    model: nn.Module,
    optimizer: torch.optim.AdamW,
    *,
    step: int,
    host_s: float,
    config: TrainConfig,
    data: Fingerprint,
    ever_live: Mapping[str, Mask] | None = None,
) -> Path:
    """Write a checkpoint and return the path of its tensors; older ones than the last two go, but for those to be kept.

    Parameters
    ----------
    ever_live :
        By parameter name, where its weights have ever lived; of a run whose masks change.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    path = tensor_path(run_dir, step)
    content = safetensors.torch.save(_tensors(model, optimizer, ever_live or {}))
    meta = CheckpointMeta(
        step=step,
        n_sequences=step * config.batch_size,
        host_s=host_s,
        config=config,
        data=data,
        sha256=sha256(content).hexdigest(),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        write_atomically(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(meta), indent=2))
        kept = {tensor_path(run_dir, kept_step).with_suffix(".json") for kept_step in config.kept_checkpoints}
        for old in [old for old in _meta_paths(run_dir)[_N_KEPT:] if old not in kept]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)
    except OSError as error:
        raise SpecError(f"{path}: the checkpoint cannot be written: {error.strerror or error}") from None
    return path


def load_latest(run_dir: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest undamaged checkpoint of a run, None when it has none yet, and what was passed over, in words.

    Raises
    ------
    SpecError
        When there are checkpoints and all of them are damaged.
    """
    warnings: list[str] = []
    for path in _meta_paths(run_dir):
        try:
            return load_checkpoint(path), [f"{warning}; the one before it is taken" for warning in warnings]
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
        When either file is missing, cut short or changed.
    """
    path = meta_path.with_suffix(".safetensors")
    try:
        meta = msgspec.json.decode(meta_path.read_bytes(), type=CheckpointMeta)
    except (OSError, msgspec.DecodeError) as error:
        raise SpecError(f"{meta_path}: the checkpoint's description cannot be read ({error})") from None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: the checkpoint cannot be read: {error.strerror}") from None
    if sha256(content).hexdigest() != meta.sha256:
        raise SpecError(
            f"{path}: the checkpoint is damaged: its {len(content)} bytes do not have the checksum written with it"
        )
    try:
        return Checkpoint(meta=meta, tensors=safetensors.torch.load(content))
    except safetensors.SafetensorError as error:
        raise SpecError(f"{path}: the checkpoint is not a safetensors file ({error})") from None


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.AdamW) -> None:
    """Put the checkpoint's weights, masks and moments into a model and optimizer built from the same configuration.

    Raises
    ------
    SpecError
        When the checkpoint lacks a tensor of the model, or has one too many: masks, above all.
    """
    tensors, wanted = checkpoint.tensors, model.state_dict()
    _require_same_names({name.removeprefix(_MODEL) for name in tensors if name.startswith(_MODEL)}, set(wanted))
    # Copied into the tensors that are there: memory handed over by a file reader is aligned otherwise, and sums over
    # it may round otherwise.
    with torch.no_grad():
        for name, target in wanted.items():
            tensor = tensors[_MODEL + name]
            target.copy_(torch.from_numpy(_unpacked(tensor, target.shape)) if name.endswith(MASK_SUFFIX) else tensor)
        for name, parameter in model.named_parameters():
            state = optimizer.state[parameter]
            state["step"] = torch.tensor(float(checkpoint.meta.step))
            for moment in _MOMENTS:
                state[moment] = torch.empty_like(parameter).copy_(tensors[f"{moment}.{name}"])


def masks_of(checkpoint: Checkpoint) -> dict[str, Mask]:
    """The masks of a checkpoint, by parameter name."""
    return _masks_under(checkpoint, _MODEL, MASK_SUFFIX)


def ever_live_of(checkpoint: Checkpoint) -> dict[str, Mask]:
    """Where weights have ever lived, by parameter name; empty for a run whose masks do not change."""
    return _masks_under(checkpoint, _EVER_LIVE, "")


def tensor_path(run_dir: Path, step: int) -> Path:
    """Where the tensors of a step's checkpoint are."""
    return run_dir / FOLDER / f"step-{step:08d}.safetensors"


def _tensors(model: nn.Module, optimizer: torch.optim.AdamW, ever_live: Mapping[str, Mask]) -> dict[str, Tensor]:
    tensors = {}
    for name, tensor in model.state_dict().items():
        is_mask = name.endswith(MASK_SUFFIX)
        tensors[_MODEL + name] = _packed(tensor.numpy()) if is_mask else tensor.contiguous()
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        for moment in _MOMENTS:
            tensors[f"{moment}.{name}"] = state[moment] if moment in state else torch.zeros_like(parameter)
    return tensors | {_EVER_LIVE + name: _packed(mask) for name, mask in ever_live.items()}


def _packed(mask: Mask) -> Tensor:
    return torch.from_numpy(np.packbits(mask))


def _unpacked(packed: Tensor, shape: tuple[int, ...]) -> Mask:
    return np.unpackbits(packed.numpy(), count=math.prod(shape)).reshape(shape).astype(np.bool_)


def _masks_under(checkpoint: Checkpoint, prefix: str, suffix: str) -> dict[str, Mask]:
    tensors = checkpoint.tensors
    names = [name[len(prefix) : len(name) - len(suffix)] for name in tensors if name.startswith(prefix)]
    return {
        name: _unpacked(tensors[prefix + name + suffix], tuple(tensors[_MODEL + name].shape))
        for name in names
        if prefix + name + suffix in tensors
    }


def _require_same_names(there: set[str], wanted: set[str]) -> None:
    if missing := sorted(wanted - there):
        raise SpecError(
            f"the checkpoint has no {missing[0]} ({len(missing)} tensors are missing): it is of another run"
        )
    if extra := sorted(there - wanted):
        raise SpecError(f"the checkpoint has {extra[0]}, which this run has not ({len(extra)} tensors in all)")


def _meta_paths(run_dir: Path) -> list[Path]:
    """Newest first."""
    return sorted((run_dir / FOLDER).glob("step-*.json"), reverse=True)
