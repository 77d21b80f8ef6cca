"""Checkpoints that a crash cannot half-write and a damaged disk cannot pass off as good.

One checkpoint is `step-00000100.safetensors` (weights, masks, Adam moments) and `step-00000100.json` (everything else,
and the checksum of the first). The JSON is written last: a checkpoint without one never happened.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from training.config import TrainConfig
from training.data import Fingerprint
from wse_sim.errors import SpecError
from wse_sim.files import write_atomically

FOLDER = "checkpoints"
_N_KEPT = 2
_MODEL = "model."
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
) -> Path:
    """Write a checkpoint, drop all but the last two, and return the path of its tensors.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    path = tensor_path(run_dir, step)
    content = safetensors.torch.save(_tensors(model, optimizer))
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
        for old in _meta_paths(run_dir)[_N_KEPT:]:
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
    """Put the checkpoint's weights, masks and moments into a model and optimizer built from the same configuration."""
    tensors = checkpoint.tensors
    # Copied into the tensors that are there: memory handed over by a file reader is aligned otherwise, and sums over
    # it may round otherwise.
    with torch.no_grad():
        for name, target in model.state_dict().items():
            target.copy_(tensors[_MODEL + name])
        for name, parameter in model.named_parameters():
            state = optimizer.state[parameter]
            state["step"] = torch.tensor(float(checkpoint.meta.step))
            for moment in _MOMENTS:
                state[moment] = torch.empty_like(parameter).copy_(tensors[f"{moment}.{name}"])


def tensor_path(run_dir: Path, step: int) -> Path:
    """Where the tensors of a step's checkpoint are."""
    return run_dir / FOLDER / f"step-{step:08d}.safetensors"


def _tensors(model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    tensors = {_MODEL + name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        for moment in _MOMENTS:
            tensors[f"{moment}.{name}"] = state[moment] if moment in state else torch.zeros_like(parameter)
    return tensors


def _meta_paths(run_dir: Path) -> list[Path]:
    """Newest first."""
    return sorted((run_dir / FOLDER).glob("step-*.json"), reverse=True)
