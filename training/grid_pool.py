"""Processes that train one point after another: importing the trainer costs more than many a point.

Tasks and replies travel as lines of JSON over the worker's standard input and output. A worker is a program of its own
(`training.grid_worker`), not a fork and not a copy of the caller's script, so that any script may start a grid.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import IO

import msgspec

from training.config import TrainConfig
from training.outcome import Key, Outcome
from wse_sim.errors import SpecError

_WORKER = "training.grid_worker"
_ROOT = Path(__file__).parent.parent


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A point to train, and the folder to do it in."""

    key: Key
    digest: str
    config: TrainConfig
    folder: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a task: an outcome, or an error, or neither where the run was interrupted.

    Parameters
    ----------
    is_input_error :
        The configuration is at fault, not the program.
    """

    outcome: Outcome | None = None
    error: str | None = None
    is_input_error: bool = False


class Pool:
    """Workers, and the outcomes of tasks as they come; leaving it early stops the workers, which save first."""

    def __init__(self, tasks: Sequence[Task], n_workers: int) -> None:
        self._n_tasks = len(tasks)
        self._todo = deque(tasks)
        self._replies: Queue[tuple[Task, Reply]] = Queue()
        self._workers = [_Worker() for _ in range(n_workers)]
        self._threads = [Thread(target=self._serve, args=(worker,), daemon=True) for worker in self._workers]

    def __enter__(self) -> "Pool":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._todo.clear()
        if error is not None:
            for worker in self._workers:
                worker.interrupt()
        for thread in self._threads:
            thread.join()

    def outcomes(self) -> Iterator[Outcome]:
        """One for each task, in the order in which they end.

        Raises
        ------
        SpecError
            When a configuration is wrong.
        RuntimeError
            When a worker failed otherwise.
        """
        for _ in range(self._n_tasks):
            task, reply = self._replies.get()
            if reply.outcome is not None:
                yield reply.outcome
                continue
            where = "the run with " + ", ".join(f"{name} {value}" for name, value in task.key.items())
            message = f"{where}: {reply.error or 'its process was interrupted'}"
            raise SpecError(message) if reply.is_input_error else RuntimeError(message)

    def _serve(self, worker: "_Worker") -> None:
        while self._todo:
            try:
                task = self._todo.popleft()
            except IndexError:  # another worker was faster
                break
            self._replies.put((task, worker.run(task)))
        worker.close()


class _Worker:
    """One process, and the pipes to it."""

    def __init__(self) -> None:
        paths = (str(_ROOT), os.environ.get("PYTHONPATH", ""))
        self._process = subprocess.Popen(  # noqa: S603  our own program
            # -P: a folder called `training` where the user stands must not be taken for ours.
            [sys.executable, "-P", "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            # A terminal sends Ctrl-C to a whole group; here it must come once and from us, a second one breaks off.
            process_group=0,
        )
        self._is_ready = False

    def run(self, task: Task) -> Reply:
        try:
            if not self._is_ready:
                self._is_ready = bool(_open(self._process.stdout).readline())
            to_worker = _open(self._process.stdin)
            to_worker.write(msgspec.json.encode(task) + b"\n")
            to_worker.flush()
            line = _open(self._process.stdout).readline()
        except OSError:
            line = b""
        if not line:
            return Reply(error=f"its process ended with code {self._process.wait()}")
        return msgspec.json.decode(line, type=Reply)

    def interrupt(self) -> None:
        """Have it save what it trains, and end."""
        self._process.send_signal(signal.SIGINT if self._is_ready else signal.SIGTERM)

    def close(self) -> None:
        """Wait for its end."""
        self._process.communicate()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the worker was started with pipes"
    return pipe
