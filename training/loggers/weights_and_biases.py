"""Weights & Biases without a network: files in `RUN/wandb/`, which the user uploads or not."""

import os
import re
import secrets
import shlex
import shutil
import string
import struct
import time
from pathlib import Path
from typing import Any

import msgspec

from training.config import TrainConfig
from training.loggers.logger import Metrics, library_of

FOLDER, PROJECT = "wandb", "wse-sim"
_RUN_FOLDER = re.compile(r"offline-run-\d+_\d+-(\w+)(-\d+)?")  # time, id, and how many began in that second before it
_SETTLE_S = 10.0  # that the other process has to write the last of it; a few ms are usual
_BLOCK_BYTES, _HEADER_BYTES = 2**15, 7  # of the file; the file and each record begin with as many bytes
_ID_LETTERS, _ID_LENGTH = string.ascii_lowercase + string.digits, 8


class WandbLogger:
    """Writes an offline run: neither the user's code nor anything of the machine, and nothing goes over a network.

    A run that goes on keeps its id, and its new files take the place of the older ones. Where those were uploaded,
    uploading again replaces what is there, as Weights & Biases does with a run of the same id.

    Raises
    ------
    SpecError
        When wandb is not installed.
    """

    name = "wandb"

    def __init__(self) -> None:
        # Else the library tells its makers when it fails; it reads this when it is imported, and when a run begins.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        with library_of(self.name):
            import wandb

        self._wandb = wandb

    def start(self, run_dir: Path, config: TrainConfig) -> None:
        """A new folder in the place of those that are there."""
        older = [path for path in sorted((run_dir / FOLDER).glob("offline-run-*")) if _RUN_FOLDER.fullmatch(path.name)]
        known = _RUN_FOLDER.fullmatch(older[-1].name) if older else None
        self._run: Any = self._wandb.init(
            mode="offline",
            dir=run_dir,
            id=known.group(1) if known else "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH)),
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run_dir.resolve().name,
            config=msgspec.to_builtins(config),
            settings=self._wandb.Settings(
                reinit="create_new",  # the user may have a run of their own under way
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                host="",
                x_disable_machine_info=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        self._run.define_metric("tokens", hidden=True)  # no curve of its own: an axis for the others
        for path in older:
            if not path.samefile(self._run.settings.sync_dir):  # begun within the same second
                shutil.rmtree(path)

    def log(self, step: int, metrics: Metrics, wall_s: float) -> None:
        """Steps of Weights & Biases are those of the optimizer."""
        self._run.log({**metrics, "_timestamp": wall_s}, step=step)

    def end(self, step: int, summary: Metrics, *, is_complete: bool) -> str:
        """The summary as the run's.

        Raises
        ------
        OSError
            When the last of it is not in the file. The library writes in another process, which keeps to itself what
            it cannot write, and writes no more after that.
        """
        self._run.summary.update(dict(summary))
        file = Path(self._run.settings.sync_file)
        n_bytes = file.stat().st_size
        self._run.finish(exit_code=0 if is_complete else 1)
        end_s = time.monotonic() + _SETTLE_S
        while file.stat().st_size == n_bytes or not _ends_whole(file.read_bytes()):
            if time.monotonic() > end_s:
                raise OSError(f"{file} does not hold all that was logged, the disk may be full")
            time.sleep(0.02)
        return f"to upload the run: wandb sync {shlex.quote(str(file.parent))}"


def _ends_whole(log: bytes) -> bool:
    """Whether the last record is all there.

    Source: LevelDB's log format, here behind seven bytes: blocks of 32 KiB, in each records or pieces of records, which
    begin with a checksum, their length, and whether they are all of a record (1), or its first, middle or last piece.
    """
    at = (len(log) - 1) // _BLOCK_BYTES * _BLOCK_BYTES or _HEADER_BYTES
    kind = 0
    while at + _HEADER_BYTES <= len(log):
        n_bytes, kind = struct.unpack_from("<HB", log, at + 4)
        at += _HEADER_BYTES + n_bytes
    return at == len(log) and kind in (1, 4)
