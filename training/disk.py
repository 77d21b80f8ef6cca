"""Whether a run's checkpoints fit the disk, before any of them is written."""

import shutil
from pathlib import Path

from training.config import TrainConfig
from training.memory import BYTES, hidden_weights, most_live_weights
from wse_sim.errors import FileError, SpecError
from wse_sim.workload.transformer import n_parameters


def checkpoint_bytes(config: TrainConfig) -> float:
    """Of one checkpoint, at the step at which most weights live: numbers, moments, and masks eight to a byte."""
    n_hidden = sum(hidden_weights(config).values())
    n_numbers = n_parameters(config.shape) - n_hidden + most_live_weights(config)
    plan = config.sparsity_plan
    n_bits = n_hidden * (bool(plan.groups) + plan.is_dynamic)
    return (BYTES["fp32"] + 2 * BYTES[config.execution.moments]) * n_numbers + n_bits / 8


def require_room(config: TrainConfig, folder: Path) -> None:
    """Make sure that the disk has room for the checkpoints that are kept, and one more that is written.

    Raises
    ------
    FileError
        When it has none now.
    SpecError
        When they would not fit an empty one either.
    """
    if (config.n_steps - 1) // config.checkpoint_interval == 0 and not config.kept_checkpoints:
        n_checkpoints = 1  # that of the last step
    else:
        n_checkpoints = config.last_checkpoints + 1 + len(config.kept_checkpoints)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    disk, needed = shutil.disk_usage(there), n_checkpoints * checkpoint_bytes(config)
    if disk.total and needed > disk.free:  # what has no size is no disk, and says itself that it cannot be written
        kind = SpecError if needed > disk.total else FileError
        raise kind(
            f"{folder}: {n_checkpoints} checkpoints of {checkpoint_bytes(config) / 1e9:.2f} GB each need "
            f"{needed / 1e9:.1f} GB, and {disk.free / 1e9:.1f} GB are free there: another folder, or fewer "
            "last_checkpoints, would be right"
        )
