"""Room on the disk: whether a run's checkpoints have it, before any is written, and what takes it beforehand."""

import errno
import os
import shutil
from pathlib import Path

from training.config import TrainConfig
from training.memory import BYTES, hidden_weights, most_live_weights
from wse_sim.errors import FileError, SpecError
from wse_sim.files import cannot_write
from wse_sim.report.quantities import data_size
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
            f"{folder}: {n_checkpoints} checkpoints of {data_size(checkpoint_bytes(config))} each need "
            f"{data_size(needed)}, and {data_size(disk.free)} are free there: another folder, or fewer "
            "last_checkpoints, would be right"
        )


def reserve(path: Path, n_bytes: int) -> None:
    """Write a file of so many zeros, with room for all of them on the disk.

    Without it, memory that is mapped to the file would end the process (SIGBUS) once the disk is full.

    Raises
    ------
    FileError
        When there is no room, or the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            except (AttributeError, OSError) as error:  # not every system has it, nor every file system
                if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise
                file.truncate(n_bytes)
    except OSError as error:
        raise cannot_write(path, error) from None
