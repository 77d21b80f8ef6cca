"""The steps of a simulation by server: when each worked, on which pass, and how much of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wse_sim.report.trace_window import Window
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import ACTIVATIONS, INPUT, StepPlan, accumulate_bytes, update_bytes
from wse_sim.spec.cluster import MemoryX

FEED_NAMES = {INPUT: "input", ACTIVATIONS: "activations in"}
MEMORYX, OPTIMIZER, SWARMX, CSX = "MemoryX", "optimizer", "SwarmX node", "CSX"

Number = TypeVar("Number", np.int64, np.float64)
Amounts = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One server's services in the steps shown.

    Parameters
    ----------
    start, end : (n_services,)
        int64 picoseconds, in the order of service.
    of_pass, microbatch, step : (n_services,)
        What each service belongs to; steps from 0.
    amounts : (n_services,) each
        What each service moves or computes, by name.
    """

    process: str
    name: str
    start: IntArray
    end: IntArray
    of_pass: IntArray
    microbatch: IntArray
    step: IntArray
    amounts: Amounts

    def chosen(self, services: slice | npt.NDArray[np.bool_]) -> "Track":
        """These services alone."""
        names = ("start", "end", "of_pass", "microbatch", "step")
        amounts = {name: of_service[services] for name, of_service in self.amounts.items()}
        return replace(self, **{name: getattr(self, name)[services] for name in names}, amounts=amounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Services of one track, merged.

    Parameters
    ----------
    start, end, busy : (n_slices,)
        int64 picoseconds; the server works for `busy` of the time from `start` to `end`.
    first : (n_slices,)
        Index of the first service in each slice.
    amounts : (n_slices,) each
        As of the track, summed.
    """

    track: Track
    start: IntArray
    end: IntArray
    busy: IntArray
    first: IntArray
    amounts: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What passes a server in one step or more: of each tile its pass, its micro-batch, whether it opens its pass."""

    of_pass: IntArray
    microbatch: IntArray
    step: IntArray
    is_first_tile: IntArray

    @staticmethod
    def of(program: Program, chosen: npt.ArrayLike, n_steps: int = 1) -> "Stream":
        """The tiles of the passes for which `chosen`, (n_passes,), is not 0."""
        per_microbatch = np.repeat(np.flatnonzero(chosen), program.n_tiles)
        n, per_step = len(per_microbatch), program.n_microbatches * len(per_microbatch)
        return Stream(
            of_pass=np.tile(per_microbatch, n_steps * program.n_microbatches).astype(np.int64),
            microbatch=np.tile(np.repeat(np.arange(program.n_microbatches), n), n_steps),
            step=np.repeat(np.arange(n_steps), per_step),
            is_first_tile=np.arange(n_steps * per_step) % program.n_tiles == 0,
        )


class Tracks:
    """The tracks of some steps of a plan that was run.

    Parameters
    ----------
    systems :
        That are shown.
    n_servers :
        Of MemoryX that are shown.
    """

    def __init__(
        self, plan: StepPlan, memoryx: MemoryX, window: Window, systems: Sequence[int], n_servers: int
    ) -> None:
        p = window.program
        self.plan, self.memoryx, self.window, self.program, self.finish = plan, memoryx, window, p, window.finish
        self.systems, self.n_servers = systems, n_servers
        self.nodes = nodes_above(p, systems)
        self.all, self.weights, self.gradients = (
            Stream.of(p, chosen, window.n_steps) for chosen in (np.ones(p.n_passes), p.has_weights, p.has_gradient)
        )

    def __iter__(self) -> Iterator[Track]:
        """MemoryX first, then the optimizer, the SwarmX nodes above the systems shown, and the systems."""
        arriving = _shifted(self.returned(0, MEMORYX, "receive gradients"), self.latency_ps(0))
        for track in (self.sent(0, MEMORYX, "send weights"), arriving, self.updates()):
            yield from (_dealt(track, lane, self.program.n_lanes) for lane in range(self.n_servers))
        for node in self.nodes:
            process = f"{SWARMX} {node}"
            wires = self._wires_below(node)
            for names, edge in wires:
                yield self.sent(edge, process, "broadcast" if len(wires) == 1 else f"broadcast to {', '.join(names)}")
            yield self.sums(node)
            if node:
                yield self.returned(node, process, "send gradients")
        for leaf in self.systems:
            process, edge = f"{CSX} {leaf}", self.program.n_nodes + leaf
            yield _shifted(self.sent(edge, process, "ingress"), self.latency_ps(edge))
            yield from (self.feed(leaf, feed) for feed in FEED_NAMES)
            yield self.compute(leaf)
            yield self.drain(leaf)
            yield self.returned(edge, process, "egress")

    def latency_ps(self, edge: int) -> int:
        """Flight time over an edge."""
        return int(self.program.latency_ps[self.program.edge_class[edge]])

    def sent(self, edge: int, process: str, name: str) -> Track:
        """Weights put on an edge."""
        service_ps = self.program.down_ps[self.program.edge_class[edge], self.weights.of_pass]
        amounts = self._per_pass("bytes", "weight_bytes")
        return self._track(process, name, self.finish.down[edge], self.weights, service_ps, amounts)

    def returned(self, edge: int, process: str, name: str) -> Track:
        """Gradients put on an edge."""
        service_ps = self.program.up_ps[self.program.edge_class[edge], self.gradients.of_pass]
        amounts = self._per_pass("bytes", "gradient_bytes")
        return self._track(process, name, self.finish.up[edge], self.gradients, service_ps, amounts)

    def sums(self, node: int) -> Track:
        """Gradients summed at a node."""
        service_ps = self.program.reduce_ps[self.gradients.of_pass]
        amounts = self._per_pass("bytes", "gradient_bytes")
        return self._track(f"{SWARMX} {node}", "reduce", self.finish.reduce[node], self.gradients, service_ps, amounts)

    def updates(self) -> Track:
        """The optimizer's work on the gradients."""
        p, of_pass = self.program, self.gradients.of_pass
        is_last = self.gradients.microbatch == p.n_microbatches - 1
        service_ps = np.where(is_last, p.update_ps[of_pass], p.accumulate_ps[of_pass])
        at_last, before = (
            np.array([moved(one, self.memoryx) for one in self.plan.passes]) / p.n_tiles
            for moved in (update_bytes, accumulate_bytes)
        )
        track = self._track(OPTIMIZER, "", self.finish.update, self.gradients, service_ps, {})
        return replace(track, amounts={"memory_bytes": np.where(is_last, at_last[of_pass], before[of_pass])})

    def compute(self, leaf: int) -> Track:
        """The wafer of a system at work."""
        service_ps = self.program.compute_ps[leaf, self.all.of_pass] + self._jitter_ps(leaf)
        amounts = self._per_pass("sparse_flops", "sparse_flops") | self._per_pass("dense_flops", "dense_flops")
        return self._track(f"{CSX} {leaf}", "compute", self.finish.compute[leaf], self.all, service_ps, amounts)

    def feed(self, leaf: int, feed: int) -> Track:
        """Input, or activations, brought to a system."""
        service_ps = self.program.feed_ps[feed]
        is_input = feed == INPUT
        amounts = self._per_pass("tokens", "n_input_tokens") if is_input else self._per_pass("bytes", "fetched_bytes")
        return self._fixed(f"{CSX} {leaf}", FEED_NAMES[feed], self.finish.feed[feed][leaf], service_ps, amounts)

    def drain(self, leaf: int) -> Track:
        """Activations taken away from a system."""
        amounts = self._per_pass("bytes", "stored_bytes")
        return self._fixed(f"{CSX} {leaf}", "activations out", self.finish.drain[leaf], self.program.drain_ps, amounts)

    def _per_pass(self, name: str, field: str) -> dict[str, list[float]]:
        return {name: [float(getattr(one, field)) for one in self.plan.passes]}

    def _fixed(
        self, process: str, name: str, finish: IntArray, service_ps: IntArray, amounts: Mapping[str, Sequence[float]]
    ) -> Track:
        """A server with one service time per pass; it serves the tiles of passes for which that is not 0."""
        stream = Stream.of(self.program, service_ps, self.window.n_steps)
        return self._track(process, name, finish, stream, service_ps[stream.of_pass], amounts)

    def _track(
        self,
        process: str,
        name: str,
        finish: IntArray,
        stream: Stream,
        service_ps: IntArray,
        amounts: Mapping[str, Sequence[float]],
    ) -> Track:
        """A server with one service time per tile; `finish` covers all steps, `amounts` are those of whole passes."""
        end = self.window.of(finish)
        return Track(
            process=process,
            name=name,
            start=end - service_ps,
            end=end,
            of_pass=stream.of_pass,
            microbatch=stream.microbatch,
            step=stream.step,
            amounts={key: np.array(value)[stream.of_pass] / self.program.n_tiles for key, value in amounts.items()},
        )

    def _jitter_ps(self, leaf: int) -> IntArray:
        """What each tile takes longer: only the first of a pass ever does."""
        jitter_ps = np.zeros(len(self.all.of_pass), np.int64)
        if self.program.jitter_ps.size:
            jitter_ps[self.all.is_first_tile] = self.window.of(self.program.jitter_ps[leaf])
        return jitter_ps

    def _wires_below(self, node: int) -> list[tuple[list[str], int]]:
        """The node's edges towards what is shown, those that carry every tile at the same instants as one."""
        p = self.program
        below = [(f"node {n}", n) for n in self.nodes if p.node_parent[n] == node]
        below += [(f"CSX {leaf}", p.n_nodes + leaf) for leaf in self.systems if p.leaf_parent[leaf] == node]
        alike: list[tuple[list[str], int]] = []
        for name, edge in below:
            for names, other in alike:
                if np.array_equal(self.finish.down[edge], self.finish.down[other]):
                    names.append(name)
                    break
            else:
                alike.append(([name], edge))
        return alike


def nodes_above(program: Program, systems: Sequence[int]) -> list[int]:
    """The nodes between the source and these systems."""
    nodes = set()
    for leaf in systems:
        node = int(program.leaf_parent[leaf])
        while node >= 0:
            nodes.add(node)
            node = int(program.node_parent[node])
    return sorted(nodes)


def _dealt(track: Track, lane: int, n_lanes: int) -> Track:
    """The services of one of `n_lanes` servers over which the track's services are dealt."""
    return replace(track.chosen(slice(lane, None, n_lanes)), name=f"server {lane} {track.name}".rstrip())


def _shifted(track: Track, latency_ps: int) -> Track:
    """What is sent on a wire, seen from its other end."""
    return replace(track, start=track.start + latency_ps, end=track.end + latency_ps)


def last_microbatches(track: Track, n_shown: int) -> Track:
    """The services of the last micro-batches of every step."""
    return track.chosen(track.microbatch > track.microbatch.max(initial=0) - n_shown)


def merged(track: Track, *, is_exact: bool) -> Slices:
    """Services of one pass and micro-batch in one slice: all of them, or only those without a gap between them."""
    is_new = np.ones(len(track.start), np.bool_)
    is_new[1:] = (np.diff(track.of_pass) != 0) | (np.diff(track.microbatch) != 0) | (np.diff(track.step) != 0)
    if is_exact:
        is_new[1:] |= track.start[1:] > track.end[:-1]
    first = np.flatnonzero(is_new)
    last = np.append(first[1:], len(track.start)) - 1
    return Slices(
        track=track,
        start=track.start[first],
        end=track.end[last] if len(first) else track.end,
        busy=_sums(track.end - track.start, first),
        first=first,
        amounts={name: _sums(of_service, first) for name, of_service in track.amounts.items()},
    )


def _sums(values: npt.NDArray[Number], first: IntArray) -> npt.NDArray[Number]:
    """Of the values from each of `first` to before the next."""
    sums: npt.NDArray[Number] = np.add.reduceat(values, first) if len(first) else values
    return sums
