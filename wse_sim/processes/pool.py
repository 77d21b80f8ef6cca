"""Processes that do one task after another: importing what a task needs costs more than many a task.

Tasks and replies travel as lines of JSON over the worker's standard input and output. A worker is a program of its own
(`wse_sim.processes.worker`), not a fork and not a copy of the caller's script, so that any script may start one.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import IO, Any, Generic, Protocol, TypeVar

import msgspec

from wse_sim.errors import SpecError

_WORKER = "wse_sim.processes.worker"
_ROOT = Path(__file__).parent.parent.parent


class Named(Protocol):
    """A task, which is a record that JSON can hold."""

    @property
    def name(self) -> str:
        """What an error calls it: `the run with seed 7`."""


AnyTask = TypeVar("AnyTask", bound=Named)
AnyOutcome = TypeVar("AnyOutcome")


class Reply(msgspec.Struct, Generic[AnyOutcome], frozen=True, kw_only=True):
    """What came of a task: an outcome, or an error.

    Parameters
    ----------
    is_input_error :
        The task is at fault, not the program.
    """

    outcome: AnyOutcome | None = None
    error: str | None = None
    is_input_error: bool = False


def on_processes(
    work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], *, n_workers: int
) -> Generator[AnyOutcome, None, None]:
    """One outcome for each task, in the order in which they end.

    Whoever stops early, or closes the iterator, interrupts the workers (SIGINT) and waits for their end.

    Parameters
    ----------
    work :
        What does a task, as `package.module:function`: of one annotated argument, and not None.
    outcome :
        The type that it returns.
    n_workers :
        Processes at most: no more than there are tasks.

    Raises
    ------
    SpecError
        When a task is wrong.
    RuntimeError
        When a worker failed otherwise.
    """
    with _Pool(work, tasks, outcome, n_workers) as pool:
        yield from pool.outcomes()


class Spread(Protocol):
    """A way to have tasks done; `work` and errors as for `on_processes`."""

    def __call__(
        self, work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], /
    ) -> Generator[AnyOutcome, None, None]: ...


def in_this_process(
    work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome]
) -> Generator[AnyOutcome, None, None]:
    """One outcome for each task, in their order: for work that is shorter than the start of a process."""
    do = function_named(work)
    for task in tasks:
        yield do(task)


def function_named(work: str) -> Callable[[Any], Any]:
    """The function that `package.module:function` names."""
    module, _, name = work.partition(":")
    function: Callable[[Any], Any] = getattr(import_module(module), name)
    return function


class _Pool(Generic[AnyTask, AnyOutcome]):
    """Workers, and the outcomes of tasks as they come."""

    def __init__(self, work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], n_workers: int) -> None:
        self._n_tasks = len(tasks)
        self._todo = deque(tasks)
        self._replies: Queue[tuple[AnyTask, Reply[AnyOutcome]]] = Queue()
        self._workers = [_Worker(work, outcome) for _ in range(min(n_workers, len(tasks)))]
        self._threads = [Thread(target=self._serve, args=(worker,), daemon=True) for worker in self._workers]

    def __enter__(self) -> "_Pool[AnyTask, AnyOutcome]":
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

    def outcomes(self) -> Iterator[AnyOutcome]:
        for _ in range(self._n_tasks):
            task, reply = self._replies.get()
            if reply.outcome is not None:
                yield reply.outcome
                continue
            message = f"{task.name}: {reply.error}"
            raise SpecError(message) if reply.is_input_error else RuntimeError(message)

    def _serve(self, worker: "_Worker[AnyOutcome]") -> None:
        while self._todo:
            try:
                task = self._todo.popleft()
            except IndexError:  # another worker was faster
                break
            self._replies.put((task, _told(worker, task)))
        worker.close()


def _told(worker: "_Worker[AnyOutcome]", task: Named) -> Reply[AnyOutcome]:
    """What came of a task, whatever it was: the caller waits for one reply to each."""
    try:
        return worker.run(task)
    except Exception:  # JSON cannot hold the task, or what came back is no outcome: it writes NaN as null
        return Reply(error=traceback.format_exc())


class _Worker(Generic[AnyOutcome]):
    """One process, and the pipes to it."""

    def __init__(self, work: str, outcome: type[AnyOutcome]) -> None:
        paths = (str(_ROOT), os.environ.get("PYTHONPATH", ""))
        self._process = subprocess.Popen(  # noqa: S603  our own program
            # -P: a folder called `training` where the user stands must not be taken for ours.
            [sys.executable, "-P", "-m", _WORKER, work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            # A terminal sends Ctrl-C to a whole group; here it must come once and from us, a second one breaks off.
            process_group=0,
        )
        self._is_ready = False
        self._replies = msgspec.json.Decoder(Reply[outcome])  # type: ignore[valid-type]

    def run(self, task: Named) -> Reply[AnyOutcome]:
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
        return self._replies.decode(line)

    def interrupt(self) -> None:
        """Have it save what it is at, and end."""
        self._process.send_signal(signal.SIGINT if self._is_ready else signal.SIGTERM)

    def close(self) -> None:
        """Wait for its end."""
        self._process.communicate()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the worker was started with pipes"
    return pipe
