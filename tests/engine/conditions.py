"""The rules once more, as arrays: for every task the instants that it waits for, read off the finish times of a run.

Since tasks only wait for earlier ones, finish times that satisfy all of this with equality are the only ones that do.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wse_sim.engine.result import Finish
from wse_sim.schedule.program import Program


class Server(NamedTuple):
    """One server's tasks: when each started, and the instants, (n_tasks,) by reason, before which it could not."""

    name: str
    starts: np.ndarray
    waits_for: dict[str, np.ndarray]


class Streams:
    """Which tiles of the program belong to which stream."""

    def __init__(self, program: Program) -> None:
        p = self.program = program
        shape = (p.n_steps, p.n_microbatches, p.n_passes, p.n_tiles)
        self.step, self.microbatch, self.of_pass, self.place = (axis.ravel() for axis in np.indices(shape))

    def tiles(self, chosen: np.ndarray) -> np.ndarray:
        """Indices of the tiles of the passes for which `chosen` is not 0."""
        return np.flatnonzero(chosen[self.of_pass])

    def service(self, chosen: np.ndarray, per_pass: np.ndarray) -> np.ndarray:
        return per_pass[self.of_pass[self.tiles(chosen)]]

    def compute_ps(self, leaf: int) -> np.ndarray:
        p = self.program
        times = p.compute_ps[leaf, self.of_pass].reshape(-1, p.n_tiles)
        if p.jitter_ps.shape[1]:
            times[:, 0] += p.jitter_ps[leaf]
        return times.ravel()

    def sink_ps(self) -> np.ndarray:
        p, tiles = self.program, self.tiles(self.program.has_gradient)
        is_last = self.microbatch[tiles] == p.n_microbatches - 1
        return np.where(is_last, p.update_ps[self.of_pass[tiles]], p.accumulate_ps[self.of_pass[tiles]])


def servers(program: Program, finish: Finish) -> Iterator[Server]:
    """Every server of the program."""
    yield from _down(program, finish)
    for leaf in range(program.n_leaves):
        yield from _at_leaf(program, finish, leaf)
    yield from _up(program, finish)


def before(times: np.ndarray, n: int) -> np.ndarray:
    """For each item what stands `n` places before it, 0 where there is none."""
    return np.concatenate([np.zeros(n, np.int64), times])[: len(times)]


def children(program: Program, node: int) -> np.ndarray:
    upper = np.concatenate([[-1], program.node_parent[1:], program.leaf_parent])
    return np.flatnonzero(upper == node)


def _down(p: Program, finish: Finish) -> Iterator[Server]:
    streams = Streams(p)
    latency = p.latency_ps[p.edge_class]
    upper = np.concatenate([p.node_parent, p.leaf_parent])
    sent = streams.tiles(p.has_weights)
    for edge in range(p.n_edges):
        if edge < p.n_nodes:
            gone, slots = finish.down[children(p, edge)].max(axis=0), p.node_slots
        else:
            gone, slots = finish.compute[edge - p.n_nodes, sent], p.leaf_slots
        yield Server(
            f"down {edge}",
            finish.down[edge] - streams.service(p.has_weights, p.down_ps[p.edge_class[edge]]),
            {
                "the one before": before(finish.down[edge], p.n_lanes if edge == 0 else 1),
                "a slot": before(gone + latency[edge], slots),
                "being there": finish.down[upper[edge]] + latency[upper[edge]] if edge else _updated(p, finish),
            },
        )


def _updated(p: Program, finish: Finish) -> np.ndarray:
    """(n weight tiles,): when the update that each waits for is done; 0 = it waits for none."""
    streams = Streams(p)
    waited = p.waits_for[streams.of_pass]
    is_given = np.zeros(len(streams.of_pass), np.int64)
    is_given[streams.tiles(p.has_gradient)] = finish.update
    last = np.where(streams.microbatch == p.n_microbatches - 1, is_given, 0).reshape(
        p.n_steps, -1, p.n_passes, p.n_tiles
    )
    updates = last.max(axis=1)  # (n_steps, n_passes, n_tiles)
    waits = (waited >= 0) & (streams.step > 0)
    times = np.where(waits, updates[streams.step - 1, waited, streams.place], 0)
    return times[streams.tiles(p.has_weights)]


def _at_leaf(p: Program, finish: Finish, leaf: int) -> Iterator[Server]:
    streams = Streams(p)
    computed, drained = finish.compute[leaf], finish.drain[leaf]
    edge = p.n_nodes + leaf
    needs = {"the one before": before(computed, 1), "lag": _lag_over(p, computed)}
    needs["weights"] = _spread(streams, p.has_weights, finish.down[edge] + p.latency_ps[p.edge_class[edge]])
    needs["room for gradients"] = _spread(streams, p.has_gradient, before(finish.up[edge], p.gradient_slots))
    needs["room to leave"] = _spread(streams, p.drain_ps, before(drained, p.drain_slots))
    drained_at = _spread(streams, p.drain_ps, drained).reshape(-1, p.n_passes, p.n_tiles)
    for feed in range(p.n_feeds):
        chosen, brought = p.feed_ps[feed], finish.feed[feed][leaf]
        needs[f"feed {feed}"] = _spread(streams, chosen, brought)
        after = p.feed_after[feed]
        back = np.where(after[:, None] >= 0, drained_at[:, after, :], 0).ravel()
        tiles = streams.tiles(chosen)
        yield Server(
            f"feed {feed} of leaf {leaf}",
            brought - streams.service(chosen, chosen),
            {
                "the one before": before(brought, 1),
                "room": before(computed[tiles], int(p.feed_slots[feed])),
                "what it brings back": back[tiles],
            },
        )
    yield Server(f"leaf {leaf}", computed - streams.compute_ps(leaf), needs)
    served = computed[streams.tiles(p.drain_ps)]
    starts = drained - streams.service(p.drain_ps, p.drain_ps)
    yield Server(f"drain of leaf {leaf}", starts, {"the one before": before(drained, 1), "service": served})


def _spread(streams: Streams, chosen: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`times` of the chosen tiles at their places among all tiles; 0 at the others."""
    spread = np.zeros(len(streams.of_pass), np.int64)
    spread[streams.tiles(chosen)] = times
    return spread


def _lag_over(p: Program, computed: np.ndarray) -> np.ndarray:
    times = np.zeros((p.n_steps * p.n_microbatches, p.n_passes, p.n_tiles), np.int64)
    ended = computed.reshape(times.shape)[:, :, -1]
    for of_pass in np.flatnonzero(p.follows >= 0):
        times[:, of_pass, 0] = ended[:, p.follows[of_pass]] + p.lag_ps[of_pass]
    return times.ravel()


def _up(p: Program, finish: Finish) -> Iterator[Server]:
    streams = Streams(p)
    latency = p.latency_ps[p.edge_class]
    upper = np.concatenate([p.node_parent, p.leaf_parent])
    given = streams.tiles(p.has_gradient)
    for edge in range(p.n_edges):
        done = finish.reduce[edge] if edge < p.n_nodes else finish.compute[edge - p.n_nodes, given]
        gone = finish.reduce[upper[edge]] if edge else finish.update
        yield Server(
            f"up {edge}",
            finish.up[edge] - streams.service(p.has_gradient, p.up_ps[p.edge_class[edge]]),
            {
                "the one before": before(finish.up[edge], p.n_lanes if edge == 0 else 1),
                "a slot": before(gone + latency[edge], p.up_slots),
                "being there": done,
            },
        )
    for node in range(p.n_nodes):
        below = children(p, node)
        yield Server(
            f"reduce {node}",
            finish.reduce[node] - streams.service(p.has_gradient, p.reduce_ps),
            {
                "the one before": before(finish.reduce[node], 1),
                "room for the sum": before(finish.up[node], p.reduce_slots),
                "every child": (finish.up[below] + latency[below, None]).max(axis=0),
            },
        )
    yield Server(
        "sink",
        finish.update - streams.sink_ps(),
        {"the one before": before(finish.update, p.n_lanes), "arrival": finish.up[0] + latency[0]},
    )
