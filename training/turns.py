"""How times are taken: works take turns, so that whatever else the machine does strikes them alike."""

import time
from collections.abc import Callable, Iterator, Sequence

import torch

Work = Callable[[], object]
Clock = Callable[[], float]


def turns_s(works: Sequence[Work], clock: Clock = time.perf_counter) -> Iterator[list[float]]:
    """Seconds of each work, turn after turn without end; none is done before it is asked for.

    In the first turn memory is touched for the first time and caches fill: it is the caller's to leave out.
    """
    while True:
        yield [_seconds_of(work, clock) for work in works]


def _seconds_of(work: Work, clock: Clock) -> float:
    _wait()
    started_s = clock()
    work()
    _wait()
    return clock() - started_s


def _wait() -> None:
    """Let a GPU finish: what it is given is done later than the call that gives it."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
