"""Ctrl-C that waits for the end of the step."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

# Of a worker: whoever waits for its outcomes. Asked for as this is imported, before the first task can come, and not
# later: a caller that was killed in between would never be missed.
_PARENT = os.getppid()


class Interrupted(Exception):
    """The user stopped the run; a checkpoint was written and the run can be resumed.

    Parameters
    ----------
    step :
        Optimizer steps done.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        super().__init__(f"stopped after step {step}; a checkpoint is in {run_dir}")
        self.run_dir = run_dir
        self.step = step


class StopRequest:
    """Whether the user has asked to stop."""

    def __init__(self) -> None:
        self.is_pending = False


@contextmanager
def stop_on_interrupt() -> Iterator[StopRequest]:
    """A request that the first Ctrl-C sets; the second one breaks off at once, as usual.

    An exception in the middle of an optimizer step would leave half of the weights updated: nothing to save.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def remember(signal_number: int, frame: FrameType | None) -> None:
        request.is_pending = True
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, remember)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)


def stop_when_orphaned() -> Callable[[object], None]:
    """To be called after each step: stops, as on Ctrl-C, once the process that wants the outcome is gone."""

    def stop(row: object) -> None:
        if os.getppid() != _PARENT:
            raise KeyboardInterrupt

    return stop
