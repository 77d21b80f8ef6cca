"""What the workers of the tests do."""

import math
import time
from pathlib import Path

import msgspec

from wse_sim.errors import SpecError


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A number to be squared; `folder` gets a file when that is interrupted."""

    value: int
    folder: str = ""

    @property
    def name(self) -> str:
        return f"the square of {self.value}"


class Square(msgspec.Struct, frozen=True):
    """Of a number."""

    value: int


def squared(task: Number) -> Square:
    """The square; it is noisy, and particular."""
    print("whatever a library prints must not be taken for a reply")
    if task.value < 0:
        raise SpecError(f"{task.value} is negative")
    return Square(task.value * task.value // (task.value != 13))


class Root(msgspec.Struct, frozen=True):
    """Of a number; NaN where it has none."""

    value: float


def rooted(task: Number) -> Root:
    """The square root."""
    return Root(math.sqrt(task.value) if task.value >= 0 else math.nan)


def slept(task: Number) -> Square:
    """Where it has a folder, says that it has begun, waits for Ctrl-C, and says that it came."""
    if not task.folder:
        return Square(0)
    try:
        (Path(task.folder) / "begun").touch()
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        (Path(task.folder) / "interrupted").touch()
        raise
