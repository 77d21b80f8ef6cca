"""The SimPy reference: `rules` as processes, one for each server; readable, slow, the oracle of the other engines."""

from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any, NamedTuple

import simpy

from wse_sim.engine.result import Finish
from wse_sim.engine.rules import DOWN, UP
from wse_sim.schedule.program import IntArray, Program, places

Process = Generator[simpy.Event, Any, None]

_AFTER_ALL_OTHERS = 2  # SimPy handles the events of one instant by priority; its own are 0 and 1


def run_reference(program: Program) -> Finish:
    """Finish times of every task, by SimPy.

    Parameters
    ----------
    program :
        A small one: SimPy handles about 10^5 tasks a second.
    """
    return _Reference(program).run()


class _Wire:
    """One lane of an edge: its two ways free of each other, or contending for it."""

    def __init__(self, env: simpy.Environment, is_half_duplex: bool) -> None:
        self.env = env
        self.is_half_duplex = is_half_duplex
        self.is_busy = False
        self.waiting: list[tuple[int, int, simpy.Event]] = []

    def carry(self, way: int, service_ps: int) -> Process:
        """Send one tile `way` (UP or DOWN), once it is this tile's turn."""
        if not self.is_half_duplex:
            yield self.env.timeout(service_ps)
            return
        turn = self.env.event()
        # Sorted by the instant of being ready, gradients before tiles.
        heappush(self.waiting, (int(self.env.now), 0 if way == UP else 1, turn))
        self._arbitrate_last()
        yield turn
        yield self.env.timeout(service_ps)
        self.is_busy = False
        self._arbitrate_last()

    def _arbitrate_last(self) -> None:
        decision = self.env.event()
        decision.callbacks.append(self._give_turn)
        decision._ok, decision._value = True, None
        self.env.schedule(decision, priority=_AFTER_ALL_OTHERS)  # type: ignore[arg-type]

    def _give_turn(self, _: simpy.Event) -> None:
        if self.waiting and not self.is_busy:
            self.is_busy = True
            heappop(self.waiting)[2].succeed()


class _Slots:
    """A buffer's slots, as its senders see them: item `i` may come once item `i - n_slots` is gone, and a flight over.

    It waits for that very item, not for any: two lanes that share a buffer must not take each other's slots.
    """

    def __init__(self, env: simpy.Environment, n_slots: int, latency_ps: int) -> None:
        self.env = env
        self.n_slots = n_slots
        self.latency_ps = latency_ps
        self.is_free: defaultdict[int, simpy.Event] = defaultdict(env.event)  # by the item that it is free for
        for index in range(n_slots):
            self.is_free[index].succeed()

    def take(self, index: int) -> simpy.Event:
        return self.is_free[index]

    def leave(self, index: int) -> None:
        self.env.process(self._fly_back(index))

    def _fly_back(self, index: int) -> Process:
        yield self.env.timeout(self.latency_ps)
        self.is_free[index + self.n_slots].succeed()


class _Tile(NamedTuple):
    step: int
    microbatch: int
    of_pass: int
    place: int


class _Stream:
    """The tiles of the passes for which `chosen`, (n_passes,), is not 0, in order, and each one's index among them."""

    def __init__(self, program: Program, chosen: IntArray) -> None:
        self.program = program
        self.places = places(chosen).tolist()
        self.passes = [of_pass for of_pass, place in enumerate(self.places) if place >= 0]

    def __contains__(self, tile: _Tile) -> bool:
        return bool(self.places[tile.of_pass] >= 0)

    def __iter__(self) -> Iterator[tuple[int, _Tile]]:
        p = self.program
        return enumerate(
            _Tile(step, microbatch, of_pass, place)
            for step in range(p.n_steps)
            for microbatch in range(p.n_microbatches)
            for of_pass in self.passes
            for place in range(p.n_tiles)
        )

    def lane(self, lane: int, n_lanes: int) -> Iterator[tuple[int, _Tile]]:
        """The tiles that take `lane` of `n_lanes`."""
        return ((index, tile) for index, tile in self if index % n_lanes == lane)

    def index(self, tile: _Tile) -> int:
        p = self.program
        passes_before = (tile.step * p.n_microbatches + tile.microbatch) * len(self.passes) + self.places[tile.of_pass]
        return int(passes_before * p.n_tiles + tile.place)


class _Reference:
    def __init__(self, program: Program) -> None:
        p = self.program = program
        env = self.env = simpy.Environment()
        self.finish = Finish.empty(p)
        self.tiles, self.weights, self.gradients, self.drains = (
            _Stream(p, chosen) for chosen in (p.compute_ps[0], p.has_weights, p.has_gradient, p.drain_ps)
        )
        self.feeds = [_Stream(p, feed_ps) for feed_ps in p.feed_ps]
        self.latency_ps = [int(p.latency_ps[c]) for c in p.edge_class]
        self.n_lanes = [p.n_lanes] + [1] * (p.n_edges - 1)
        self.wires = [[_Wire(env, p.is_half_duplex) for _ in range(n)] for n in self.n_lanes]
        self.children: list[list[int]] = [[] for _ in range(p.n_nodes)]
        for edge, parent in enumerate([*p.node_parent, *p.leaf_parent]):
            if edge > 0:
                self.children[int(parent)].append(edge)
        self.updated = [env.event() for _ in self.finish.update]
        self.drained = [[env.event() for _ in row] for row in self.finish.drain]
        self._make_stores()
        self._make_slots()

    def _make_stores(self) -> None:
        def stores(n: int) -> list[simpy.Store]:
            return [simpy.Store(self.env) for _ in range(n)]

        p = self.program
        # By edge and lane: what has arrived at the lower end, at the upper end, and gradients ready to go up.
        self.arrived_below, self.arrived_above, self.ready = ([stores(n) for n in self.n_lanes] for _ in range(3))
        self.brought = [stores(p.n_leaves) for _ in range(p.n_feeds)]
        self.to_drain = stores(p.n_leaves)

    def _make_slots(self) -> None:
        def slots(n_slots: int, latency_ps: int = 0) -> _Slots:
            return _Slots(self.env, n_slots, latency_ps)

        p = self.program
        below = [p.node_slots] * p.n_nodes + [p.leaf_slots] * p.n_leaves
        self.down_slots = [slots(n, latency_ps) for n, latency_ps in zip(below, self.latency_ps, strict=True)]
        self.up_slots = [slots(p.up_slots, latency_ps) for latency_ps in self.latency_ps]
        # Gradients that an edge's lower end holds.
        self.out_slots = [slots(n) for n in [p.reduce_slots] * p.n_nodes + [p.gradient_slots] * p.n_leaves]
        self.feed_slots = [[slots(int(n)) for _ in range(p.n_leaves)] for n in p.feed_slots]
        self.drain_slots = [slots(p.drain_slots) for _ in range(p.n_leaves)]

    def run(self) -> Finish:
        p = self.program
        for lane in range(p.n_lanes):
            self.env.process(self.source(lane))
            self.env.process(self.sink(lane))
        for node in range(p.n_nodes):
            self.env.process(self.broadcast(node))
            self.env.process(self.reduce(node))
        for edge in range(p.n_edges):
            for lane in range(self.n_lanes[edge]):
                self.env.process(self.up(edge, lane))
        for leaf in range(p.n_leaves):
            self.env.process(self.leaf(leaf))
            self.env.process(self.drain(leaf))
            for feed in range(p.n_feeds):
                self.env.process(self.feed(feed, leaf))
        self.env.run()
        return replace(self.finish, n_events=p.n_tasks)

    # ---- down the tree -----------------------------------------------------------------------------------------------

    def source(self, lane: int) -> Process:
        p = self.program
        for index, tile in self.weights.lane(lane, p.n_lanes):
            waited = int(p.waits_for[tile.of_pass])
            if waited >= 0 and tile.step > 0:
                before = _Tile(tile.step - 1, p.n_microbatches - 1, waited, tile.place)
                yield self.updated[self.gradients.index(before)]
            yield from self.send_down(0, lane, index, tile)

    def broadcast(self, node: int) -> Process:
        """Hand every tile to each child edge; the slot is free when the last child edge has sent it."""
        inboxes = [simpy.Store(self.env) for _ in self.children[node]]
        n_left = [len(inboxes)] * self.finish.down.shape[1]
        for child, inbox in zip(self.children[node], inboxes, strict=True):
            self.env.process(self.child_edge(node, child, inbox, n_left))
        for index, _ in self.weights:
            yield self.arrived_below[node][index % self.n_lanes[node]].get()
            for inbox in inboxes:
                yield inbox.put(None)

    def child_edge(self, node: int, edge: int, inbox: simpy.Store, n_left: list[int]) -> Process:
        for index, tile in self.weights:
            yield inbox.get()
            yield from self.send_down(edge, 0, index, tile)
            n_left[index] -= 1
            if n_left[index] == 0:
                self.down_slots[node].leave(index)

    def send_down(self, edge: int, lane: int, index: int, tile: _Tile) -> Process:
        p = self.program
        yield self.down_slots[edge].take(index)
        yield from self.wires[edge][lane].carry(DOWN, int(p.down_ps[p.edge_class[edge], tile.of_pass]))
        self.finish.down[edge, index] = self.env.now
        self.env.process(self.fly(self.arrived_below[edge][lane], self.latency_ps[edge]))

    def fly(self, store: simpy.Store, latency_ps: int) -> Process:
        yield self.env.timeout(latency_ps)
        yield store.put(None)

    # ---- at a leaf ---------------------------------------------------------------------------------------------------

    def feed(self, feed: int, leaf: int) -> Process:
        p = self.program
        for index, tile in self.feeds[feed]:
            yield self.feed_slots[feed][leaf].take(index)
            after = int(p.feed_after[feed, tile.of_pass])
            if after >= 0:
                yield self.drained[leaf][self.drains.index(tile._replace(of_pass=after))]
            yield self.env.timeout(int(p.feed_ps[feed, tile.of_pass]))
            self.finish.feed[feed][leaf, index] = self.env.now
            yield self.brought[feed][leaf].put(None)

    def leaf(self, leaf: int) -> Process:
        ended_ps = [0] * self.program.n_passes  # when the last tile of each pass, as far as they have come, was served
        for index, tile in self.tiles:
            yield from self.gather(leaf, tile, ended_ps)
            yield self.env.timeout(self.service_ps(leaf, tile))
            self.finish.compute[leaf, index] = ended_ps[tile.of_pass] = int(self.env.now)
            yield from self.hand_on(leaf, tile)

    def gather(self, leaf: int, tile: _Tile, ended_ps: list[int]) -> Process:
        """Wait for all that the service of `tile` needs, and for room for what it gives."""
        p = self.program
        edge = p.n_nodes + leaf
        if tile in self.weights:
            yield self.arrived_below[edge][0].get()
        for brought, stream in zip(self.brought, self.feeds, strict=True):
            if tile in stream:
                yield brought[leaf].get()
        if tile in self.gradients:
            yield self.out_slots[edge].take(self.gradients.index(tile))
        if tile in self.drains:
            yield self.drain_slots[leaf].take(self.drains.index(tile))
        followed = int(p.follows[tile.of_pass])
        if tile.place == 0 and followed >= 0:
            yield self.env.timeout(max(0, ended_ps[followed] + int(p.lag_ps[tile.of_pass]) - int(self.env.now)))

    def service_ps(self, leaf: int, tile: _Tile) -> int:
        p = self.program
        service_ps = int(p.compute_ps[leaf, tile.of_pass])
        if tile.place == 0 and p.jitter_ps.shape[1]:
            passes_before = (tile.step * p.n_microbatches + tile.microbatch) * p.n_passes + tile.of_pass
            service_ps += int(p.jitter_ps[leaf, passes_before])
        return service_ps

    def hand_on(self, leaf: int, tile: _Tile) -> Process:
        """Free the slots that `tile` held until it was served, and pass on what it gives."""
        edge = self.program.n_nodes + leaf
        if tile in self.weights:
            self.down_slots[edge].leave(self.weights.index(tile))
        for slots, stream in zip(self.feed_slots, self.feeds, strict=True):
            if tile in stream:
                slots[leaf].leave(stream.index(tile))
        if tile in self.gradients:
            yield self.ready[edge][0].put(None)
        if tile in self.drains:
            yield self.to_drain[leaf].put(None)

    def drain(self, leaf: int) -> Process:
        for index, tile in self.drains:
            yield self.to_drain[leaf].get()
            yield self.env.timeout(int(self.program.drain_ps[tile.of_pass]))
            self.finish.drain[leaf, index] = self.env.now
            self.drain_slots[leaf].leave(index)
            self.drained[leaf][index].succeed()

    # ---- up the tree -------------------------------------------------------------------------------------------------

    def up(self, edge: int, lane: int) -> Process:
        p = self.program
        for index, tile in self.gradients.lane(lane, self.n_lanes[edge]):
            yield self.ready[edge][lane].get()
            yield self.up_slots[edge].take(index)
            yield from self.wires[edge][lane].carry(UP, int(p.up_ps[p.edge_class[edge], tile.of_pass]))
            self.finish.up[edge, index] = self.env.now
            self.out_slots[edge].leave(index)
            self.env.process(self.fly(self.arrived_above[edge][lane], self.latency_ps[edge]))

    def reduce(self, node: int) -> Process:
        for index, tile in self.gradients:
            for edge in self.children[node]:
                yield self.arrived_above[edge][0].get()
            yield self.out_slots[node].take(index)
            yield self.env.timeout(int(self.program.reduce_ps[tile.of_pass]))
            self.finish.reduce[node, index] = self.env.now
            for edge in self.children[node]:
                self.up_slots[edge].leave(index)
            yield self.ready[node][index % self.n_lanes[node]].put(None)

    def sink(self, lane: int) -> Process:
        p = self.program
        for index, tile in self.gradients.lane(lane, p.n_lanes):
            yield self.arrived_above[0][lane].get()
            is_last = tile.microbatch == p.n_microbatches - 1
            yield self.env.timeout(int(p.update_ps[tile.of_pass] if is_last else p.accumulate_ps[tile.of_pass]))
            self.finish.update[index] = self.env.now
            self.up_slots[0].leave(index)
            self.updated[index].succeed()
