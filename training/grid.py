"""Many small runs on all cores: each point of a grid is one run of the ordinary trainer.

Outcomes are appended to one file as they come, so that whoever stops a grid and starts it again goes on where it stood:
points with an outcome are not run again, points in the middle go on from their checkpoint. What a point gives is a
function of its configuration alone, not of how many run beside it or in which order.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType

import msgspec

from training.config import TrainConfig
from training.execution import Execution
from training.grid_worker import Task
from training.outcome import Key, Outcome
from wse_sim.errors import SpecError
from wse_sim.files import cannot_write, make_folder, open_locked, whole_lines
from wse_sim.processes.limits import n_usable_cpus
from wse_sim.processes.pool import on_processes
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.reading import read_lines, records_of
from wse_sim.workload.transformer import n_parameters

__all__ = ["Outcome", "Point", "read_outcomes", "run_points"]

OUTCOMES_FILE = "outcomes.jsonl"
_WORK = "training.grid_worker:train_point"
_POINTS_FOLDER = "points"
# Of a configuration, younger than outcomes that are kept: those were computed with these values.
_LATE_KEYS = {
    "execution": Execution(),
    "initial_draw": "torch",
    "last_checkpoints": 2,
    "on_nan": "stop",
    "tokenizer": "bytes",
    "text_field": "text",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a grid.

    Parameters
    ----------
    key :
        What tells it from the others, by name: comes back in its outcome.
    """

    key: Key
    config: TrainConfig

    @property
    def digest(self) -> str:
        """Of all that its outcome depends on: the configuration without how often it saves."""
        content = msgspec.to_builtins(msgspec.structs.replace(self.config, checkpoint_interval=1))
        for key, default in _LATE_KEYS.items():
            if getattr(self.config, key) == default:
                del content[key]
        return sha256(msgspec.json.encode(content)).hexdigest()[:16]

    @property
    def cost(self) -> float:
        """Predicted work, in the same unit for all points: parameters x tokens."""
        return float(n_parameters(self.config.shape)) * self.config.n_steps * self.config.tokens_per_step


def run_points(
    points: Sequence[Point],
    out: Path,
    *,
    n_workers: int | None = None,
    watch: Watch = UNWATCHED,
    keep: bool = False,
) -> list[Outcome]:
    """One outcome for each point, in their order.

    Parameters
    ----------
    out :
        Gets `outcomes.jsonl`, a line for each run, and `points/`, the folders of runs that have not ended.
    n_workers :
        Processes; by default one for each usable CPU, over the threads that a run takes.
    watch :
        Hears of each new outcome after it was written; work is parameters x tokens.
    keep :
        Leave the folders of runs that have ended, with rows and checkpoints.

    Raises
    ------
    SpecError
        When a configuration is wrong for its data (the point is named), the folder cannot be written, or another
        process works in it.
    KeyboardInterrupt
        On Ctrl-C, after all running points were saved; the same call goes on.
    """
    with _OutcomeFile(Path(out)) as file:
        todo = {point.digest: point for point in points if point.digest not in file.known}
        tasks = [
            Task(key=point.key, digest=digest, config=point.config, folder=str(file.folder_of(digest)))
            for digest, point in sorted(todo.items(), key=lambda item: -item[1].cost)  # the longest first
        ]
        if not keep:
            for digest in file.known:  # whoever wrote an outcome may have been killed before it removed the run
                shutil.rmtree(file.folder_of(digest), ignore_errors=True)
        n_workers = _n_workers(n_workers, points)
        n_points, n_diverged = len({point.digest for point in points}), 0
        watch.begin(n_points, "runs", n_known=n_points - len(todo), work=sum(point.cost for point in todo.values()))
        with closing(on_processes(_WORK, tasks, Outcome, n_workers=n_workers)) as outcomes:
            for outcome in outcomes:
                file.append(outcome)
                if not keep:
                    shutil.rmtree(file.folder_of(outcome.digest), ignore_errors=True)
                n_diverged += outcome.is_diverged
                note = f"{n_diverged} diverged" if n_diverged else ""
                watch.came(work=todo[outcome.digest].cost, note=note)
        return [msgspec.structs.replace(file.known[point.digest], key=point.key) for point in points]


def read_outcomes(out: Path) -> list[Outcome]:
    """What a grid has written so far; a line that a crash cut short is left out.

    Raises
    ------
    SpecError
        When the file cannot be read or another line is not an outcome.
    """
    return read_lines(Path(out) / OUTCOMES_FILE, Outcome)


class _OutcomeFile:
    """The outcomes known so far, and the file that new ones are appended to, locked against a second process."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._path = out / OUTCOMES_FILE
        make_folder(out)
        busy = f"{out}: another process works on this grid: wait for it, or stop it"
        self._file = open_locked(self._path, busy=busy)
        try:
            known = records_of(whole_lines(self._file), Outcome, self._path)
        except BaseException:
            self._file.close()
            raise
        self.known = {outcome.digest: outcome for outcome in known}

    def folder_of(self, digest: str) -> Path:
        return self._out / _POINTS_FOLDER / digest

    def append(self, outcome: Outcome) -> None:
        self._require_same_data(outcome)
        try:
            self._file.write(msgspec.json.encode(outcome) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self._path, error) from None
        self.known[outcome.digest] = outcome

    def __enter__(self) -> "_OutcomeFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what a full disk did not take, nobody counts on
            self._file.close()
        with suppress(OSError):  # not empty: runs that can be resumed
            (self._out / _POINTS_FOLDER).rmdir()

    def _require_same_data(self, outcome: Outcome) -> None:
        for other in self.known.values():
            if other.data == outcome.data and other.data_sha256 != outcome.data_sha256:
                raise SpecError(
                    f"{self._path}: data {outcome.data!r} are not what earlier runs of this grid were trained on (the "
                    "files changed, or another Python runs): start in another folder"
                )


def _n_workers(asked: int | None, points: Sequence[Point]) -> int:
    if asked is not None and asked < 1:
        raise SpecError(f"workers: {asked}, it must be at least 1")
    n_threads = max((point.config.n_threads for point in points), default=1)
    return asked or max(1, n_usable_cpus() // n_threads)
