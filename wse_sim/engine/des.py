"""The look-ahead discrete-event engine: one event for each task, in compiled code.

A server's next task is scheduled as soon as all that it waits for is *known*, even where that lies in the future (a
tile in flight, a credit on its way back). So arrivals and credits are no events, and the queue holds at most one
completion per server. Only half-duplex wires add a second kind of event, the arbitration at the instant at which a head
is ready.

What a task waits for lies in rings, one instant for each of the next tasks; an instant not known yet is `_NEVER`. A
task starts at the latest of its instants, and takes them out of their rings. A ring is never shorter than the slots
that bound how far its writer may be ahead, so memory does not grow with the number of steps:

- the instant for task `i + n` of a ring of size `n` is neither known nor asked for before task `i` has started. For
  a server with one lane `n` is the slots of the buffer in question: a credit comes back from there first;
- lanes share their rings, and one may be ahead of another: by as many tiles as there are lanes and slots between
  them (`node_slots` downwards, `reduce_slots` upwards, and `up_slots` more at the sink);
- update times of one step and the next lie side by side: no tile of step s + 2 is served before all of step s + 1 are
  sent, which is when the updates of step s are not asked for any more;
- drained times of one micro-batch are kept where a feed brings them back: no tile of the next is served before.

All kernels stand in this one file: numba's cache does not notice a change in a function of another file.
They share three int64 memories: `M`, a head, one record per server, tables and rings; `H`, the event heap; `F`, the
finish times, where they are recorded.
"""

from typing import Any

import numpy as np
from numba import njit

from wse_sim.engine.pointers import pointer, prefetch
from wse_sim.engine.result import Finish, blocks
from wse_sim.engine.rules import ARBITRATE, COMPUTE, DOWN, DRAIN, FEED, REDUCE, UP, UPDATE
from wse_sim.errors import SpecError
from wse_sim.schedule.program import IntArray, Program, places
from wse_sim.units import to_s

# An event is one integer, (time - base) << 20 | server. Servers are numbered by (kind, entity), the order of `rules`.
_SHIFT = 20
_REBASE_PS = 1 << 41  # the keys are moved back when they have come this far, so that total time is unlimited
LONGEST_SERVICE_PS = 1 << 41
MOST_SERVERS = 1 << _SHIFT
_NO_KEY = (1 << 63) - 1
_NEVER = 1 << 62  # later than every instant; a latency added to it does not overflow
_NOTHING = -(1 << 62)

# Head of M: the clock, the heap, sizes, the places of tables.
(NOW, BASE, HEAP_SIZE, IS_HOLE, N_EVENTS, WENT_BACK, IS_RECORDING, IS_HALF_DUPLEX) = range(8)
(N_LANES, N_LEAVES, N_FEEDS, N_MICROBATCHES, N_PASSES, N_TILES, N_DOWN, N_COMPUTE) = range(8, 16)
(NODE_SLOTS, LEAF_SLOTS, UP_SLOTS, DRAIN_SLOTS, N_GRADIENT_PASSES, N_DRAIN_PASSES) = range(16, 22)
(HAS, FOLLOWS, LAG_PS, WAITS_FOR, GRADIENT_PLACE, DRAIN_PLACE) = range(22, 28)
(UPDATE_PS, ACCUMULATE_PS, UPDATED, STEP_ENDS, LEAVES, SINKS) = range(28, 34)

_RECORD_BITS = 5
_RECORD = 1 << _RECORD_BITS
_HEAD = 2 * _RECORD
_FIRST = _HEAD >> _RECORD_BITS  # number of the first server
_CACHE_LINE = 8  # int64 numbers

# A server: when it is free (never, while it is at work), its next task, what that waits for, where it stands.
(FREE_AT, NEXT, IN, IN_MASK, ROOM, ROOM_MASK, SERVICE, LEFT) = range(8)
(STRIDE, TRACE, KIND, PASS, ROUND, TILES, SERVICES, FOLLOWING) = range(8, 16)
_OWN = 16
# Either way of a wire. IN: tiles, or gradients, that are there; ROOM: slots at the other end.
(LATENCY, WIRE, READY, ABOVE, BELOW, IS_AT_LEAF) = range(_OWN, _OWN + 6)
(SINK, WAITED, UPDATED_AT) = range(_OWN + 6, _OWN + 9)  # the source's lanes
(HOLD, HOLD_MASK, HOLD_SLOTS) = range(_OWN + 9, _OWN + 12)  # upwards: the lower end's room for gradients
# A node. IN: gradients that have arrived from every child; ROOM: for the sum.
(N_CHILDREN, CHILDREN_DOWN, CHILDREN_UP, GONE, GONE_MASK, LATEST, ARRIVED) = range(_OWN, _OWN + 7)
(DOWN_SERVER, UP_SERVER, N_WIRES_ABOVE) = range(_OWN + 7, _OWN + 10)
# A leaf. IN: weights that have arrived; ROOM: for gradients. DOWN_SERVER, UP_SERVER as for a node.
(N_TAKEN, N_GIVEN, N_LEFT, HAS_NOW, STEADY, ENDED, JITTER) = range(_OWN, _OWN + 7)
(DRAIN_ROOM, DRAIN_ROOM_MASK, DRAIN_SERVER, FEED_SERVERS) = range(_OWN + 10, _OWN + 14)
# A feed, a drain, a lane of the sink.
(LEAF, OUT, OUT_MASK, N_USED, IS_NEEDED, AFTER, AFTERS, N_ITEMS, SLOTS) = range(_OWN, _OWN + 9)
# A half-duplex wire.
(IS_BUSY, BUSY_UNTIL) = range(_OWN, _OWN + 2)

_HAS_WEIGHTS, _HAS_GRADIENT, _HAS_DRAIN = 1, 2, 4

_inline: Any = njit(error_model="numpy", forceinline=True, cache=True)
_call: Any = njit(error_model="numpy", cache=True)


def run_des(program: Program) -> Finish:
    """Finish times of every task, by the compiled engine.

    Raises
    ------
    SpecError
        When a single service is too long, or the tree too large, for the event key.
    RuntimeError
        When tasks are left that can never start: the program's credits are in deadlock.
    """
    times = np.empty(program.n_tasks, np.int64)
    memory = _run_checked(program, times)
    return Finish.of(program, times, int(memory[N_EVENTS]))


def des_step_ends_ps(program: Program) -> IntArray:
    """(n_steps,): the instant at which the last leaf has served the last tile of each step.

    Nothing else is kept: memory does not grow with the number of steps, but for 8 bytes each.

    Raises
    ------
    SpecError, RuntimeError
        As `run_des`.
    """
    memory = _run_checked(program, np.empty(0, np.int64))
    ends_at = int(memory[STEP_ENDS])
    return memory[ends_at : ends_at + program.n_steps].copy()


def _run_checked(p: Program, times: IntArray) -> IntArray:
    """Run the program; M as it then is. `times` : (n_tasks,) int64, filled; of length 0, nothing is recorded."""
    _check_key(p)
    memory = _memory(p)
    memory[IS_RECORDING] = len(times) > 0
    _run(memory, _heap(p), times)
    _check_conservation(p, memory)
    return memory


def _heap(p: Program) -> IntArray:
    """Room for a completion per server and three decisions per wire: one for each head, one when it is free."""
    n_events = _servers(p)[ARBITRATE].stop + 2 * (p.n_edges + p.n_lanes)
    return np.full(4 * n_events + 8, _NO_KEY)


def _check_key(p: Program) -> None:
    latency_ps = int(p.latency_ps.max())
    lag_ps = max(latency_ps, int(p.lag_ps.max()))
    longest_ps = max(
        latency_ps + int(max(p.down_ps.max(), p.up_ps.max(), p.reduce_ps.max(), p.update_ps.max())),
        lag_ps + int(p.compute_ps.max()) + int(p.jitter_ps.max(initial=0)),
        latency_ps + int(max(p.accumulate_ps.max(), p.drain_ps.max(), p.feed_ps.max(initial=0))),
    )
    if longest_ps >= LONGEST_SERVICE_PS:
        raise SpecError(
            f"one of {p.n_tiles} tiles of a layer takes {to_s(longest_ps):.3g} s, the event engine counts up to "
            f"{to_s(LONGEST_SERVICE_PS):.3g} s: use more tiles, or the engine max-plus or reference"
        )
    n_servers = 3 * (p.n_edges + p.n_lanes) + p.n_nodes + p.n_leaves * (2 + p.n_feeds)
    if n_servers + _FIRST >= MOST_SERVERS:
        raise SpecError(
            f"{n_servers} servers are more than the event engine's {MOST_SERVERS}: use the engine max-plus or reference"
        )


def _check_conservation(p: Program, memory: IntArray) -> None:
    """Everything sent was received, served, summed and updated; nothing is at work; the clock never went back."""
    servers = _servers(p)
    records = _records(memory, servers[ARBITRATE].stop)
    per_step = {DOWN: p.weights_per_step, COMPUTE: p.tiles_per_step, DRAIN: p.per_step(p.drain_ps)}
    for kind in (DOWN, COMPUTE, UP, REDUCE, UPDATE, DRAIN):
        of_kind = records[servers[kind]]
        n_done = of_kind[:, NEXT] // of_kind[:, STRIDE]
        n_tasks = p.n_steps * per_step.get(kind, p.gradients_per_step) // of_kind[:, STRIDE]
        _check_done(bool((n_done == n_tasks).all()))
    feeds = records[servers[FEED]]
    _check_done(bool((feeds[:, NEXT] == feeds[:, N_ITEMS]).all()))
    at_work = records[: servers[ARBITRATE].start, FREE_AT] == _NEVER
    if at_work.any() or memory[WENT_BACK] or memory[HEAP_SIZE]:
        raise AssertionError("the engine has lost count of its events")


def _check_done(is_done: bool) -> None:
    if not is_done:
        raise RuntimeError("the program cannot run to its end: its credits are in deadlock")


# ---- the program as flat memory --------------------------------------------------------------------------------------


def _servers(p: Program) -> dict[int, slice]:
    """Numbers of the servers of each kind, from 0, without gaps, in the order of `rules`."""
    n_wires = p.n_edges + p.n_lanes - 1
    counts = {DOWN: n_wires, COMPUTE: p.n_leaves, UP: n_wires, REDUCE: p.n_nodes, UPDATE: p.n_lanes}
    counts |= {FEED: p.n_leaves * p.n_feeds, DRAIN: p.n_leaves, ARBITRATE: n_wires}
    ends = np.cumsum(list(counts.values())).tolist()
    return {kind: slice(end - n, end) for (kind, n), end in zip(counts.items(), ends, strict=True)}


def _records(memory: IntArray, n_servers: int) -> IntArray:
    """(n_servers, _RECORD): the servers in M, to be read and written."""
    return memory[_HEAD : _HEAD + n_servers * _RECORD].reshape(n_servers, _RECORD)


class _Builder:
    """M while it is built: records of the servers, to be written in place, and tables and rings behind them."""

    def __init__(self, p: Program) -> None:
        self.p = p
        self.servers = _servers(p)
        self.records = np.zeros((self.servers[ARBITRATE].stop, _RECORD), np.int64)
        self.size = _HEAD + self.records.size
        self.pieces: list[IntArray] = []
        self.overtaken = p.n_lanes if p.n_lanes > 1 else 0
        # Of each wire, the lanes of edge 0 first: its edge, its lane, and how far apart its tiles stand in the stream.
        self.edge = np.append(np.zeros(p.n_lanes - 1, np.int64), np.arange(p.n_edges))
        self.lane = np.append(np.arange(p.n_lanes), np.zeros(p.n_edges - 1, np.int64))
        self.stride = np.where(self.edge == 0, p.n_lanes, 1)
        self.leaf_wires = np.arange(len(self.edge) - p.n_leaves, len(self.edge))

    def of(self, kind: int) -> IntArray:
        """The records of one kind."""
        return self.records[self.servers[kind]]

    def at(self, kind: int, number: Any) -> Any:
        """Where in M the record of the `number`-th server of a kind stands."""
        return _HEAD + (self.servers[kind].start + number) * _RECORD

    def place(self, table: Any) -> int:
        """Put a table into M; where it stands there, flat."""
        at, flat = self.size, np.asarray(table, np.int64).ravel()
        self.pieces.append(flat)
        self.size += flat.size
        return at

    def rows(self, table: IntArray) -> IntArray:
        """Put a table into M; where each of its rows stands there."""
        starts: IntArray = self.place(table) + table.shape[1] * np.arange(len(table))
        return starts

    def rings(self, n: int, n_slots: int, *, n_known: int = 0, filled_with: int = _NEVER) -> tuple[IntArray, int]:
        """Places of `n` rings of at least `n_slots`, whose first `n_known` instants are known to be 0; their mask."""
        size = 1 << max(0, n_slots - 1).bit_length()
        rings = np.full((n, size), filled_with, np.int64)
        rings[:, :n_known] = 0
        return self.rows(rings), size - 1

    def streams(self, records: IntArray, kind: int, chosen: IntArray, **columns: Any) -> None:
        """Set up what all servers share: they work through the tiles of the `chosen` passes, every STRIDE-th one."""
        passes = np.flatnonzero(chosen)
        records[:, KIND] = kind
        records[:, STRIDE] = columns.get("stride", 1)
        records[:, NEXT] = columns.get("lane", 0)
        records[:, SERVICES] = columns["services"]
        records[:, TRACE] = columns["trace"]
        records[:, TILES] = records[:, LEFT] = self.p.n_tiles // records[:, STRIDE]
        if len(passes):
            following = np.zeros(self.p.n_passes, np.int64)
            following[passes] = np.roll(passes, -1)
            records[:, PASS], records[:, FOLLOWING] = passes[0], self.place(following)

    def memory(self, head: dict[int, int]) -> IntArray:
        """M as a whole, with every server's first service looked up."""
        top = np.zeros(_HEAD, np.int64)
        top[list(head)] = list(head.values())
        memory = np.concatenate([top, self.records.ravel(), *self.pieces])
        at_work = self.records[: self.servers[ARBITRATE].start]
        services = memory[at_work[:, SERVICES] + at_work[:, PASS]]
        _records(memory, len(at_work))[:, SERVICE] = services
        return memory


def _memory(p: Program) -> IntArray:
    """The program as M, ready to run."""
    b = _Builder(p)
    trace = _trace_rows(p)
    head = _head(b)
    _wires(b, trace)
    _nodes(b, trace)
    _leaves(b, trace)
    _drains(b, trace)
    _feeds(b, trace)
    _sink(b, trace, head)
    return b.memory(head)


def _trace_rows(p: Program) -> dict[int, IntArray]:
    """Where in F the finish times of every server begin, by kind."""
    kinds = [DOWN, *[FEED] * p.n_feeds, COMPUTE, DRAIN, UP, REDUCE, UPDATE]
    rows = {FEED: np.zeros(0, np.int64)}
    begin = 0
    for kind, (n_servers, n_tasks) in zip(kinds, blocks(p), strict=True):
        starts = begin + n_tasks * np.arange(n_servers)
        rows[kind] = np.append(rows[FEED], starts) if kind == FEED else starts
        begin += n_servers * n_tasks
    return rows


def _head(b: _Builder) -> dict[int, int]:
    p = b.p
    has = _HAS_WEIGHTS * p.has_weights + _HAS_GRADIENT * p.has_gradient + _HAS_DRAIN * (p.drain_ps != 0)
    return {
        IS_HALF_DUPLEX: p.is_half_duplex,
        N_LANES: p.n_lanes,
        N_LEAVES: p.n_leaves,
        N_FEEDS: p.n_feeds,
        N_MICROBATCHES: p.n_microbatches,
        N_PASSES: p.n_passes,
        N_TILES: p.n_tiles,
        N_DOWN: p.n_steps * p.weights_per_step,
        N_COMPUTE: p.n_steps * p.tiles_per_step,
        NODE_SLOTS: p.node_slots,
        LEAF_SLOTS: p.leaf_slots,
        UP_SLOTS: p.up_slots,
        DRAIN_SLOTS: p.drain_slots,
        N_GRADIENT_PASSES: int(np.count_nonzero(p.has_gradient)),
        N_DRAIN_PASSES: int(np.count_nonzero(p.drain_ps)),
        HAS: b.place(has),
        FOLLOWS: b.place(p.follows),
        LAG_PS: b.place(p.lag_ps),
        WAITS_FOR: b.place(p.waits_for),
        GRADIENT_PLACE: b.place(places(p.has_gradient)),
        DRAIN_PLACE: b.place(places(p.drain_ps)),
        UPDATE_PS: b.place(p.update_ps),
        ACCUMULATE_PS: b.place(p.accumulate_ps),
        UPDATED: b.place(np.zeros((2, np.count_nonzero(p.has_gradient), p.n_tiles))),
        STEP_ENDS: b.place(np.zeros(p.n_steps)),
        LEAVES: b.at(COMPUTE, 0),
        SINKS: b.at(UPDATE, 0),
    }


def _wires(b: _Builder, trace: dict[int, IntArray]) -> None:
    """Both ways of every wire, and what stands at its ends."""
    p, n_wires = b.p, len(b.edge)
    of_class, is_leaf = p.edge_class[b.edge], b.edge >= p.n_nodes
    below = np.where(is_leaf, b.at(COMPUTE, b.edge - p.n_nodes), b.at(REDUCE, b.edge))
    upper = p.upper[b.edge]
    above = np.where(upper >= 0, b.at(REDUCE, upper), 0)
    tables = {DOWN: b.rows(p.down_ps), UP: b.rows(p.up_ps)}
    for kind, chosen in ((DOWN, p.has_weights), (UP, p.has_gradient)):
        ends, services = b.of(kind), tables[kind][of_class]
        b.streams(ends, kind, chosen, services=services, trace=trace[kind][b.edge], lane=b.lane, stride=b.stride)
        ends[:, LATENCY] = p.latency_ps[of_class]
        ends[:, WIRE] = b.at(ARBITRATE, np.arange(n_wires))
        ends[:, READY] = _NEVER
        ends[:, ABOVE], ends[:, BELOW], ends[:, IS_AT_LEAF] = above, below, is_leaf
        ends[: p.n_lanes, SINK] = b.at(UPDATE, np.arange(p.n_lanes))
    down, up, wires = b.of(DOWN), b.of(UP), b.of(ARBITRATE)
    every = np.arange(n_wires)
    wires[:, KIND], wires[:, DOWN_SERVER], wires[:, UP_SERVER] = ARBITRATE, b.at(DOWN, every), b.at(UP, every)
    down[: p.n_lanes, WAITED] = _NOTHING
    to_nodes, to_leaves = slice(0, n_wires - p.n_leaves), b.leaf_wires
    down[:, IN], down[:, IN_MASK] = b.rings(n_wires, p.node_slots)
    n_inner = n_wires - p.n_leaves
    down[to_nodes, ROOM], down[:, ROOM_MASK] = b.rings(n_inner, p.node_slots + b.overtaken, n_known=p.node_slots)
    down[to_leaves, ROOM], down[to_leaves, ROOM_MASK] = b.rings(p.n_leaves, p.leaf_slots, n_known=p.leaf_slots)
    up[:, IN], up[:, IN_MASK] = b.rings(n_wires, max(p.reduce_slots + b.overtaken, p.gradient_slots))
    n_room = p.up_slots + p.reduce_slots + b.overtaken
    up[:, ROOM], up[:, ROOM_MASK] = b.rings(n_wires, n_room, n_known=p.up_slots)
    # The lanes of edge 0 share what they wait for.
    down[: p.n_lanes, ROOM] = down[0, ROOM]
    up[: p.n_lanes, [IN, ROOM]] = up[0, [IN, ROOM]]


def _nodes(b: _Builder, trace: dict[int, IntArray]) -> None:
    p, nodes, up = b.p, b.of(REDUCE), b.of(UP)
    b.streams(nodes, REDUCE, p.has_gradient, services=b.place(p.reduce_ps), trace=trace[REDUCE])
    nodes[:, IN], nodes[:, IN_MASK] = b.rings(p.n_nodes, p.up_slots)
    nodes[:, LATEST], _ = b.rings(p.n_nodes, p.up_slots, filled_with=0)
    nodes[:, ARRIVED], _ = b.rings(p.n_nodes, p.up_slots, filled_with=0)
    nodes[:, ROOM], nodes[:, ROOM_MASK] = b.rings(p.n_nodes, p.reduce_slots, n_known=p.reduce_slots)
    nodes[:, GONE], nodes[:, GONE_MASK] = b.rings(p.n_nodes, p.node_slots, filled_with=0)
    first_wire = np.append(0, np.arange(1, p.n_nodes) + p.n_lanes - 1)
    nodes[:, DOWN_SERVER], nodes[:, UP_SERVER] = b.at(DOWN, first_wire), b.at(UP, first_wire)
    nodes[:, N_WIRES_ABOVE] = np.where(np.arange(p.n_nodes) == 0, p.n_lanes, 1)
    upper = p.upper[1:]
    children = np.argsort(upper, kind="stable") + p.n_lanes  # the wires to them; edge 0 hangs from no node
    nodes[:, N_CHILDREN] = np.bincount(upper, minlength=p.n_nodes)
    first = np.cumsum(nodes[:, N_CHILDREN]) - nodes[:, N_CHILDREN]
    nodes[:, CHILDREN_DOWN] = b.place(b.at(DOWN, children)) + first
    nodes[:, CHILDREN_UP] = b.place(b.at(UP, children)) + first
    wires = slice(0, len(b.edge) - p.n_leaves)
    node = b.edge[wires]
    up[wires, HOLD], up[wires, HOLD_MASK] = nodes[node, ROOM], nodes[node, ROOM_MASK]
    up[wires, HOLD_SLOTS] = p.reduce_slots


def _leaves(b: _Builder, trace: dict[int, IntArray]) -> None:
    p, leaves, up = b.p, b.of(COMPUTE), b.of(UP)
    every = np.arange(p.n_leaves)
    b.streams(leaves, COMPUTE, np.ones(p.n_passes, np.int64), services=b.rows(p.compute_ps), trace=trace[COMPUTE])
    leaves[:, IN], leaves[:, IN_MASK] = b.rings(p.n_leaves, p.leaf_slots)
    leaves[:, ROOM], leaves[:, ROOM_MASK] = b.rings(p.n_leaves, p.gradient_slots, n_known=p.gradient_slots)
    leaves[:, DRAIN_ROOM], leaves[:, DRAIN_ROOM_MASK] = b.rings(p.n_leaves, p.drain_slots, n_known=p.drain_slots)
    leaves[:, ENDED] = b.rows(np.zeros((p.n_leaves, p.n_passes), np.int64))
    leaves[:, DRAIN_SERVER], leaves[:, FEED_SERVERS] = b.at(DRAIN, every), b.at(FEED, every * p.n_feeds)
    leaves[:, DOWN_SERVER], leaves[:, UP_SERVER] = b.at(DOWN, b.leaf_wires), b.at(UP, b.leaf_wires)
    leaves[:, JITTER] = b.rows(p.jitter_ps) if p.jitter_ps.size else _NOTHING
    up[b.leaf_wires, HOLD], up[b.leaf_wires, HOLD_MASK] = leaves[:, ROOM], leaves[:, ROOM_MASK]
    up[b.leaf_wires, HOLD_SLOTS] = p.gradient_slots


def _drains(b: _Builder, trace: dict[int, IntArray]) -> None:
    p, drains = b.p, b.of(DRAIN)
    b.streams(drains, DRAIN, p.drain_ps, services=b.place(p.drain_ps), trace=trace[DRAIN])
    drains[:, LEAF] = b.at(COMPUTE, np.arange(p.n_leaves))
    drains[:, IN], drains[:, IN_MASK] = b.rings(p.n_leaves, p.drain_slots)
    is_brought_back = (p.feed_after >= 0).any()
    drains[:, OUT], drains[:, OUT_MASK] = b.rings(
        p.n_leaves, p.per_step(p.drain_ps) // p.n_microbatches if is_brought_back else 1, filled_with=0
    )


def _feeds(b: _Builder, trace: dict[int, IntArray]) -> None:
    p = b.p
    if not p.n_feeds:
        return
    # The feeds of a leaf stand side by side; in the finish times the leaves of a feed do.
    every = b.of(FEED).reshape(p.n_leaves, p.n_feeds, _RECORD)
    rows = trace[FEED].reshape(p.n_feeds, p.n_leaves)
    services, afters = b.rows(p.feed_ps), b.rows(p.feed_after)
    for k in range(p.n_feeds):
        feeds, n_slots = every[:, k], int(p.feed_slots[k])
        b.streams(feeds, FEED, p.feed_ps[k], services=services[k], trace=rows[k])
        feeds[:, N_ITEMS], feeds[:, SLOTS] = p.n_steps * p.per_step(p.feed_ps[k]), n_slots
        feeds[:, AFTERS], feeds[:, AFTER] = afters[k], _NOTHING
        feeds[:, LEAF] = b.at(COMPUTE, np.arange(p.n_leaves))
        feeds[:, ROOM], feeds[:, ROOM_MASK] = b.rings(p.n_leaves, n_slots, n_known=n_slots)
        feeds[:, OUT], feeds[:, OUT_MASK] = b.rings(p.n_leaves, n_slots)


def _sink(b: _Builder, trace: dict[int, IntArray], head: dict[int, int]) -> None:
    p, sinks = b.p, b.of(UPDATE)
    is_last = p.n_microbatches == 1
    services = head[UPDATE_PS] if is_last else head[ACCUMULATE_PS]
    lanes = np.arange(p.n_lanes)
    b.streams(sinks, UPDATE, p.has_gradient, services=services, trace=trace[UPDATE], lane=lanes, stride=p.n_lanes)
    sinks[:, IN], sinks[:, IN_MASK] = b.rings(1, p.up_slots + p.reduce_slots + b.overtaken)
    sinks[:, DOWN_SERVER], sinks[:, UP_SERVER] = b.at(DOWN, lanes), b.at(UP, lanes)
    sinks[:, OUT] = head[UPDATED]


# ---- the event loop --------------------------------------------------------------------------------------------------


@_call
def _run(memory, heap, times):  # type: ignore[no-untyped-def]
    M, H, F = pointer(memory), pointer(heap), pointer(times)
    _open(M, H, F)
    while True:
        if M[IS_HOLE]:
            _close_hole(M, H)
        if M[HEAP_SIZE] == 0:
            break
        key = H[0]
        now = M[BASE] + (key >> _SHIFT)
        if now < M[NOW]:
            M[WENT_BACK] = 1
        M[NOW] = now
        if (key >> _SHIFT) >= _REBASE_PS:
            _rebase(M, H)
        M[IS_HOLE] = 1
        M[N_EVENTS] += 1
        server = (key & (MOST_SERVERS - 1)) << _RECORD_BITS
        kind = M[server + KIND]
        if kind == DOWN:
            _down_done(M, H, F, server, now)
        elif kind == COMPUTE:
            _compute_done(M, H, F, server, now)
        elif kind == UP:
            _up_done(M, H, F, server, now)
        elif kind == REDUCE:
            _reduce_done(M, H, F, server, now)
        elif kind == UPDATE:
            _update_done(M, H, F, server, now)
        elif kind == FEED:
            _feed_done(M, H, F, server, now)
        elif kind == DRAIN:
            _drain_done(M, H, F, server, now)
        else:
            _arbitrate(M, H, F, server, now)


@_call
def _open(M, H, F):  # type: ignore[no-untyped-def]
    """Start whatever can start at instant 0."""
    for lane in range(M[N_LANES]):
        source = _HEAD + lane * _RECORD
        _plan_source(M, source)
        _try_source(M, H, F, source)
    for i in range(M[N_LEAVES]):
        leaf = M[LEAVES] + i * _RECORD
        _open_leaf_pass(M, leaf, 0)
        for k in range(M[N_FEEDS]):
            feed = M[leaf + FEED_SERVERS] + k * _RECORD
            _plan_feed(M, feed)
            _try_feed(M, H, F, feed)
        _try_compute(M, H, F, leaf)


# ---- what a completion sets free -------------------------------------------------------------------------------------


@_inline
def _down_done(M, H, F, down, now):  # type: ignore[no-untyped-def]
    i = M[down + NEXT]
    arrival = now + M[down + LATENCY]
    has_opened = _advance(M, down, now)
    below, above = M[down + BELOW], M[down + ABOVE]
    if M[down + IS_AT_LEAF]:
        M[M[below + IN] + (i & M[below + IN_MASK])] = arrival
        _try_compute(M, H, F, below)
    else:
        first = M[below + CHILDREN_DOWN]
        for c in range(first, first + M[below + N_CHILDREN]):
            child = M[c]
            M[M[child + IN] + (i & M[child + IN_MASK])] = arrival
            _try_send(M, H, F, child)
    if above:
        _leave_node(M, H, F, above, i, now)
        _try_send(M, H, F, down)
    else:
        if has_opened:
            _plan_source(M, down)
        _try_source(M, H, F, down)
    if M[IS_HALF_DUPLEX]:
        _free_wire(M, H, M[down + WIRE])


@_inline
def _leave_node(M, H, F, node, i, now):  # type: ignore[no-untyped-def]
    """One more child edge has sent tile i; the last one frees its slot."""
    gone = M[node + GONE] + (i & M[node + GONE_MASK])
    M[gone] += 1
    if M[gone] < M[node + N_CHILDREN]:
        return
    M[gone] = 0
    down = M[node + DOWN_SERVER]
    M[M[down + ROOM] + ((i + M[NODE_SLOTS]) & M[down + ROOM_MASK])] = now + M[down + LATENCY]
    if M[down + ABOVE]:
        _try_send(M, H, F, down)
    else:
        for lane in range(M[node + N_WIRES_ABOVE]):
            _try_source(M, H, F, down + lane * _RECORD)


@_inline
def _compute_done(M, H, F, leaf, now):  # type: ignore[no-untyped-def]
    has = M[leaf + HAS_NOW]
    n_feeds = M[N_FEEDS]
    if M[leaf + LEFT] == 1:
        M[M[leaf + ENDED] + M[leaf + PASS]] = now
    for k in range(n_feeds):
        _free_feed(M, M[leaf + FEED_SERVERS] + k * _RECORD, now)
    if _advance(M, leaf, now):
        _open_leaf_pass(M, leaf, now)
    if has & _HAS_WEIGHTS:
        down = M[leaf + DOWN_SERVER]
        M[M[down + ROOM] + ((M[leaf + N_TAKEN] + M[LEAF_SLOTS]) & M[down + ROOM_MASK])] = now + M[down + LATENCY]
        M[leaf + N_TAKEN] += 1
        _try_send(M, H, F, down)
    if has & _HAS_GRADIENT:
        up = M[leaf + UP_SERVER]
        M[M[up + IN] + (M[leaf + N_GIVEN] & M[up + IN_MASK])] = now
        M[leaf + N_GIVEN] += 1
        _try_send(M, H, F, up)
    if has & _HAS_DRAIN:
        drain = M[leaf + DRAIN_SERVER]
        M[M[drain + IN] + (M[leaf + N_LEFT] & M[drain + IN_MASK])] = now
        M[leaf + N_LEFT] += 1
        _try_drain(M, H, F, drain)
    for k in range(n_feeds):
        _try_feed(M, H, F, M[leaf + FEED_SERVERS] + k * _RECORD)
    _try_compute(M, H, F, leaf)


@_inline
def _free_feed(M, feed, now):  # type: ignore[no-untyped-def]
    """The tile that needed an item of the feed is served."""
    if M[feed + IS_NEEDED]:
        M[M[feed + ROOM] + ((M[feed + N_USED] + M[feed + SLOTS]) & M[feed + ROOM_MASK])] = now
        M[feed + N_USED] += 1


@_inline
def _open_leaf_pass(M, leaf, now):  # type: ignore[no-untyped-def]
    """What the next pass of the leaf has, its jitter, the lag before it; the end of the step before."""
    of_pass, microbatch = M[leaf + PASS], M[leaf + ROUND]
    M[leaf + HAS_NOW] = M[M[HAS] + of_pass]
    M[leaf + STEADY] = M[leaf + SERVICE]
    if M[leaf + JITTER] != _NOTHING and M[leaf + NEXT] < M[N_COMPUTE]:
        M[leaf + SERVICE] += M[M[leaf + JITTER] + microbatch * M[N_PASSES] + of_pass]
    followed = M[M[FOLLOWS] + of_pass]
    if followed >= 0:
        M[leaf + FREE_AT] = max(now, M[M[leaf + ENDED] + followed] + M[M[LAG_PS] + of_pass])
    for k in range(M[N_FEEDS]):
        feed = M[leaf + FEED_SERVERS] + k * _RECORD
        M[feed + IS_NEEDED] = M[M[feed + SERVICES] + of_pass] > 0
    if of_pass == 0 and microbatch > 0 and microbatch % M[N_MICROBATCHES] == 0:
        ends = M[STEP_ENDS] + microbatch // M[N_MICROBATCHES] - 1
        M[ends] = max(M[ends], now)


@_inline
def _feed_done(M, H, F, feed, now):  # type: ignore[no-untyped-def]
    M[M[feed + OUT] + (M[feed + NEXT] & M[feed + OUT_MASK])] = now
    if _advance(M, feed, now):
        _plan_feed(M, feed)
    _try_compute(M, H, F, M[feed + LEAF])
    _try_feed(M, H, F, feed)


@_inline
def _drain_done(M, H, F, drain, now):  # type: ignore[no-untyped-def]
    i, leaf = M[drain + NEXT], M[drain + LEAF]
    M[M[drain + OUT] + (i & M[drain + OUT_MASK])] = now
    M[M[leaf + DRAIN_ROOM] + ((i + M[DRAIN_SLOTS]) & M[leaf + DRAIN_ROOM_MASK])] = now
    _advance(M, drain, now)
    _try_compute(M, H, F, leaf)
    for k in range(M[N_FEEDS]):
        _try_feed(M, H, F, M[leaf + FEED_SERVERS] + k * _RECORD)
    _try_drain(M, H, F, drain)


@_inline
def _up_done(M, H, F, up, now):  # type: ignore[no-untyped-def]
    g = M[up + NEXT]
    arrival = now + M[up + LATENCY]
    _advance(M, up, now)
    above, below = M[up + ABOVE], M[up + BELOW]
    if above:
        _arrive_at_node(M, H, F, above, g, arrival)
    else:
        sink = M[up + SINK]
        M[M[sink + IN] + (g & M[sink + IN_MASK])] = arrival
        _try_update(M, H, F, sink)
    M[M[up + HOLD] + ((g + M[up + HOLD_SLOTS]) & M[up + HOLD_MASK])] = now
    if M[up + IS_AT_LEAF]:
        _try_compute(M, H, F, below)
    else:
        _try_reduce(M, H, F, below)
    _try_send(M, H, F, up)
    if M[IS_HALF_DUPLEX]:
        _free_wire(M, H, M[up + WIRE])


@_inline
def _arrive_at_node(M, H, F, node, g, arrival):  # type: ignore[no-untyped-def]
    """One more child's gradient g; the sum waits for the one that arrives last."""
    place = g & M[node + IN_MASK]
    latest, arrived = M[node + LATEST] + place, M[node + ARRIVED] + place
    M[latest] = max(M[latest], arrival)
    M[arrived] += 1
    if M[arrived] < M[node + N_CHILDREN]:
        return
    M[M[node + IN] + place] = M[latest]
    M[latest] = 0
    M[arrived] = 0
    _try_reduce(M, H, F, node)


@_inline
def _reduce_done(M, H, F, node, now):  # type: ignore[no-untyped-def]
    g, up = M[node + NEXT], M[node + UP_SERVER]
    M[M[up + IN] + (g & M[up + IN_MASK])] = now
    _advance(M, node, now)
    for lane in range(M[node + N_WIRES_ABOVE]):
        _try_send(M, H, F, up + lane * _RECORD)
    first = M[node + CHILDREN_UP]
    for c in range(first, first + M[node + N_CHILDREN]):
        child = M[c]
        M[M[child + ROOM] + ((g + M[UP_SLOTS]) & M[child + ROOM_MASK])] = now + M[child + LATENCY]
        _try_send(M, H, F, child)
    _try_reduce(M, H, F, node)


@_inline
def _update_done(M, H, F, sink, now):  # type: ignore[no-untyped-def]
    g, up = M[sink + NEXT], M[sink + UP_SERVER]
    M[M[sink + OUT] + g] = now
    M[M[up + ROOM] + ((g + M[UP_SLOTS]) & M[up + ROOM_MASK])] = now + M[up + LATENCY]
    if _advance(M, sink, now):
        _plan_sink(M, sink)
    for lane in range(M[N_LANES]):
        _try_send(M, H, F, M[M[SINKS] + UP_SERVER] + lane * _RECORD)
    _try_source(M, H, F, M[sink + DOWN_SERVER])
    _try_update(M, H, F, sink)


# ---- what a server has to know of its next pass ----------------------------------------------------------------------


@_inline
def _plan_source(M, source):  # type: ignore[no-untyped-def]
    """Which update tile i of this pass waits for, and where its time will stand: both i plus a constant."""
    of_pass, step = M[source + PASS], M[source + ROUND] // M[N_MICROBATCHES]
    waited = M[M[WAITS_FOR] + of_pass]
    M[source + WAITED] = _NOTHING
    if waited < 0 or step == 0:
        return
    tile, i = M[source + NEXT] % M[N_LANES], M[source + NEXT]
    place = M[M[GRADIENT_PLACE] + waited]
    last = step * M[N_MICROBATCHES] - 1  # the micro-batch of the step before that updates
    M[source + WAITED] = (last * M[N_GRADIENT_PASSES] + place) * M[N_TILES] + tile - i
    M[source + UPDATED_AT] = M[UPDATED] + (((step - 1) & 1) * M[N_GRADIENT_PASSES] + place) * M[N_TILES] + tile - i


@_inline
def _plan_sink(M, sink):  # type: ignore[no-untyped-def]
    """What the sink does in this micro-batch, and where the times of its updates go: g plus a constant."""
    microbatch, place = M[sink + ROUND], M[M[GRADIENT_PLACE] + M[sink + PASS]]
    is_last = (microbatch + 1) % M[N_MICROBATCHES] == 0
    M[sink + SERVICE] = M[(M[UPDATE_PS] if is_last else M[ACCUMULATE_PS]) + M[sink + PASS]]
    half = ((microbatch // M[N_MICROBATCHES]) & 1) * M[N_GRADIENT_PASSES]
    before = (microbatch * M[N_GRADIENT_PASSES] + place) * M[N_TILES]
    M[sink + OUT] = M[UPDATED] + (half + place) * M[N_TILES] - before


@_inline
def _plan_feed(M, feed):  # type: ignore[no-untyped-def]
    """Which drained item its item i brings back in this pass: i plus a constant."""
    after = M[M[feed + AFTERS] + M[feed + PASS]]
    if after < 0:
        M[feed + AFTER] = _NOTHING
        return
    passes_before = M[feed + ROUND] * M[N_DRAIN_PASSES] + M[M[DRAIN_PLACE] + after]
    M[feed + AFTER] = passes_before * M[N_TILES] - M[feed + NEXT]


# ---- starting a task once all that it waits for is known -------------------------------------------------------------


@_call
def _try_send(M, H, F, end):  # type: ignore[no-untyped-def]
    """Either way of a wire, but for the source's."""
    i = M[end + NEXT]
    there, room = M[end + IN] + (i & M[end + IN_MASK]), M[end + ROOM] + (i & M[end + ROOM_MASK])
    ready = max(M[end + FREE_AT], M[there], M[room])
    if ready >= _NEVER:
        return
    if M[IS_HALF_DUPLEX]:
        _request(M, H, end, ready)
    else:
        M[there] = _NEVER
        M[room] = _NEVER
        _start(M, H, F, end, ready)


@_call
def _try_source(M, H, F, source):  # type: ignore[no-untyped-def]
    i = M[source + NEXT]
    room = M[source + ROOM] + (i & M[source + ROOM_MASK])
    ready = max(M[source + FREE_AT], M[room])
    if ready >= _NEVER or i >= M[N_DOWN]:
        return
    if M[source + WAITED] != _NOTHING:
        if M[M[source + SINK] + NEXT] <= M[source + WAITED] + i:
            return
        ready = max(ready, M[M[source + UPDATED_AT] + i])
    if M[IS_HALF_DUPLEX]:
        _request(M, H, source, ready)
    else:
        M[room] = _NEVER
        _start(M, H, F, source, ready)


@_call
def _try_compute(M, H, F, leaf):  # type: ignore[no-untyped-def]
    ready = M[leaf + FREE_AT]
    if ready == _NEVER:
        return
    has = M[leaf + HAS_NOW]
    weights = M[leaf + IN] + (M[leaf + N_TAKEN] & M[leaf + IN_MASK])
    room = M[leaf + ROOM] + (M[leaf + N_GIVEN] & M[leaf + ROOM_MASK])
    drain_room = M[leaf + DRAIN_ROOM] + (M[leaf + N_LEFT] & M[leaf + DRAIN_ROOM_MASK])
    if has & _HAS_WEIGHTS:
        ready = max(ready, M[weights])
    if has & _HAS_GRADIENT:
        ready = max(ready, M[room])
    if has & _HAS_DRAIN:
        ready = max(ready, M[drain_room])
    for k in range(M[N_FEEDS]):
        feed = M[leaf + FEED_SERVERS] + k * _RECORD
        if M[feed + IS_NEEDED]:
            ready = max(ready, M[M[feed + OUT] + (M[feed + N_USED] & M[feed + OUT_MASK])])
    if ready >= _NEVER or M[leaf + NEXT] == M[N_COMPUTE]:
        return
    if has & _HAS_WEIGHTS:
        M[weights] = _NEVER
    if has & _HAS_GRADIENT:
        M[room] = _NEVER
    if has & _HAS_DRAIN:
        M[drain_room] = _NEVER
    for k in range(M[N_FEEDS]):
        feed = M[leaf + FEED_SERVERS] + k * _RECORD
        if M[feed + IS_NEEDED]:
            M[M[feed + OUT] + (M[feed + N_USED] & M[feed + OUT_MASK])] = _NEVER
    _start(M, H, F, leaf, ready)
    M[leaf + SERVICE] = M[leaf + STEADY]


@_call
def _try_reduce(M, H, F, node):  # type: ignore[no-untyped-def]
    g = M[node + NEXT]
    arrived, room = M[node + IN] + (g & M[node + IN_MASK]), M[node + ROOM] + (g & M[node + ROOM_MASK])
    ready = max(M[node + FREE_AT], M[arrived], M[room])
    if ready < _NEVER:
        M[arrived] = _NEVER
        M[room] = _NEVER
        _start(M, H, F, node, ready)


@_inline
def _try_one(M, H, F, server):  # type: ignore[no-untyped-def]
    """A server that waits for one thing: the sink, a drain."""
    there = M[server + IN] + (M[server + NEXT] & M[server + IN_MASK])
    ready = max(M[server + FREE_AT], M[there])
    if ready < _NEVER:
        M[there] = _NEVER
        _start(M, H, F, server, ready)


@_call
def _try_update(M, H, F, sink):  # type: ignore[no-untyped-def]
    _try_one(M, H, F, sink)


@_call
def _try_drain(M, H, F, drain):  # type: ignore[no-untyped-def]
    _try_one(M, H, F, drain)


@_call
def _try_feed(M, H, F, feed):  # type: ignore[no-untyped-def]
    i = M[feed + NEXT]
    room = M[feed + ROOM] + (i & M[feed + ROOM_MASK])
    ready = max(M[feed + FREE_AT], M[room])
    if ready >= _NEVER or i >= M[feed + N_ITEMS]:
        return
    if M[feed + AFTER] != _NOTHING:
        drain, d = M[M[feed + LEAF] + DRAIN_SERVER], M[feed + AFTER] + i
        if M[drain + NEXT] <= d:
            return
        ready = max(ready, M[M[drain + OUT] + (d & M[drain + OUT_MASK])])
    M[room] = _NEVER
    _start(M, H, F, feed, ready)


@_inline
def _start(M, H, F, server, start):  # type: ignore[no-untyped-def]
    finish = start + M[server + SERVICE]
    M[server + FREE_AT] = _NEVER
    if M[IS_RECORDING]:
        _record(M, F, server, finish)
    _push(M, H, finish, server)


@_inline
def _record(M, F, server, finish):  # type: ignore[no-untyped-def]
    """Every server writes behind its own last finish time: too many streams for the processor to foresee.

    Without the prefetch each line of each of them is waited for.
    """
    place = M[server + TRACE] + M[server + NEXT]
    F[place] = finish
    prefetch(F, place + _CACHE_LINE)


@_inline
def _advance(M, server, now):  # type: ignore[no-untyped-def]
    """Free the server for its next tile; whether that opens a pass."""
    M[server + FREE_AT] = now
    M[server + NEXT] += M[server + STRIDE]
    M[server + LEFT] -= 1
    if M[server + LEFT] > 0:
        return False
    M[server + LEFT] = M[server + TILES]
    of_pass = M[M[server + FOLLOWING] + M[server + PASS]]
    if of_pass <= M[server + PASS]:
        M[server + ROUND] += 1
    M[server + PASS] = of_pass
    M[server + SERVICE] = M[M[server + SERVICES] + of_pass]
    return True


# ---- half-duplex wires -----------------------------------------------------------------------------------------------


@_inline
def _request(M, H, end, ready):  # type: ignore[no-untyped-def]
    """Ask, once for each head, for a decision when it is ready; on a busy wire there will be one when it is free."""
    if M[end + READY] != _NEVER:
        return
    M[end + READY] = ready
    wire = M[end + WIRE]
    if not M[wire + IS_BUSY] or ready > M[wire + BUSY_UNTIL]:
        _push(M, H, max(ready, M[NOW]), wire)


@_inline
def _free_wire(M, H, wire):  # type: ignore[no-untyped-def]
    M[wire + IS_BUSY] = 0
    if min(M[M[wire + DOWN_SERVER] + READY], M[M[wire + UP_SERVER] + READY]) <= M[NOW]:
        _push(M, H, M[NOW], wire)


@_inline
def _arbitrate(M, H, F, wire, now):  # type: ignore[no-untyped-def]
    if M[wire + IS_BUSY]:
        return
    down, up = M[wire + DOWN_SERVER], M[wire + UP_SERVER]
    end = up if M[up + READY] <= M[down + READY] else down
    if M[end + READY] > now:
        return  # the head that asked has gone already, at this very instant
    M[end + READY] = _NEVER
    i = M[end + NEXT]
    if end == up or M[end + ABOVE]:
        M[M[end + IN] + (i & M[end + IN_MASK])] = _NEVER
    M[M[end + ROOM] + (i & M[end + ROOM_MASK])] = _NEVER
    M[wire + IS_BUSY] = 1
    M[wire + BUSY_UNTIL] = now + M[end + SERVICE]
    _start(M, H, F, end, now)


# ---- the heap --------------------------------------------------------------------------------------------------------
# 4-ary. Taking the least key leaves a hole at the top, which the next key fills: most completions start one task.
# Behind the last key stand only keys larger than any, so that all four children can be looked at.


@_inline
def _push(M, H, time, server):  # type: ignore[no-untyped-def]
    key = ((time - M[BASE]) << _SHIFT) | (server >> _RECORD_BITS)
    if M[IS_HOLE]:
        M[IS_HOLE] = 0
        _sift_down(H, key)
        return
    i = M[HEAP_SIZE]
    M[HEAP_SIZE] = i + 1
    while i > 0:
        parent = (i - 1) >> 2
        if H[parent] <= key:
            break
        H[i] = H[parent]
        i = parent
    H[i] = key


@_inline
def _close_hole(M, H):  # type: ignore[no-untyped-def]
    M[IS_HOLE] = 0
    last = M[HEAP_SIZE] - 1
    M[HEAP_SIZE] = last
    key = H[last]
    H[last] = _NO_KEY
    if last > 0:
        _sift_down(H, key)


@_inline
def _sift_down(H, key):  # type: ignore[no-untyped-def]
    i = 0
    while True:
        child = 4 * i + 1
        # Arithmetic, not branches: which child is the least cannot be predicted.
        a = child + (H[child + 1] < H[child])
        b = child + 2 + (H[child + 3] < H[child + 2])
        least = a + (b - a) * (H[b] < H[a])
        if H[least] >= key:
            break
        H[i] = H[least]
        i = least
    H[i] = key


@_inline
def _rebase(M, H):  # type: ignore[no-untyped-def]
    """Count the heap's times from now on; the order of the keys stays."""
    moved = (M[NOW] - M[BASE]) << _SHIFT
    M[BASE] = M[NOW]
    for i in range(M[HEAP_SIZE]):
        H[i] -= moved
