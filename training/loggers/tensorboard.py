"""Event files for TensorBoard, in `RUN/tensorboard/`."""

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import msgspec

from training.config import TrainConfig
from training.loggers.logger import Metrics, library_of
from wse_sim.files import make_folder

FOLDER = "tensorboard"
_FILE = re.compile(r"events\.out\.tfevents\.(\d+)\..*")
_FILE_VERSION = "brain.Event:2"  # from which on readers heed the beginning of a session


class TensorBoardLogger:
    """Writes what comes as it comes; values are 32-bit floats, as TensorBoard keeps them.

    A run that goes on begins a new file, and in it a session from step 1: readers purge what older files say of the
    steps from there on. Files are numbered, as readers take them in the order of their names.

    Raises
    ------
    SpecError
        When tensorboard is not installed.
    """

    name = "tensorboard"

    def __init__(self) -> None:
        with library_of(self.name):
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
            from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary, self._record_writer = event_pb2, summary_pb2.Summary, RecordWriter
        self._hyper_parameters, self._metadata, self._plugin = summary_v2.hparams_pb, metadata, plugin_data_pb2
        self._status = {True: api_pb2.STATUS_SUCCESS, False: api_pb2.STATUS_FAILURE}

    def start(self, run_dir: Path, config: TrainConfig) -> None:
        """A new file after those that are there."""
        self._began_s = time.time(), time.monotonic()
        self._folder = run_dir / FOLDER
        make_folder(self._folder)
        names = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        number = max((int(name.group(1)) + 1 for name in names if name), default=0)
        self._records = self._record_writer((self._folder / f"events.out.tfevents.{number:010d}.wse-sim").open("xb"))
        self._write(0, file_version=_FILE_VERSION)
        self._write(1, session_log=self._event.SessionLog(status=self._event.SessionLog.START))
        hyper_parameters = flattened(msgspec.to_builtins(config))
        self._write(0, summary=self._hyper_parameters(hyper_parameters, run_dir.resolve().name, self._now_s()))
        self._records.flush()

    def log(self, step: int, metrics: Metrics, wall_s: float) -> None:
        """Scalars, each under its own tag."""
        values = [self._summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()]
        self._write(step, summary=self._summary(value=values), wall_s=wall_s)
        self._records.flush()

    def end(self, step: int, summary: Metrics, *, is_complete: bool) -> str:
        """The summary as scalars of the last step, which the table of hyper-parameters takes as well."""
        try:
            self.log(step, summary, self._now_s())
            self._write(step, summary=self._session_end(is_complete=is_complete))
        finally:
            self._records.close()
        return f"curves: tensorboard --logdir {shlex.quote(str(self._folder))}"

    def _session_end(self, *, is_complete: bool) -> Any:
        """What tells the table of hyper-parameters how the run ended."""
        end = self._plugin.SessionEndInfo(status=self._status[is_complete], end_time_secs=self._now_s())
        about = self._metadata.create_summary_metadata(self._plugin.HParamsPluginData(session_end_info=end))
        tag, tensor = self._metadata.SESSION_END_INFO_TAG, self._metadata.NULL_TENSOR
        return self._summary(value=[self._summary.Value(tag=tag, metadata=about, tensor=tensor)])

    def _now_s(self) -> float:
        """Seconds since the epoch, by the clock as it stood at the start: it may have been set back since."""
        wall_s, monotonic_s = self._began_s
        return wall_s + time.monotonic() - monotonic_s

    def _write(self, step: int, *, wall_s: float | None = None, **what: Any) -> None:
        event = self._event.Event(step=step, wall_time=self._now_s() if wall_s is None else wall_s, **what)
        self._records.write(event.SerializeToString())


def flattened(value: Any, prefix: str = "") -> dict[str, bool | int | float | str]:
    """The leaves of a configuration by dotted name; lists as JSON, what is None left out."""
    if isinstance(value, dict):
        of_each = (flattened(item, f"{prefix}.{key}" if prefix else key) for key, item in value.items())
        return {name: leaf for leaves in of_each for name, leaf in leaves.items()}
    if value is None:
        return {}
    return {prefix: json.dumps(value) if isinstance(value, list | tuple) else value}
