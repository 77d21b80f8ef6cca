"""The SimPy reference: `rules` as processes, one for each server; readable, slow, the oracle of the other engines."""

from collections.abc import Generator
from heapq import heappop, heappush
from typing import Any

import simpy

from wse_sim.engine.result import Finish
from wse_sim.engine.rules import DOWN, UP
from wse_sim.schedule.program import Program

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


class _Edge:
    """One edge: its two ways free of each other, or contending for one wire."""

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
    """A buffer's free slots, as its sender sees them: each comes back `latency_ps` after it was left."""

    def __init__(self, env: simpy.Environment, n_slots: int, latency_ps: int) -> None:
        self.env = env
        self.latency_ps = latency_ps
        self.credits = simpy.Container(env, init=n_slots)

    def take(self) -> simpy.Event:
        return self.credits.get(1)

    def leave(self) -> None:
        self.env.process(self._fly_back())

    def _fly_back(self) -> Process:
        if self.latency_ps:
            yield self.env.timeout(self.latency_ps)
        yield self.credits.put(1)


class _Reference:
    def __init__(self, program: Program) -> None:
        p = self.program = program
        env = self.env = simpy.Environment()
        self.finish = Finish.empty(p)
        self.latency = [int(p.latency_ps[c]) for c in p.edge_class]
        self.edges = [_Edge(env, p.is_half_duplex) for _ in range(p.n_edges)]
        # A store holds what has arrived at the lower end (tiles) or at the upper end (gradients) of an edge.
        self.tiles = [simpy.Store(env) for _ in range(p.n_edges)]
        self.gradients = [simpy.Store(env) for _ in range(p.n_edges)]
        self.served = [simpy.Store(env) for _ in range(p.n_edges)]  # gradients ready to leave the edge's lower end
        self.down_slots = [
            _Slots(env, p.node_slots if e < p.n_nodes else p.leaf_slots, self.latency[e]) for e in range(p.n_edges)
        ]
        self.up_slots = [_Slots(env, p.up_slots, self.latency[e]) for e in range(p.n_edges)]
        self.leaf_out = [_Slots(env, p.gradient_slots, 0) for _ in range(p.n_leaves)]
        self.node_out = [_Slots(env, p.reduce_slots, 0) for _ in range(p.n_nodes)]
        self.updated = [env.event() for _ in range(p.n_steps * p.gradients_per_step)]
        self.children: list[list[int]] = [[] for _ in range(p.n_nodes)]
        for node in range(1, p.n_nodes):
            self.children[int(p.node_parent[node])].append(node)
        for leaf in range(p.n_leaves):
            self.children[int(p.leaf_parent[leaf])].append(p.n_nodes + leaf)
        self.gradient_index = p.gradient_index()

    def run(self) -> Finish:
        p = self.program
        self.env.process(self.source())
        for node in range(p.n_nodes):
            self.env.process(self.broadcast(node))
            self.env.process(self.reduce(node))
        for leaf in range(p.n_leaves):
            self.env.process(self.leaf(leaf))
        for edge in range(p.n_edges):
            self.env.process(self.up(edge))
        self.env.process(self.sink())
        self.env.run()
        return Finish(
            **{name: getattr(self.finish, name) for name in ("down", "compute", "up", "reduce", "update")},
            n_events=p.n_tasks,
        )

    def stream(self) -> Generator[tuple[int, int, int, int, int]]:
        """Every tile as (index, step, micro-batch, pass, tile of the pass)."""
        p = self.program
        index = 0
        for step in range(p.n_steps):
            for microbatch in range(p.n_microbatches):
                for pass_ in range(p.n_passes):
                    for tile in range(p.n_tiles):
                        yield index, step, microbatch, pass_, tile
                        index += 1

    def gradient_stream(self) -> Generator[tuple[int, int, int]]:
        """Every gradient tile as (index, micro-batch, pass)."""
        with_gradient = [item for item in self.stream() if self.program.has_gradient[item[3]]]
        for index, (_, _, microbatch, pass_, _) in enumerate(with_gradient):
            yield index, microbatch, pass_

    def send_down(self, edge: int, index: int, pass_: int) -> Process:
        p = self.program
        yield self.down_slots[edge].take()
        yield from self.edges[edge].carry(DOWN, int(p.down_ps[p.edge_class[edge], pass_]))
        self.finish.down[edge, index] = self.env.now
        self.env.process(self.fly(self.tiles[edge], self.latency[edge]))

    def fly(self, store: simpy.Store, latency_ps: int) -> Process:
        yield self.env.timeout(latency_ps)
        yield store.put(None)

    def source(self) -> Process:
        p = self.program
        for index, step, _, pass_, tile in self.stream():
            waited = int(p.waits_for[pass_])
            if waited >= 0 and step > 0:
                # The update of the last micro-batch of the step before.
                passes_before = step * p.n_microbatches * p.n_gradient_passes - p.n_gradient_passes
                place = passes_before + int(self.gradient_index[waited])
                yield self.updated[place * p.n_tiles + tile]
            yield from self.send_down(0, index, pass_)

    def broadcast(self, node: int) -> Process:
        """Hand every tile to each child edge; the slot is free when the last child edge has sent it."""
        inboxes = [simpy.Store(self.env) for _ in self.children[node]]
        n_left = [len(inboxes)] * (self.program.n_steps * self.program.tiles_per_step)
        for child, inbox in zip(self.children[node], inboxes, strict=True):
            self.env.process(self.child_edge(node, child, inbox, n_left))
        for _ in self.stream():
            yield self.tiles[node].get()
            for inbox in inboxes:
                yield inbox.put(None)

    def child_edge(self, node: int, edge: int, inbox: simpy.Store, n_left: list[int]) -> Process:
        for index, _, _, pass_, _ in self.stream():
            yield inbox.get()
            yield from self.send_down(edge, index, pass_)
            n_left[index] -= 1
            if n_left[index] == 0:
                self.down_slots[node].leave()

    def leaf(self, leaf: int) -> Process:
        p = self.program
        edge = p.n_nodes + leaf
        for index, _, _, pass_, tile in self.stream():
            yield self.tiles[edge].get()
            if p.has_gradient[pass_]:
                yield self.leaf_out[leaf].take()
            overhead_ps = int(p.overhead_ps[pass_]) if tile == 0 else 0
            yield self.env.timeout(int(p.compute_ps[leaf, pass_]) + overhead_ps)
            self.finish.compute[leaf, index] = self.env.now
            self.down_slots[edge].leave()
            if p.has_gradient[pass_]:
                yield self.served[edge].put(None)

    def up(self, edge: int) -> Process:
        p = self.program
        out = self.node_out[edge] if edge < p.n_nodes else self.leaf_out[edge - p.n_nodes]
        for index, _, pass_ in self.gradient_stream():
            yield self.served[edge].get()
            yield self.up_slots[edge].take()
            yield from self.edges[edge].carry(UP, int(p.up_ps[p.edge_class[edge], pass_]))
            self.finish.up[edge, index] = self.env.now
            out.leave()
            self.env.process(self.fly(self.gradients[edge], self.latency[edge]))

    def reduce(self, node: int) -> Process:
        for index, _, pass_ in self.gradient_stream():
            for edge in self.children[node]:
                yield self.gradients[edge].get()
            yield self.node_out[node].take()
            yield self.env.timeout(int(self.program.reduce_ps[pass_]))
            self.finish.reduce[node, index] = self.env.now
            for edge in self.children[node]:
                self.up_slots[edge].leave()
            yield self.served[node].put(None)

    def sink(self) -> Process:
        p = self.program
        for index, microbatch, pass_ in self.gradient_stream():
            yield self.gradients[0].get()
            is_last = microbatch == p.n_microbatches - 1
            yield self.env.timeout(int(p.update_ps[pass_] if is_last else p.accumulate_ps[pass_]))
            self.finish.update[index] = self.env.now
            self.up_slots[0].leave()
            self.updated[index].succeed()
