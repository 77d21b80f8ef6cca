"""Processes that do one task after another: importing what a task needs costs more than many a task.

Tasks and replies travel as lines of JSON over the worker's standard input and output. A worker is a program of its own
(`wse_sim.processes.worker`), not a fork and not a copy of the caller's script, so that any script may start one.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import IO, Any, Generic, Protocol, TypeVar

import msgspec

from wse_sim.errors import SpecError
from wse_sim.processes.attempts import AnyTask, Attempt, end_in_words

_WORKER = "wse_sim.processes.worker"
_ROOT = Path(__file__).parent.parent.parent
_AHEAD = 4  # tasks for each worker that wait or run, so that none idles

AnyOutcome = TypeVar("AnyOutcome")


class Reply(msgspec.Struct, Generic[AnyOutcome], frozen=True, kw_only=True):
    """What came of a task: an outcome, or an error.

    Parameters
    ----------
    is_input_error :
        The task is at fault, not the program.
    is_lost :
        Neither is: the process ended before it had said what came of the task.
    """

    outcome: AnyOutcome | None = None
    error: str = ""
    is_input_error: bool = False
    is_lost: bool = False


def on_processes(
    work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], *, n_workers: int
) -> Generator[AnyOutcome, None, None]:
    """One outcome for each task, in the order in which they end; tasks are taken as they are begun.

    A task whose process is lost is done again by another (`wse_sim.processes.attempts`): one that has parts, part by
    part, with an outcome for each. Whoever stops early, or closes the iterator, interrupts the workers (SIGINT) and
    waits for their end.

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
        When a task is wrong; LostError when every process that took it up was lost.
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
    """Workers, a thread for each, and the outcomes of tasks as they come."""

    def __init__(self, work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], n_workers: int) -> None:
        self._start: Callable[[], _Worker[AnyOutcome]] = partial(_Worker, work, outcome)
        self._n_missing, self._tasks = len(tasks), iter(tasks)
        self._todo: SimpleQueue[Attempt[AnyTask] | None] = SimpleQueue()  # None: there is nothing more
        self._replies: SimpleQueue[tuple[Attempt[AnyTask], Reply[AnyOutcome]]] = SimpleQueue()
        self._is_over, self._starting_or_ending = False, Lock()
        self._workers = [self._start() for _ in range(min(n_workers, len(tasks)))]
        self._take(_AHEAD * len(self._workers))
        self._threads = [Thread(target=self._serve, args=(place,), daemon=True) for place in range(len(self._workers))]

    def __enter__(self) -> "_Pool[AnyTask, AnyOutcome]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._starting_or_ending:
            self._is_over = True
            if error is not None:
                for worker in self._workers:
                    worker.interrupt()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def outcomes(self) -> Iterator[AnyOutcome]:
        while self._n_missing:
            attempt, reply = self._replies.get()
            if reply.outcome is not None:
                self._n_missing -= 1
                self._take(1)
                yield reply.outcome
            elif reply.is_lost:
                again = attempt.after_a_loss(reply.error)
                self._n_missing += len(again) - 1
                for other in again:
                    self._todo.put(other)
            else:
                message = f"{attempt.task.name}: {reply.error}"
                raise SpecError(message) if reply.is_input_error else RuntimeError(message)

    def _take(self, n_tasks: int) -> None:
        """So many more may be begun: all at once might be millions."""
        for task in islice(self._tasks, n_tasks):
            self._todo.put(Attempt(task))

    def _serve(self, place: int) -> None:
        while (attempt := self._todo.get()) is not None and not self._is_over:
            self._replies.put((attempt, self._reply(place, attempt.task)))
        with self._starting_or_ending:  # a worker that is interrupted as it ends would say so with a traceback
            worker = self._workers[place]
        worker.close()

    def _reply(self, place: int, task: AnyTask) -> Reply[AnyOutcome]:
        """What came of a task, whatever it was: the caller waits for one reply to each."""
        try:
            reply = self._workers[place].run(task)
            if reply.is_lost:
                self._replace(place)
        except Exception:  # JSON cannot hold the task, or what came back is no outcome: it writes NaN as null
            return Reply(error=traceback.format_exc())
        return reply

    def _replace(self, place: int) -> None:
        self._workers[place].close()
        with self._starting_or_ending:
            if not self._is_over:
                self._workers[place] = self._start()


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

    def run(self, task: AnyTask) -> Reply[AnyOutcome]:
        line = b""
        with suppress(OSError):  # it has ended
            if not self._is_ready:
                self._is_ready = bool(_open(self._process.stdout).readline())
            to_worker = _open(self._process.stdin)
            to_worker.write(msgspec.json.encode(task) + b"\n")
            to_worker.flush()
            line = _open(self._process.stdout).readline()
        if line.endswith(b"\n"):  # one that is cut short is not to be believed
            return self._replies.decode(line)
        code = self._process.wait()
        # A worker that fails before it has begun would do so again.
        return Reply(error=f"its process {end_in_words(code)}") if code > 0 and not self._is_ready else _lost(code)

    def interrupt(self) -> None:
        """Have it save what it is at, and end."""
        self._process.send_signal(signal.SIGINT if self._is_ready else signal.SIGTERM)

    def close(self) -> None:
        """Wait for its end."""
        self._process.communicate()


def _lost(code: int) -> Reply[Any]:
    return Reply(error=end_in_words(code), is_lost=True)


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the worker was started with pipes"
    return pipe
