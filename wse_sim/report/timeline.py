"""The steady step of a simulation by server: when each worked, and on which pass."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wse_sim.engine.result import Finish
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import ACTIVATIONS, INPUT

FEED_NAMES = {INPUT: "input", ACTIVATIONS: "activations in"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One server's services in the last step.

    Parameters
    ----------
    start, end : (n_services,)
        int64 picoseconds, in the order of service.
    of_pass, microbatch : (n_services,)
        What each service belongs to.
    """

    process: str
    name: str
    start: IntArray
    end: IntArray
    of_pass: IntArray
    microbatch: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Services of one track, merged.

    Parameters
    ----------
    start, end, busy : (n_slices,)
        int64 picoseconds; the server works for `busy` of the time from `start` to `end`.
    first : (n_slices,)
        Index of the first service in each slice.
    """

    track: Track
    start: IntArray
    end: IntArray
    busy: IntArray
    first: IntArray


def server_tracks(program: Program, finish: Finish, systems: list[int]) -> Iterator[Track]:
    """One track per server, MemoryX first, then the SwarmX nodes above the systems shown, then the systems."""
    stream, weights, gradients = (
        Stream.of(program, chosen) for chosen in (np.ones(program.n_passes), program.has_weights, program.has_gradient)
    )

    def down(process: str, name: str, edge: int) -> Track:
        return weights.track(process, name, finish.down[edge], program.down_ps[program.edge_class[edge]])

    def up(process: str, name: str, edge: int) -> Track:
        return gradients.track(process, name, finish.up[edge], program.up_ps[program.edge_class[edge]])

    is_last = gradients.microbatch == program.n_microbatches - 1
    update_ps = np.where(is_last, program.update_ps[gradients.of_pass], program.accumulate_ps[gradients.of_pass])
    of_memoryx = (
        down("MemoryX", "send weights", 0),
        up("MemoryX", "receive gradients", 0),
        gradients.track_of("MemoryX", "optimizer", finish.update, update_ps),
    )
    for lane in range(program.n_lanes):
        yield from (every(track, lane, program.n_lanes) for track in of_memoryx)
    for node in _nodes_above(program, systems):
        process = f"SwarmX node {node}"
        if node:
            yield down(process, "receive weights", node)
            yield up(process, "send gradients", node)
        yield gradients.track(process, "reduce", finish.reduce[node], program.reduce_ps)
    for leaf in systems:
        process, edge = f"CSX {leaf}", program.n_nodes + leaf
        yield down(process, "ingress", edge)
        for feed, name in FEED_NAMES.items():
            feed_ps = program.feed_ps[feed]
            yield Stream.of(program, feed_ps).track(process, name, finish.feed[feed][leaf], feed_ps)
        yield stream.track(process, "compute", finish.compute[leaf], program.compute_ps[leaf])
        yield Stream.of(program, program.drain_ps).track(
            process, "activations out", finish.drain[leaf], program.drain_ps
        )
        yield up(process, "egress", edge)


def every(track: Track, lane: int, n_lanes: int) -> Track:
    """The services of one of `n_lanes` servers over which the track's services are dealt."""
    names = ("start", "end", "of_pass", "microbatch")
    dealt = {name: getattr(track, name)[lane::n_lanes] for name in names}
    return replace(track, process=f"{track.process} server {lane}", **dealt)


def _nodes_above(program: Program, systems: list[int]) -> list[int]:
    nodes = set()
    for leaf in systems:
        node = int(program.leaf_parent[leaf])
        while node >= 0:
            nodes.add(node)
            node = int(program.node_parent[node])
    return sorted(nodes)


def last_microbatches(track: Track, n_shown: int) -> Track:
    kept = track.microbatch > track.microbatch.max(initial=0) - n_shown
    names = ("start", "end", "of_pass", "microbatch")
    return replace(track, **{name: getattr(track, name)[kept] for name in names})


def merged(track: Track, *, is_exact: bool) -> Slices:
    """Services of one pass and micro-batch in one slice: all of them, or only those without a gap between them."""
    is_new = np.ones(len(track.start), np.bool_)
    is_new[1:] = (np.diff(track.of_pass) != 0) | (np.diff(track.microbatch) != 0)
    if is_exact:
        is_new[1:] |= track.start[1:] > track.end[:-1]
    first = np.flatnonzero(is_new)
    last = np.append(first[1:], len(track.start)) - 1
    total = np.append(0, np.cumsum(track.end - track.start))
    return Slices(
        track=track,
        start=track.start[first],
        end=track.end[last] if len(first) else track.end,
        busy=total[last + 1] - total[first] if len(first) else track.end,
        first=first,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What passes a server in one step: of each tile its pass, its micro-batch, whether it opens its pass."""

    of_pass: IntArray
    microbatch: IntArray
    is_first_tile: IntArray

    @staticmethod
    def of(program: Program, chosen: npt.ArrayLike) -> "Stream":
        """The tiles of the passes for which `chosen`, (n_passes,), is not 0."""
        per_microbatch = np.repeat(np.flatnonzero(chosen), program.n_tiles)
        return Stream(
            of_pass=np.tile(per_microbatch, program.n_microbatches).astype(np.int64),
            microbatch=np.repeat(np.arange(program.n_microbatches), len(per_microbatch)),
            is_first_tile=np.arange(len(per_microbatch) * program.n_microbatches) % program.n_tiles == 0,
        )

    def track(self, process: str, name: str, finish: IntArray, service_ps: IntArray) -> Track:
        """A server with one service time per pass; `finish` covers all steps."""
        return self.track_of(process, name, finish, service_ps[self.of_pass])

    def track_of(self, process: str, name: str, finish: IntArray, service_ps: IntArray) -> Track:
        """A server with one service time per tile; `finish` covers all steps."""
        end = finish[len(finish) - len(self.of_pass) :]
        return Track(
            process=process,
            name=name,
            start=end - service_ps,
            end=end,
            of_pass=self.of_pass,
            microbatch=self.microbatch,
        )
