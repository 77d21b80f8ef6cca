"""What the workers of the tests do."""

import math
import os
import signal
import stat
import time
from pathlib import Path
from typing import Literal

import msgspec

from wse_sim.errors import SpecError
from wse_sim.sweeps.lazily import Lazy


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A number to be squared; `folder` gets a file when that is interrupted."""

    value: int
    folder: str = ""

    @property
    def name(self) -> str:
        return f"the square of {self.value}"


class Numbers(Lazy[Number]):
    """So many numbers, of which it is known how many were asked for."""

    def __init__(self, n: int) -> None:
        self._n, self.n_taken = n, 0

    def __len__(self) -> int:
        return self._n

    def at(self, place: int) -> Number:
        self.n_taken += 1
        return Number(value=place + 20)


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


class Pieces(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers to be squared by a process that is killed over some of them.

    Parameters
    ----------
    killers :
        Of the values, those that cost a process its life.
    n_kills :
        How often each does, as counted by files in `folder`.
    how :
        `task`: as it takes it up; `reply`: as half of its reply is written.
    """

    values: tuple[int, ...]
    killers: tuple[int, ...]
    n_kills: int
    folder: str
    how: Literal["task", "reply"] = "task"

    @property
    def name(self) -> str:
        return "the square of " + " and ".join(map(str, self.values))

    def parts(self) -> list["Pieces"]:
        return [msgspec.structs.replace(self, values=(value,)) for value in self.values]


def squared_in_danger(task: Pieces) -> list[Square]:
    """The squares, unless a killer is among the values and has kills left."""
    for killer in set(task.values) & set(task.killers):
        n_before = len(list(Path(task.folder).glob(f"{killer}.*")))
        if n_before < task.n_kills:
            (Path(task.folder) / f"{killer}.{n_before}").touch()
            if task.how == "reply":
                cut_short(f'{{"outcome":[[{task.values[0] ** 2}'.encode())
            os.kill(os.getpid(), signal.SIGKILL)
    return [Square(value * value) for value in task.values]


def cut_short(reply: bytes) -> None:
    """Write the beginning of a reply where the worker writes its own: the last pipe that it has opened."""
    os.write(max(n for n in map(int, os.listdir("/dev/fd")) if _is_pipe(n)), reply)


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
