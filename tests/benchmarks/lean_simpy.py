"""The rules in SimPy written for speed: the yardstick that the compiled engines are held against, not an engine.

No process stands for a message or a server. A task starts when a counter of what it still waits for comes to 0; what it
enables is counted down by callbacks, at once or by one Timeout for a whole flight. Everything that the rules say is a
*link*: "item `i` of this server, `delay` after its end, is one thing fewer for item `map[i]` of that server to wait
for", the order within a server included.
"""

from collections import defaultdict
from dataclasses import replace
from heapq import heappop, heappush

import numpy as np
import simpy
from simpy.events import Timeout

from wse_sim.engine.result import Finish
from wse_sim.schedule.program import IntArray, Program

_AFTER_ALL_OTHERS = 2  # priority of arbitration among the events of one instant


def run_lean_simpy(program: Program) -> Finish:
    """Finish times of every task, as `wse_sim.engine.reference.run_reference` gives them."""
    return _Lean(program).run()


class _Outlet:
    """The links of a server that have the same delay: one Timeout serves them all."""

    def __init__(self, env: simpy.Environment, delay_ps: int) -> None:
        self.env = env
        self.delay_ps = delay_ps
        self.links: list[tuple[list[int], _Server]] = []

    def prepare(self) -> None:
        self.targets = [(server.missing, target, server.start) for target, server in self.links]
        self.has_target = [max(targets) >= 0 for targets in zip(*(target for target, _ in self.links), strict=True)]
        self.callback = self.arrive
        self.send = self.fly if self.delay_ps else self.deliver

    def fly(self, item: int) -> None:
        if self.has_target[item]:
            Timeout(self.env, self.delay_ps, item).callbacks.append(self.callback)

    def arrive(self, event: Timeout) -> None:
        self.deliver(event._value)

    def deliver(self, item: int) -> None:
        for missing, target, start in self.targets:
            to = target[item]
            if to >= 0:
                missing[to] -= 1
                if not missing[to]:
                    start(to)


class _Server:
    """Items, how long each takes, and how many things each still waits for; without services it only joins."""

    def __init__(self, env: simpy.Environment, finish: IntArray, service_ps: IntArray | None) -> None:
        self.env = env
        self.finish = finish
        self.service_ps = [] if service_ps is None else service_ps.tolist()
        self.ends_ps = [0] * len(finish)
        self.missing = [0] * len(finish)
        self.outlets: dict[int, _Outlet] = {}
        self.callback = self.complete
        self.start = self.pass_on if service_ps is None else self.serve

    def prepare(self) -> list[int]:
        """The items that wait for nothing; to be called once all links are made."""
        for outlet in self.outlets.values():
            outlet.prepare()
        self.sends = [outlet.send for outlet in self.outlets.values()]
        return [item for item, missing in enumerate(self.missing) if not missing]

    def serve(self, item: int) -> None:
        Timeout(self.env, self.service_ps[item], item).callbacks.append(self.callback)

    def complete(self, event: Timeout) -> None:
        item = event._value
        self.ends_ps[item] = self.env._now
        self.pass_on(item)

    def pass_on(self, item: int) -> None:
        for send in self.sends:
            send(item)


class _Wires:
    """The lanes of a half-duplex edge: its two servers hand their items in here, and start in their turn."""

    def __init__(self, env: simpy.Environment, n_lanes: int, down: _Server, up: _Server) -> None:
        self.env = env
        self.waiting: list[list[tuple[int, int, int]]] = [[] for _ in range(n_lanes)]
        self.is_busy = [False] * n_lanes
        self.ways = (up, down)  # gradients first
        for way, server in enumerate(self.ways):
            server.start = lambda item, way=way: self.offer(way, item)
            server.callback = lambda event, server=server: self.complete(server, event)

    def offer(self, way: int, item: int) -> None:
        lane = item % len(self.waiting)
        heappush(self.waiting[lane], (self.env._now, way, item))
        self.arbitrate_last(lane)

    def complete(self, server: _Server, event: Timeout) -> None:
        lane = event._value % len(self.waiting)
        self.is_busy[lane] = False
        server.complete(event)
        self.arbitrate_last(lane)

    def arbitrate_last(self, lane: int) -> None:
        decision = self.env.event()
        decision.callbacks.append(self.arbitrate)
        decision._ok, decision._value = True, lane
        self.env.schedule(decision, priority=_AFTER_ALL_OTHERS)  # type: ignore[arg-type]

    def arbitrate(self, event: simpy.Event) -> None:
        lane = event._value
        if self.waiting[lane] and not self.is_busy[lane]:
            self.is_busy[lane] = True
            _, way, item = heappop(self.waiting[lane])
            self.ways[way].serve(item)


class _Stream:
    """The tiles of the passes for which `chosen` is not 0: each one's pass, tile number, and item number by tile."""

    def __init__(self, program: Program, chosen: IntArray) -> None:
        p = program
        of_pass = np.tile(np.repeat(np.arange(p.n_passes), p.n_tiles), p.n_steps * p.n_microbatches)
        self.tile = np.flatnonzero(chosen[of_pass])
        self.of_pass = of_pass[self.tile]
        self.items = np.arange(len(self.tile))
        self.of_tile = np.full(len(of_pass), -1)
        self.of_tile[self.tile] = self.items


class _Lean:
    def __init__(self, program: Program) -> None:
        p = self.program = program
        self.env = simpy.Environment()
        self.finish = Finish.empty(p)
        self.servers: list[_Server] = []
        self.maps: dict[bytes, list[int]] = {}  # servers that are alike share their maps
        self.tiles, self.weights, self.gradients, self.drains = (
            _Stream(p, chosen) for chosen in (p.compute_ps[0], p.has_weights, p.has_gradient, p.drain_ps)
        )
        self.feeds = [_Stream(p, feed_ps) for feed_ps in p.feed_ps]
        self.latency_ps = p.latency_ps[p.edge_class]
        self.upper = np.append(p.node_parent, p.leaf_parent)
        self.make_servers()
        self.link_tree()
        for leaf in range(p.n_leaves):
            self.link_leaf(leaf)

    def run(self) -> Finish:
        opening = [(server, server.prepare()) for server in self.servers]
        for server, items in opening:
            for item in items:
                server.start(item)
        self.env.run()
        for server in self.servers:
            server.finish[:] = server.ends_ps
        return replace(self.finish, n_events=self.program.n_tasks)

    def server(self, finish: IntArray, service_ps: IntArray | None, n_lanes: int = 1) -> _Server:
        """One server, or `n_lanes` over which the items are dealt: each item waits for the one before in its lane."""
        server = _Server(self.env, finish, service_ps)
        self.servers.append(server)
        if n_lanes:
            self.link_shifted(server, server, n_lanes)
        return server

    def make_servers(self) -> None:
        p, f = self.program, self.finish
        w, g = self.weights.of_pass, self.gradients.of_pass
        lanes = [p.n_lanes] + [1] * (p.n_edges - 1)
        classes = p.edge_class
        self.down = [self.server(f.down[e], p.down_ps[classes[e]][w], lanes[e]) for e in range(p.n_edges)]
        self.up = [self.server(f.up[e], p.up_ps[classes[e]][g], lanes[e]) for e in range(p.n_edges)]
        self.gone = [self.server(np.zeros(len(w), np.int64), None, 0) for _ in range(p.n_nodes)]
        self.reduce = [self.server(f.reduce[n], p.reduce_ps[g]) for n in range(p.n_nodes)]
        is_last = self.gradients.tile // (p.n_passes * p.n_tiles) % p.n_microbatches == p.n_microbatches - 1
        self.update = self.server(f.update, np.where(is_last, p.update_ps[g], p.accumulate_ps[g]), p.n_lanes)
        if p.is_half_duplex:
            for e in range(p.n_edges):
                _Wires(self.env, lanes[e], self.down[e], self.up[e])

    def link(self, source: _Server, to: _Server, items: IntArray, targets: IntArray, delay_ps: int = 0) -> None:
        """Item `items[k]` of `source` is one thing that item `targets[k]` of `to` waits for."""
        while len(items):  # a source item has one target in each round
            outlet = source.outlets.setdefault(delay_ps, _Outlet(self.env, delay_ps))
            _, first = np.unique(items, return_index=True)
            target = np.full(len(source.finish), -1)
            target[items[first]] = targets[first]
            key = target.tobytes()
            if key not in self.maps:
                self.maps[key] = target.tolist()
            outlet.links.append((self.maps[key], to))
            for item in targets[first].tolist():
                to.missing[item] += 1
            items, targets = np.delete(items, first), np.delete(targets, first)

    def link_shifted(self, source: _Server, to: _Server, shift: int, delay_ps: int = 0) -> None:
        """Item `i` of `to` waits for item `i - shift` of `source`."""
        items = np.arange(len(to.finish) - shift)
        self.link(source, to, items, items + shift, delay_ps)

    def link_tree(self) -> None:
        p = self.program
        for edge in range(p.n_edges):
            upper, latency_ps = int(self.upper[edge]), int(self.latency_ps[edge])
            if edge < p.n_nodes:
                self.link_shifted(self.gone[edge], self.down[edge], p.node_slots, latency_ps)
                self.link_shifted(self.reduce[edge], self.up[edge], 0)
                self.link_shifted(self.up[edge], self.reduce[edge], p.reduce_slots)
            if edge > 0:
                self.link_shifted(self.down[upper], self.down[edge], 0, int(self.latency_ps[upper]))
                self.link_shifted(self.down[edge], self.gone[upper], 0)
            above = self.reduce[upper] if edge > 0 else self.update
            self.link_shifted(self.up[edge], above, 0, latency_ps)
            self.link_shifted(above, self.up[edge], p.up_slots, latency_ps)
        self.link_updates()

    def link_updates(self) -> None:
        """Weights wait for the update of the last micro-batch of the step before."""
        p, w = self.program, self.weights
        per_pass, per_step = p.n_tiles, p.tiles_per_step
        waited = p.waits_for[w.of_pass]
        before = (w.tile // per_step) * per_step - p.n_passes * per_pass + waited * per_pass + w.tile % per_pass
        waits = np.flatnonzero((waited >= 0) & (before >= 0))
        self.link(self.update, self.down[0], self.gradients.of_tile[before[waits]], waits)

    def link_leaf(self, leaf: int) -> None:
        p, tiles, edge = self.program, self.tiles, self.program.n_nodes + leaf
        service_ps = p.compute_ps[leaf][tiles.of_pass]
        if p.jitter_ps.shape[1]:
            service_ps[:: p.n_tiles] += p.jitter_ps[leaf]
        compute = self.server(self.finish.compute[leaf], service_ps)
        drain = self.server(self.finish.drain[leaf], p.drain_ps[self.drains.of_pass])
        self.link(self.down[edge], compute, self.weights.items, self.weights.tile, int(self.latency_ps[edge]))
        self.hold(compute, self.down[edge], self.weights, p.leaf_slots, int(self.latency_ps[edge]))
        self.link(compute, self.up[edge], self.gradients.tile, self.gradients.items)
        self.release(self.up[edge], compute, self.gradients, p.gradient_slots)
        self.link(compute, drain, self.drains.tile, self.drains.items)
        self.release(drain, compute, self.drains, p.drain_slots)
        for feed, stream in enumerate(self.feeds):
            server = self.server(self.finish.feed[feed][leaf], p.feed_ps[feed][stream.of_pass])
            self.link(server, compute, stream.items, stream.tile)
            self.hold(compute, server, stream, int(p.feed_slots[feed]))
            after = p.feed_after[feed][stream.of_pass]
            earlier = stream.tile + (after - stream.of_pass) * p.n_tiles
            brings = np.flatnonzero(after >= 0)
            self.link(drain, server, self.drains.of_tile[earlier[brings]], brings)
        self.link_lags(compute)

    def hold(self, compute: _Server, to: _Server, stream: _Stream, n_slots: int, delay_ps: int = 0) -> None:
        """Item `i` of `to` waits until the tile of item `i - n_slots` is served."""
        self.link(compute, to, stream.tile[:-n_slots], stream.items[n_slots:], delay_ps)

    def release(self, source: _Server, compute: _Server, stream: _Stream, n_slots: int) -> None:
        """The tile of item `i` waits until item `i - n_slots` has left `source`."""
        self.link(source, compute, stream.items[:-n_slots], stream.tile[n_slots:])

    def link_lags(self, compute: _Server) -> None:
        """The first tile of a pass waits for the lag after the last tile of the pass that it follows."""
        p = self.program
        by_lag: dict[int, list[int]] = defaultdict(list)
        for of_pass in np.flatnonzero(p.follows >= 0).tolist():
            by_lag[int(p.lag_ps[of_pass])].append(of_pass)
        opening = np.arange(0, len(compute.finish), p.n_passes * p.n_tiles)
        for lag_ps, passes in by_lag.items():
            last = [opening + (int(p.follows[i]) + 1) * p.n_tiles - 1 for i in passes]
            first = [opening + i * p.n_tiles for i in passes]
            self.link(compute, compute, np.concatenate(last), np.concatenate(first), lag_ps)
