"""What an engine gives back: when every task was finished."""

from dataclasses import dataclass, fields

import numpy as np

from wse_sim.schedule.program import IntArray, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Finish time of every task, int64 picoseconds; nobody writes to it after the run.

    Parameters
    ----------
    down : (n_edges, n_steps * tiles_per_step)
    compute : (n_leaves, n_steps * tiles_per_step)
    up : (n_edges, n_steps * gradients_per_step)
    reduce : (n_nodes, n_steps * gradients_per_step)
    update : (n_steps * gradients_per_step,)
    n_events :
        Events that the engine handled.
    """

    down: IntArray
    compute: IntArray
    up: IntArray
    reduce: IntArray
    update: IntArray
    n_events: int

    @staticmethod
    def empty(program: Program) -> "Finish":
        """Arrays of the right shapes, not yet filled."""
        n_down = program.n_steps * program.tiles_per_step
        n_up = program.n_steps * program.gradients_per_step
        return Finish(
            down=np.zeros((program.n_edges, n_down), np.int64),
            compute=np.zeros((program.n_leaves, n_down), np.int64),
            up=np.zeros((program.n_edges, n_up), np.int64),
            reduce=np.zeros((program.n_nodes, n_up), np.int64),
            update=np.zeros(n_up, np.int64),
            n_events=0,
        )

    @property
    def makespan_ps(self) -> int:
        """The instant at which the last task is finished."""
        return int(max(self.compute.max(initial=0), self.update.max(initial=0)))

    def same_times_as(self, other: "Finish") -> bool:
        """Whether every task is finished at the same instant in both."""
        names = [field.name for field in fields(self) if field.name != "n_events"]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)
