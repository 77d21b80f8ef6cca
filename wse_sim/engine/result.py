"""What an engine gives back: when every task was finished."""

from dataclasses import dataclass, fields

import numpy as np

from wse_sim.schedule.program import IntArray, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Finish time of every task, int64 picoseconds; nobody writes to it after the run.

    The tiles of a server stand in the order of its stream: `rules` says which passes have one.

    Parameters
    ----------
    down : (n_edges, n_steps * weights_per_step)
    feed : one array for each feed, (n_leaves, n_steps * per_step(feed_ps[feed]))
    compute : (n_leaves, n_steps * tiles_per_step)
    drain : (n_leaves, n_steps * per_step(drain_ps))
    up : (n_edges, n_steps * gradients_per_step)
    reduce : (n_nodes, n_steps * gradients_per_step)
    update : (n_steps * gradients_per_step,)
    n_events :
        Events that the engine handled.
    """

    down: IntArray
    feed: tuple[IntArray, ...]
    compute: IntArray
    drain: IntArray
    up: IntArray
    reduce: IntArray
    update: IntArray
    n_events: int

    @staticmethod
    def of(program: Program, times_ps: IntArray, n_events: int) -> "Finish":
        """The finish times that stand one behind the other in `times_ps`, (n_tasks,), as `blocks` says."""
        ends = np.cumsum([rows * columns for rows, columns in blocks(program)])
        flat = np.split(times_ps, ends[:-1])
        shaped = [block.reshape(shape) for block, shape in zip(flat, blocks(program), strict=True)]
        down, compute, drain, up, reduce, update = shaped[:1] + shaped[1 + program.n_feeds :]
        return Finish(
            down=down,
            feed=tuple(shaped[1 : 1 + program.n_feeds]),
            compute=compute,
            drain=drain,
            up=up,
            reduce=reduce,
            update=update[0],
            n_events=n_events,
        )

    @staticmethod
    def empty(program: Program) -> "Finish":
        """Arrays of the right shapes, not yet filled."""
        return Finish.of(program, np.zeros(program.n_tasks, np.int64), 0)

    @property
    def makespan_ps(self) -> int:
        """The instant at which the last task is finished."""
        return int(max(self.compute.max(initial=0), self.drain.max(initial=0), self.update.max(initial=0)))

    def same_times_as(self, other: "Finish") -> bool:
        """Whether every task is finished at the same instant in both."""
        names = [field.name for field in fields(self) if field.name not in ("feed", "n_events")]
        same_feeds = len(self.feed) == len(other.feed) and all(map(np.array_equal, self.feed, other.feed))
        return same_feeds and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)


def blocks(program: Program) -> list[tuple[int, int]]:
    """(servers, tasks of each) of every array of a `Finish`, in the order of its fields; one for each feed."""
    p = program
    per_step = [
        (p.n_edges, p.weights_per_step),
        *((p.n_leaves, p.per_step(feed_ps)) for feed_ps in p.feed_ps),
        (p.n_leaves, p.tiles_per_step),
        (p.n_leaves, p.per_step(p.drain_ps)),
        (p.n_edges, p.gradients_per_step),
        (p.n_nodes, p.gradients_per_step),
        (1, p.gradients_per_step),
    ]
    return [(n_servers, p.n_steps * n_tasks) for n_servers, n_tasks in per_step]


def step_ends_ps(program: Program, finish: Finish) -> IntArray:
    """(n_steps,): the instant at which the last leaf has served the last tile of each step."""
    ends_ps: IntArray = finish.compute[:, program.tiles_per_step - 1 :: program.tiles_per_step].max(axis=0)
    return ends_ps
