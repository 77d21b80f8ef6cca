"""Programs that are stopped in the middle, and waits that end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

LIMIT_S = 300.0  # that nothing comes near, however busy the machine is


def came_true(claim: Callable[[], bool]) -> bool:
    """Whether it did, within the limit."""
    end_s = time.monotonic() + LIMIT_S
    while not (is_true := claim()) and time.monotonic() < end_s:
        time.sleep(0.005)
    return is_true


def stopped(
    process: subprocess.Popen[str],
    begun: Callable[[], bool],
    *,
    by: signal.Signals = signal.SIGINT,
) -> tuple[str, str]:
    """What a program prints and says that gets a signal once it has begun, or at the limit; after another it is killed.

    What it leaves tells whether it had begun.
    """
    came_true(lambda: process.poll() is not None or begun())
    process.send_signal(by)
    try:
        return process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@contextmanager
def interrupted_once(begun: Callable[[], bool]) -> Iterator[None]:
    """This process gets Ctrl-C once something in it has begun, or at the limit; never after the end of the block."""
    is_over = Event()

    def press() -> None:
        came_true(lambda: is_over.is_set() or begun())
        if not is_over.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    user = Thread(target=press)
    user.start()
    try:
        yield
    except KeyboardInterrupt:
        assert begun(), "nothing began"
        raise
    finally:
        is_over.set()
        user.join()
