"""How often a task is tried whose process is lost: killed from outside, for want of memory, or with its machine."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from wse_sim.errors import LostError

MOST_ATTEMPTS = 3
MOST_MACHINES_LOST = 60  # a cluster hands tasks to a machine that is gone until it notices that, and each fails at once


class Named(Protocol):
    """A task, which is a record that JSON can hold."""

    @property
    def name(self) -> str:
        """What an error calls it: `the run with seed 7`."""


@runtime_checkable
class Divisible(Protocol):
    """A task that is several; one of them may be what costs a process its life."""

    def parts(self) -> Sequence["Divisible"]:
        """Tasks that come to the same, each as small as can be."""


AnyTask = TypeVar("AnyTask", bound=Named)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[AnyTask]):
    """A task, and how many processes were lost over it, and how many machines, for which it is not to blame."""

    task: AnyTask
    n_lost: int = 0
    n_machines_lost: int = 0

    def after_a_loss(self, how: str) -> list["Attempt[AnyTask]"]:
        """What is to be done in its place: the same again, in its smallest parts.

        Parameters
        ----------
        how :
            What became of the process: `was ended by SIGKILL`.

        Raises
        ------
        LostError
            When that was the last attempt.
        """
        n_lost = self.n_lost + 1
        if n_lost >= MOST_ATTEMPTS:
            raise LostError(
                f"{self.task.name}: the process that worked on it {how}, {n_lost} times in a row; a system short of "
                "memory does that: free some, or let fewer processes run at once, and go on with the same command"
            )
        parts = self.task.parts() if isinstance(self.task, Divisible) else [self.task]
        return [Attempt(part, n_lost, self.n_machines_lost) for part in parts]

    def after_a_machine_was_lost(self, how: str) -> "Attempt[AnyTask]":
        """The same again, on another one.

        Raises
        ------
        LostError
            When that has happened so often that there is no end to it.
        """
        if self.n_machines_lost + 1 == MOST_MACHINES_LOST:
            raise LostError(
                f"{self.task.name}: the machine that worked on it {how}, {MOST_MACHINES_LOST} times in a row: see to "
                "the cluster, and go on with the same command"
            )
        return Attempt(self.task, self.n_lost, self.n_machines_lost + 1)


def end_in_words(code: int) -> str:
    """How a process ended, by the code that `subprocess` gives."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
