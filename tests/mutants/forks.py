"""Forked processes, several at a time, each with limits of its own."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

Outcome = Literal["killed", "timed out", "survived"]
Key = TypeVar("Key")

_ASLEEP_S = 7200  # of wall clock, for a child that waits
_MOST_BYTES = 8 << 30  # that a child may allocate
_BROKEN = 70  # exit status of a child whose work raised: neither killed nor survived


def outcomes(
    work: Iterable[tuple[Key, Callable[[], int]]], n_jobs: int, most_s: int
) -> Iterator[tuple[Key, Outcome, float]]:
    """What became of each piece of work in a process of its own, as they end, and the CPU time that it took.

    Parameters
    ----------
    work :
        Gives 0 where the mutant survives.
    most_s :
        CPU time after which it is taken to run for ever.

    Raises
    ------
    RuntimeError
        When the work raises: what is tried must not.
    """
    waiting, running = iter(work), dict[int, Key]()
    while True:
        while len(running) < n_jobs and (piece := next(waiting, None)) is not None:
            key, run = piece
            running[_forked(run, most_s)] = key
        if not running:
            return
        pid, status, used = os.wait4(-1, 0)
        key = running.pop(pid)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _BROKEN:
            raise RuntimeError(f"no verdict on {key}")
        yield key, _outcome(status), used.ru_utime + used.ru_stime


def _outcome(status: int) -> Outcome:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM):
        return "timed out"
    return "killed" if status else "survived"


def _forked(run: Callable[[], int], most_s: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = _BROKEN
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(_ASLEEP_S)
        code = run()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
