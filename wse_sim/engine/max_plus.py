"""The max-plus engine: finish times by a recurrence over the stream, in compiled code, without a queue.

Where the order of every server is fixed, a task's finish time is the latest of what `rules` says that it waits for,
plus its service; and everything that it waits for stands earlier in the stream. So one pass over the tiles gives every
time (the max-plus recursion of fork-join networks with finite buffers, Krivulin 1996).

**Rings.** What a task waits for lies a fixed number of tiles back in its stream: one (the server's order), or as many
as a buffer has slots. So each kind of server keeps its last finish times in a ring of rows, a column for each server;
memory does not grow with the steps. A recorded run is the same run with rings as long as the run.

**Fast-forward.** The recurrence is homogeneous: it knows only `max` and `+`, so that starting from a state in which
every time is later by `d` it gives every time later by `d`. Where a piece of the stream comes several times in a row,
and one coming of it has moved every time of the state that it reads by the same whole `d`, each later one moves it by
`d` again; they are added up instead of run. This is exact in whole numbers, and asks for three things:

- The pieces are alike: tiles within a pass (but for its first), passes with the same entries in every table,
  micro-batches but for the first and the last, steps but for the first.
- The state is compared in all that the piece reads, and in nothing else: rings that no pass of the piece touches stand
  still meanwhile, and are neither compared nor moved.
- What a piece reads from outside the state does not bind: neither in the piece that was compared, nor in those
  skipped. Passes read updates of the step before at the source, and drained tiles of earlier passes at the feeds. Both
  are written in the order of a server's stream, so that the last tile (of each lane) of a pass is its latest; and they
  do not bind where that is not after the last finish of the server that reads them *before* the compared piece. From
  the second micro-batch on no update binds, for the same lane has sent the same tile before. Between micro-batches and
  steps nothing else is read; for steps, the updates are part of the state and are compared like the rest of it.

Where a state does not repeat, nothing is skipped: never wrong, sometimes not fast. A program with jitter has no two
pieces alike, and is never fast-forwarded.

All kernels stand in this one file: numba's cache does not notice a change in a function of another file. They share one
int64 memory `M`: sizes, tables, rings and results.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from wse_sim.engine.pointers import pointer
from wse_sim.engine.quotient import quotient
from wse_sim.engine.result import Finish
from wse_sim.schedule.program import IntArray, Program, places

# Before every time, and far enough from the least integer that a latency can be added.
_NEVER = -(1 << 62)
_LONGEST_PERIOD = 3  # passes after which a transformer's passes may repeat
_LONGEST_TILE_PERIOD = 64
_LONGEST_FOLLOW = 4  # passes; one that follows an earlier one is like no other

# Head of M: sizes, slots, where the tables begin, what is known of the run.
(N_STEPS, N_MICROBATCHES, N_PASSES, N_TILES, N_LANES, N_NODES, N_LEAVES, N_FEEDS, N_RINGS) = range(9)
(NODE_SLOTS, LEAF_SLOTS, GRADIENT_SLOTS, UP_SLOTS, REDUCE_SLOTS, DRAIN_SLOTS) = range(9, 15)
(PASSES, UPPER, LATENCY, FIRST_CHILD, CHILDREN, FEED_SLOTS, FEED_PS, FEED_AFTER) = range(15, 23)
(DOWN_PS, UP_PS, COMPUTE_PS, JITTER_PS) = range(23, 27)  # by pass (jitter: by its coming), one column for each server
(ALIKE, STEP_ENDS, DRAINED, UPDATED, PASS_END, SNAPSHOTS) = range(27, 33)
(HAS_JITTER, IS_FAST_FORWARD, TILE_PERIOD, FOLLOW_ROWS, SNAPSHOT_SIZE, UPDATES_PER_STEP) = range(33, 39)
(ALL_TOUCHED, N_TILES_RUN) = range(39, 41)
# A ring: its rows, which of them is written next, how many are looked back on, and where they stand in a snapshot.
(AT, MASK, WIDTH, NEXT, DEPTH, PACKED) = range(6)
_RING = 6
_RINGS = 41
(DOWN, SERVED, COMPUTE, DRAIN, UP, REDUCE, UPDATE, FEED) = range(_RINGS, _RINGS + 8 * _RING, _RING)
# Each feed has two: what it has brought, and when the tiles that needed it were served.
_FEED_SERVED = _RING
_FEED_RINGS = 2 * _RING
# A pass.
(HAS_WEIGHTS, HAS_GRADIENT, DRAIN_TIME, REDUCE_TIME, UPDATE_TIME, ACCUMULATE_TIME) = range(6)
(WAITS_FOR, GRADIENT_PLACE, DRAINED_PLACE, FOLLOWS, LAG, TOUCHED) = range(6, 12)
_PASS = 12
# Snapshots: one for each of the last passes, and one for the tiles, micro-batches and steps.
_PASS_SNAPSHOTS = _LONGEST_PERIOD + 1
(_OF_TILE, _OF_MICROBATCH, _OF_STEP) = range(_PASS_SNAPSHOTS, _PASS_SNAPSHOTS + 3)
_N_SNAPSHOTS = _PASS_SNAPSHOTS + 3
_LAST_BIT = 62

# Only rows and places are inlined by force: numba compiles what is inlined once more in each caller, so that the first
# call takes longer the more it is, and one call for each server of a tile costs next to nothing.
_kernel: Any = njit(error_model="numpy", cache=True)
_inline: Any = njit(error_model="numpy", cache=True, forceinline=True)


def can_run(program: Program) -> bool:
    """Whether the order of every server is fixed, so that finish times obey a recurrence."""
    return not program.is_half_duplex


def run_max_plus(program: Program) -> Finish:
    """Finish times of every task, by the recurrence, tile after tile.

    Raises
    ------
    ValueError
        When the program needs an engine that decides at run time: see `can_run`.
    OverflowError
        When the run does not end within 2^63 ps.
    """
    memory = _run_whole(program, is_recording=True, is_fast_forward=False)
    p = program
    return Finish(
        down=_recorded(memory, DOWN, p.weights_per_step),
        feed=tuple(_recorded(memory, FEED + k * _FEED_RINGS, p.per_step(row)) for k, row in enumerate(p.feed_ps)),
        compute=_recorded(memory, COMPUTE, p.tiles_per_step),
        drain=_recorded(memory, DRAIN, p.per_step(p.drain_ps)),
        up=_recorded(memory, UP, p.gradients_per_step),
        reduce=_recorded(memory, REDUCE, p.gradients_per_step),
        update=_recorded(memory, UPDATE, p.gradients_per_step)[0],
        n_events=p.n_tasks,
    )


def max_plus_step_ends_ps(program: Program, *, is_fast_forward: bool = True) -> IntArray:
    """(n_steps,): the instant at which the last leaf has served the last tile of each step.

    Memory grows by 8 bytes a step.

    Parameters
    ----------
    is_fast_forward :
        Run leaves that are alike once, and add up what repeats itself. The times are the same either way.

    Raises
    ------
    ValueError
        When the program needs an engine that decides at run time: see `can_run`.
    OverflowError
        When the run does not end within 2^63 ps.
    """
    if is_fast_forward:
        program = quotient(program)
    memory = _run_whole(program, is_recording=False, is_fast_forward=is_fast_forward)
    return memory[memory[STEP_ENDS] :][: program.n_steps].copy()


def _run_whole(program: Program, *, is_recording: bool, is_fast_forward: bool) -> IntArray:
    if not can_run(program):
        raise ValueError("a half-duplex program is no recurrence: who goes first on a wire is decided at run time")
    memory = _memory(program, is_recording, is_fast_forward and not program.jitter_ps.size)
    _run(memory)
    if memory[memory[STEP_ENDS] :][: program.n_steps].min() < 0:  # a time has wrapped round
        raise OverflowError("the run does not end within 2^63 ps: simulate fewer steps")
    return memory


def _recorded(memory: IntArray, ring: int, n_per_step: int) -> IntArray:
    """(width, n_steps * n_per_step): the rows of a recorded ring, one for each server."""
    at, width, n_rows = int(memory[ring + AT]), int(memory[ring + WIDTH]), int(memory[N_STEPS]) * n_per_step
    return memory[at : at + n_rows * width].reshape(n_rows, width).T


# ---- the program as the flat memory M --------------------------------------------------------------------------------


def _memory(p: Program, is_recording: bool, is_fast_forward: bool) -> IntArray:
    rings, n_ring_words = _rings(p, is_recording)
    tables = _tables(p, is_fast_forward)
    snapshot_size = 1 + int(rings[:, DEPTH] @ rings[:, WIDTH]) + _follow_rows(p) * p.n_leaves
    spaces = {
        STEP_ENDS: p.n_steps,
        DRAINED: p.n_leaves * p.n_tiles * int(np.count_nonzero(p.drain_ps)) * _feeds_from_drain(p),
        # What follows is read before it is written, and is then to be before every time.
        UPDATED: 2 * p.n_tiles * int(p.has_gradient.sum()),
        PASS_END: p.n_leaves * (_follow_rows(p) + p.n_passes),
        SNAPSHOTS: _N_SNAPSHOTS * snapshot_size,
    }
    head = _head(p)
    head[IS_FAST_FORWARD], head[SNAPSHOT_SIZE], head[N_RINGS] = is_fast_forward, snapshot_size, len(rings)
    sizes = [len(table) for table in tables.values()] + list(spaces.values())
    head[list(tables) + list(spaces)] = _RINGS + rings.size + np.cumsum([0, *sizes[:-1]])
    rings[:, AT] += _RINGS + rings.size + sum(sizes)
    memory = np.empty(_RINGS + rings.size + sum(sizes) + n_ring_words, np.int64)
    fixed = np.concatenate([head, rings.ravel(), *tables.values()])
    memory[: len(fixed)] = fixed
    memory[head[UPDATED] :] = _NEVER
    return memory


def _head(p: Program) -> IntArray:
    """Sizes and slots; the places of tables are still to be filled in."""
    fields = {
        N_STEPS: p.n_steps,
        N_MICROBATCHES: p.n_microbatches,
        N_PASSES: p.n_passes,
        N_TILES: p.n_tiles,
        N_LANES: p.n_lanes,
        N_NODES: p.n_nodes,
        N_LEAVES: p.n_leaves,
        N_FEEDS: p.n_feeds,
        NODE_SLOTS: p.node_slots,
        LEAF_SLOTS: p.leaf_slots,
        GRADIENT_SLOTS: p.gradient_slots,
        UP_SLOTS: p.up_slots,
        REDUCE_SLOTS: p.reduce_slots,
        DRAIN_SLOTS: p.drain_slots,
        HAS_JITTER: p.jitter_ps.size > 0,
        TILE_PERIOD: _tile_period(p),
        FOLLOW_ROWS: _follow_rows(p),
        UPDATES_PER_STEP: p.n_tiles * int(p.has_gradient.sum()),
        ALL_TOUCHED: np.bitwise_or.reduce(_touched(p)),
    }
    head = np.zeros(_RINGS, np.int64)
    head[list(fields)] = list(fields.values())
    return head


def _tables(p: Program, is_fast_forward: bool) -> dict[int, IntArray]:
    """What the head's fields of these names point to."""
    upper = np.concatenate([p.node_parent, p.leaf_parent])
    return {
        PASSES: _pass_records(p).ravel(),
        UPPER: upper,
        LATENCY: p.latency_ps[p.edge_class],
        FIRST_CHILD: np.searchsorted(np.sort(upper), np.arange(p.n_nodes + 1)) - 1,  # edge 0 hangs from no node
        CHILDREN: np.argsort(upper, kind="stable")[1:],
        FEED_SLOTS: p.feed_slots,
        FEED_PS: p.feed_ps.ravel(),
        FEED_AFTER: p.feed_after.ravel(),
        DOWN_PS: p.down_ps.T[:, p.edge_class].ravel(),
        UP_PS: p.up_ps.T[:, p.edge_class].ravel(),
        COMPUTE_PS: p.compute_ps.T.ravel(),
        JITTER_PS: p.jitter_ps.T.ravel(),
        ALIKE: _alike_passes(p).ravel() if is_fast_forward else np.zeros(0, np.int64),
    }


def _feeds_from_drain(p: Program) -> bool:
    return bool((p.feed_after >= 0).any())


def _rings(p: Program, is_recording: bool) -> tuple[IntArray, int]:
    """(n_rings, _RING): the rings in the order of `DOWN` and so on, their rows counted from 0; and all their words."""
    # Width, tiles looked back on, tiles to record in one step (0 = the ring is a copy of another's rows).
    wanted = [
        (p.n_edges, max(p.n_lanes, p.node_slots), p.weights_per_step),
        (p.n_leaves, p.leaf_slots, 0),
        (p.n_leaves, 1, p.tiles_per_step),
        (p.n_leaves, p.drain_slots, p.per_step(p.drain_ps)),
        (p.n_edges, max(p.n_lanes, p.gradient_slots, p.reduce_slots), p.gradients_per_step),
        (p.n_nodes, p.up_slots, p.gradients_per_step),
        (1, max(p.n_lanes, p.up_slots), p.gradients_per_step),
    ]
    for slots, feed_ps in zip(p.feed_slots.tolist(), p.feed_ps, strict=True):
        wanted += [(p.n_leaves, 1, p.per_step(feed_ps)), (p.n_leaves, slots, 0)]
    rings = []
    n_words, n_packed = 0, 1  # a snapshot's first word says which pass it is of
    for width, depth, n_per_step in wanted:
        is_recorded = is_recording and n_per_step > 0
        # Before a recorded ring stand the rows of the tiles before the first.
        n_rows = depth + p.n_steps * n_per_step if is_recorded else 1 << depth.bit_length()
        at = n_words + depth * width if is_recorded else n_words
        rings.append((at, -1 if is_recorded else n_rows - 1, width, 0, depth, n_packed))
        n_words += n_rows * width
        n_packed += depth * width
    return np.array(rings, np.int64), n_words


def _pass_records(p: Program) -> IntArray:
    gradient_place = places(p.has_gradient)
    records = np.empty((p.n_passes, _PASS), np.int64)
    records[:, HAS_WEIGHTS] = p.has_weights
    records[:, HAS_GRADIENT] = p.has_gradient
    records[:, DRAIN_TIME] = p.drain_ps
    records[:, REDUCE_TIME] = p.reduce_ps
    records[:, UPDATE_TIME] = p.update_ps
    records[:, ACCUMULATE_TIME] = p.accumulate_ps
    records[:, WAITS_FOR] = np.where(p.waits_for >= 0, gradient_place[p.waits_for], -1)
    records[:, GRADIENT_PLACE] = gradient_place
    records[:, DRAINED_PLACE] = places(p.drain_ps) if _feeds_from_drain(p) else -1
    records[:, FOLLOWS] = p.follows
    records[:, LAG] = p.lag_ps
    records[:, TOUCHED] = _touched(p)
    return records


def _follow_distance(p: Program) -> IntArray:
    """(n_passes,): how many passes back the pass stands that each follows; 0 = it follows none."""
    return np.where(p.follows >= 0, np.arange(p.n_passes) - p.follows, 0)


def _follow_rows(p: Program) -> int:
    """How many passes back a pass that may be like others looks."""
    distance = _follow_distance(p)
    return int(distance[distance <= _LONGEST_FOLLOW].max(initial=1))


def _alike_passes(p: Program) -> IntArray:
    """(_LONGEST_PERIOD, n_passes + 1) of 0 or 1: is pass p in every table as the one 1, 2, ... passes before it is?"""
    distance = _follow_distance(p)
    alone = np.where(distance > _LONGEST_FOLLOW, np.arange(p.n_passes), -1)
    flags = (p.has_weights, p.has_gradient, distance, alone, p.lag_ps, p.drain_ps)
    services = (p.down_ps, p.up_ps, p.compute_ps, p.feed_ps, p.reduce_ps, p.update_ps, p.accumulate_ps)
    table = np.vstack([*flags, *services])
    alike = np.zeros((_LONGEST_PERIOD, p.n_passes + 1), np.int64)
    for period in range(1, min(_LONGEST_PERIOD + 1, p.n_passes)):
        alike[period - 1, period:-1] = (table[:, period:] == table[:, :-period]).all(axis=0)
    return alike


def _touched(p: Program) -> IntArray:
    """(n_passes,): a bit for each ring that the tiles of the pass read and write.

    Rings beyond the 62nd share a bit. The worst of it is that a ring standing still is taken for one that moves: its
    state then never looks repeated.
    """

    def bits(chosen: IntArray, *rings: int) -> IntArray:
        bit = sum({1 << min((ring - _RINGS) // _RING, _LAST_BIT) for ring in rings})
        return np.where(chosen != 0, bit, 0)

    touched = bits(np.ones(p.n_passes, np.int64), COMPUTE) | bits(p.has_weights, DOWN, SERVED) | bits(p.drain_ps, DRAIN)
    touched |= bits(p.has_gradient, UP, REDUCE, UPDATE)
    for k in range(p.n_feeds):
        feed = FEED + k * _FEED_RINGS
        touched |= bits(p.feed_ps[k], feed, feed + _FEED_SERVED)
    return touched


def _tile_period(p: Program) -> int:
    """Tiles after which a steady stream repeats: each loop of credits has one of its slots in every such period."""
    slots = (p.node_slots, p.leaf_slots, p.gradient_slots, p.up_slots, p.reduce_slots, p.drain_slots, p.n_lanes)
    period = math.lcm(*slots, *p.feed_slots.tolist())
    return period if period <= _LONGEST_TILE_PERIOD else 1


# ---- the stream ------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", cache=True, nogil=True)
def _run(memory):  # type: ignore[no-untyped-def]
    M = pointer(memory)
    _begin(M)
    step = np.int64(0)  # a bare 0 is a type of its own, for which numba would compile everything once more
    while step < M[N_STEPS]:
        if M[IS_FAST_FORWARD] and _skip_steps(M, step):
            return
        _run_step(M, step)
        end = _NEVER
        for w in range(M[N_LEAVES]):
            end = max(end, M[_row(M, COMPUTE, 1) + w])
        M[M[STEP_ENDS] + step] = end
        step += 1


@_kernel
def _begin(M):  # type: ignore[no-untyped-def]
    """Let the servers that may start at once be free at 0: the source, the feeds and the leaves."""
    for lane in range(1, M[N_LANES] + 1):
        M[_row(M, DOWN, lane)] = 0
    _fill(M, _row(M, COMPUTE, 1), 0, M[N_LEAVES])
    for k in range(M[N_FEEDS]):
        _fill(M, _row(M, FEED + k * _FEED_RINGS, 1), 0, M[N_LEAVES])
    if M[IS_FAST_FORWARD]:
        _count_alike(M)


@_kernel
def _run_step(M, step):  # type: ignore[no-untyped-def]
    microbatch = np.int64(0)
    while microbatch < M[N_MICROBATCHES]:
        if M[IS_FAST_FORWARD]:
            microbatch += _skip_microbatches(M, microbatch)
        p = np.int64(0)
        while p < M[N_PASSES]:
            if M[IS_FAST_FORWARD]:
                p += _skip_passes(M, step, microbatch, p)
            if p < M[N_PASSES]:
                _run_pass(M, step, microbatch, p)
            p += 1
        microbatch += 1


@_kernel
def _run_pass(M, step, microbatch, p):  # type: ignore[no-untyped-def]
    tile = np.int64(0)
    mark = 1  # tile before which the state was last looked at; the first tile of a pass is like no other
    while tile < M[N_TILES]:
        if M[IS_FAST_FORWARD]:
            if tile == mark:
                _take_snapshot(M, _OF_TILE)
            elif tile == mark + M[TILE_PERIOD]:
                tile += _skip_tiles(M, step, microbatch, p, tile)
                mark = tile + tile // 4  # ever more rarely, for looking costs time as well
                if tile == M[N_TILES]:
                    break
                if mark == tile:
                    _take_snapshot(M, _OF_TILE)
        _run_tile(M, step, microbatch, p, tile)
        tile += 1
    _copy(M, _pass_end(M, p), _row(M, COMPUTE, 1), M[N_LEAVES])


@_kernel
def _run_tile(M, step, microbatch, p, tile):  # type: ignore[no-untyped-def]
    record = M[PASSES] + p * _PASS
    for k in range(M[N_FEEDS]):
        if M[M[FEED_PS] + k * M[N_PASSES] + p] > 0:
            _feed(M, k, p, tile)
    if M[record + HAS_WEIGHTS]:
        _send_down(M, record, step, p, tile)
    occurrence = (step * M[N_MICROBATCHES] + microbatch) * M[N_PASSES] + p
    _serve(M, record, p, tile, occurrence)
    if M[record + DRAIN_TIME] > 0:
        _drain(M, record, tile)
    if M[record + HAS_GRADIENT]:
        is_last = microbatch == M[N_MICROBATCHES] - 1
        _sum_up(M, record, p, is_last)
        if is_last:
            M[_updated(M, step, M[record + GRADIENT_PLACE], tile)] = M[_row(M, UPDATE, 1)]
    M[N_TILES_RUN] += 1


# ---- one tile, server after server -----------------------------------------------------------------------------------


@_kernel
def _feed(M, k, p, tile):  # type: ignore[no-untyped-def]
    feed = FEED + k * _FEED_RINGS
    n = M[N_LEAVES]
    now = _row(M, feed, 0)
    _copy(M, now, _row(M, feed, 1), n)
    _raise(M, now, _row(M, feed + _FEED_SERVED, M[M[FEED_SLOTS] + k]), 0, n)
    source = M[M[FEED_AFTER] + k * M[N_PASSES] + p]
    if source >= 0:
        _raise(M, now, _drained(M, source, tile), 0, n)
    _add(M, now, M[M[FEED_PS] + k * M[N_PASSES] + p], n)


@_kernel
def _send_down(M, record, step, p, tile):  # type: ignore[no-untyped-def]
    n_nodes, n_edges, n_leaves = M[N_NODES], M[N_NODES] + M[N_LEAVES], M[N_LEAVES]
    upper, latency, service = M[UPPER], M[LATENCY], M[DOWN_PS] + p * n_edges
    now, before, gone = _row(M, DOWN, 0), _row(M, DOWN, 1), _row(M, DOWN, M[NODE_SLOTS])
    for e in range(n_nodes):
        free = _NEVER
        for k in range(M[M[FIRST_CHILD] + e], M[M[FIRST_CHILD] + e + 1]):
            free = max(free, M[gone + M[M[CHILDREN] + k]])
        if e == 0:
            ready = M[_row(M, DOWN, M[N_LANES])]
            if M[record + WAITS_FOR] >= 0:
                ready = max(ready, M[_updated(M, step - 1, M[record + WAITS_FOR], tile)])
        else:
            ready = max(M[before + e], M[now + M[upper + e]] + M[latency + M[upper + e]])
        M[now + e] = max(ready, free + M[latency + e]) + M[service + e]
    for e in range(n_nodes, n_edges):
        M[now + e] = M[now + M[upper + e]] + M[latency + M[upper + e]]
    _raise(M, now + n_nodes, before + n_nodes, 0, n_leaves)
    _raise_by(M, now + n_nodes, _row(M, SERVED, M[LEAF_SLOTS]), latency + n_nodes, n_leaves)
    _add_row(M, now + n_nodes, service + n_nodes, n_leaves)
    M[DOWN + NEXT] += 1


@_kernel
def _serve(M, record, p, tile, occurrence):  # type: ignore[no-untyped-def]
    n_nodes, n = M[N_NODES], M[N_LEAVES]
    now = _row(M, COMPUTE, 0)
    _copy(M, now, _row(M, COMPUTE, 1), n)
    if M[record + HAS_WEIGHTS]:
        _raise_by(M, now, _row(M, DOWN, 1) + n_nodes, M[LATENCY] + n_nodes, n)
    for k in range(M[N_FEEDS]):
        if M[M[FEED_PS] + k * M[N_PASSES] + p] > 0:
            _raise(M, now, _row(M, FEED + k * _FEED_RINGS, 0), 0, n)
    if M[record + HAS_GRADIENT]:
        _raise(M, now, _row(M, UP, M[GRADIENT_SLOTS]) + n_nodes, 0, n)
    if M[record + DRAIN_TIME] > 0:
        _raise(M, now, _row(M, DRAIN, M[DRAIN_SLOTS]), 0, n)
    if tile == 0 and M[record + FOLLOWS] >= 0:
        _raise(M, now, _pass_end(M, M[record + FOLLOWS]), M[record + LAG], n)
    _add_row(M, now, M[COMPUTE_PS] + p * n, n)
    if tile == 0 and M[HAS_JITTER]:
        _add_row(M, now, M[JITTER_PS] + occurrence * n, n)
    M[COMPUTE + NEXT] += 1
    if M[record + HAS_WEIGHTS]:
        _copy(M, _row(M, SERVED, 0), now, n)
        M[SERVED + NEXT] += 1
    for k in range(M[N_FEEDS]):
        if M[M[FEED_PS] + k * M[N_PASSES] + p] > 0:
            feed = FEED + k * _FEED_RINGS
            _copy(M, _row(M, feed + _FEED_SERVED, 0), now, n)
            M[feed + NEXT] += 1
            M[feed + _FEED_SERVED + NEXT] += 1


@_kernel
def _drain(M, record, tile):  # type: ignore[no-untyped-def]
    n = M[N_LEAVES]
    now = _row(M, DRAIN, 0)
    _copy(M, now, _row(M, COMPUTE, 1), n)
    _raise(M, now, _row(M, DRAIN, 1), 0, n)
    _add(M, now, M[record + DRAIN_TIME], n)
    M[DRAIN + NEXT] += 1
    if M[record + DRAINED_PLACE] >= 0:
        _copy(M, M[DRAINED] + (M[record + DRAINED_PLACE] * M[N_TILES] + tile) * n, now, n)


@_kernel
def _sum_up(M, record, p, is_last):  # type: ignore[no-untyped-def]
    n_nodes, n_edges, n_leaves = M[N_NODES], M[N_NODES] + M[N_LEAVES], M[N_LEAVES]
    upper, latency, service = M[UPPER], M[LATENCY], M[UP_PS] + p * n_edges
    now, before, held = _row(M, UP, 0), _row(M, UP, 1), _row(M, UP, M[REDUCE_SLOTS])
    sums, sums_before, taken = _row(M, REDUCE, 0), _row(M, REDUCE, 1), _row(M, REDUCE, M[UP_SLOTS])
    for e in range(n_nodes, n_edges):
        M[now + e] = M[taken + M[upper + e]] + M[latency + e]
    _raise(M, now + n_nodes, before + n_nodes, 0, n_leaves)
    _raise(M, now + n_nodes, _row(M, COMPUTE, 1), 0, n_leaves)
    _add_row(M, now + n_nodes, service + n_nodes, n_leaves)
    for e in range(n_nodes - 1, -1, -1):
        ready = max(M[sums_before + e], M[held + e])
        for k in range(M[M[FIRST_CHILD] + e], M[M[FIRST_CHILD] + e + 1]):
            child = M[M[CHILDREN] + k]
            ready = max(ready, M[now + child] + M[latency + child])
        done = ready + M[record + REDUCE_TIME]
        M[sums + e] = done
        if e == 0:
            done = max(done, M[_row(M, UP, M[N_LANES])])
            free = M[_row(M, UPDATE, M[UP_SLOTS])]
        else:
            done = max(done, M[before + e])
            free = M[taken + M[upper + e]]
        M[now + e] = max(done, free + M[latency + e]) + M[service + e]
    ready = max(M[now] + M[latency], M[_row(M, UPDATE, M[N_LANES])])
    M[_row(M, UPDATE, 0)] = ready + (M[record + UPDATE_TIME] if is_last else M[record + ACCUMULATE_TIME])
    M[UP + NEXT] += 1
    M[REDUCE + NEXT] += 1
    M[UPDATE + NEXT] += 1


# ---- fast-forward: pieces of the stream that move every time by the same ---------------------------------------------


@_kernel
def _skip_tiles(M, step, microbatch, p, tile):  # type: ignore[no-untyped-def]
    """How many tiles to leave out before `tile`, the last `TILE_PERIOD` having moved every time by the same."""
    period = M[TILE_PERIOD]
    n_times = (M[N_TILES] - tile) // period
    touched = M[M[PASSES] + p * _PASS + TOUCHED]
    snapshot = _snapshot(M, _OF_TILE)
    by = _moved(M, snapshot, touched)
    if n_times == 0 or by == 0 or not _is_free(M, snapshot, step, p, p + 1):
        return 0
    _write_skipped(M, step, microbatch, p, tile, p, tile - period, n_times * period, by)
    _move(M, touched, n_times * by)
    return n_times * period


@_kernel
def _skip_passes(M, step, microbatch, p):  # type: ignore[no-untyped-def]
    """How many passes to leave out before pass p, those before it having moved every time by the same."""
    occurrence = (step * M[N_MICROBATCHES] + microbatch) * M[N_PASSES] + p
    for period in range(1, _LONGEST_PERIOD + 1):
        n_times = M[_alike(M, p, period)] // period
        if n_times == 0:
            continue
        touched = 0
        for earlier in range(p - period, p):
            touched |= M[M[PASSES] + earlier * _PASS + TOUCHED]
        snapshot = _snapshot(M, (p - period) % _PASS_SNAPSHOTS)
        if M[snapshot] != occurrence - period:
            continue  # it is of a pass before those left out
        by = _moved(M, snapshot, touched)
        if (
            by == 0
            or not _followed_moved(M, snapshot, p, by)
            or not _is_free(M, snapshot, step, p - period, p + n_times * period)
        ):
            continue
        for later in range(p, p + n_times * period):
            _write_skipped(M, step, microbatch, later, 0, later - period, 0, M[N_TILES], by)
            _copy_moved(M, _pass_end(M, later), _pass_end(M, later - period), by, M[N_LEAVES])
        _move(M, touched, n_times * by)
        _take_pass_snapshot(M, p + n_times * period, occurrence + n_times * period)
        return n_times * period
    _take_pass_snapshot(M, p, occurrence)
    return 0


@_kernel
def _take_pass_snapshot(M, p, occurrence):  # type: ignore[no-untyped-def]
    _take_snapshot(M, p % _PASS_SNAPSHOTS)
    snapshot = _snapshot(M, p % _PASS_SNAPSHOTS)
    M[snapshot] = occurrence
    n = M[FOLLOW_ROWS] * M[N_LEAVES]
    _copy(M, snapshot + M[SNAPSHOT_SIZE] - n, _pass_end(M, p) - n, n)


@_kernel
def _followed_moved(M, snapshot, p, by):  # type: ignore[no-untyped-def]
    """Whether the ends of the passes before p, which later passes may follow, have moved by that much as well."""
    n = M[FOLLOW_ROWS] * M[N_LEAVES]
    now, was = _pass_end(M, p) - n, snapshot + M[SNAPSHOT_SIZE] - n
    n_moved = 0
    for x in range(n):
        n_moved += M[now + x] - M[was + x] == by
    return n_moved == n


@_kernel
def _skip_microbatches(M, microbatch):  # type: ignore[no-untyped-def]
    """How many micro-batches to leave out before `microbatch`; neither the first two nor the last."""
    n_times = 0
    if 2 <= microbatch < M[N_MICROBATCHES] - 1:
        by = _moved(M, _snapshot(M, _OF_MICROBATCH), M[ALL_TOUCHED])
        if by > 0:
            n_times = M[N_MICROBATCHES] - 1 - microbatch
            _move(M, M[ALL_TOUCHED], n_times * by)
    if microbatch >= 1:
        _take_snapshot(M, _OF_MICROBATCH)
    return n_times


@_kernel
def _skip_steps(M, step):  # type: ignore[no-untyped-def]
    """Whether all steps from `step` on repeat the one before it; if so, write their ends."""
    by = 0
    if step >= 2:
        by = _moved(M, _snapshot(M, _OF_STEP), M[ALL_TOUCHED])
        last, earlier = _updated(M, step - 1, 0, 0), _updated(M, step, 0, 0)
        for i in range(M[UPDATES_PER_STEP]):
            if M[last + i] - M[earlier + i] != by:
                by = 0
                break
    if by > 0:
        for later in range(step, M[N_STEPS]):
            M[M[STEP_ENDS] + later] = M[M[STEP_ENDS] + later - 1] + by
    else:
        _take_snapshot(M, _OF_STEP)
    return by > 0


@_kernel
def _count_alike(M):  # type: ignore[no-untyped-def]
    """From whether a pass is like the one `period` before to how many passes from it on are."""
    for period in range(1, _LONGEST_PERIOD + 1):
        for p in range(M[N_PASSES] - 1, -1, -1):
            M[_alike(M, p, period)] *= M[_alike(M, p + 1, period)] + 1


@_kernel
def _is_free(M, snapshot, step, first, end):  # type: ignore[no-untyped-def]
    """Whether nothing from outside the state binds in passes `first` to `end`, the first begun in state `snapshot`."""
    source_free = M[snapshot + M[DOWN + PACKED]]
    for lane in range(1, M[N_LANES]):
        source_free = min(source_free, M[snapshot + M[DOWN + PACKED] + lane * M[DOWN + WIDTH]])
    for p in range(first, end):
        waits_for = M[M[PASSES] + p * _PASS + WAITS_FOR]
        if M[M[PASSES] + p * _PASS + HAS_WEIGHTS] and waits_for >= 0:
            for tile in range(M[N_TILES] - M[N_LANES], M[N_TILES]):  # the last of each lane
                if M[_updated(M, step - 1, waits_for, tile)] > source_free:
                    return False
        for k in range(M[N_FEEDS]):
            source = M[M[FEED_AFTER] + k * M[N_PASSES] + p]
            if M[M[FEED_PS] + k * M[N_PASSES] + p] == 0 or source < 0:
                continue
            if source >= first:
                return False
            drained, fed = _drained(M, source, M[N_TILES] - 1), snapshot + M[FEED + k * _FEED_RINGS + PACKED]
            for w in range(M[N_LEAVES]):
                if M[drained + w] > M[fed + w]:
                    return False
    return True


@_kernel
def _take_snapshot(M, which):  # type: ignore[no-untyped-def]
    at = _snapshot(M, which)
    for ring in range(_RINGS, _RINGS + M[N_RINGS] * _RING, _RING):
        for back in range(1, M[ring + DEPTH] + 1):
            _copy(M, at + M[ring + PACKED] + (back - 1) * M[ring + WIDTH], _row(M, ring, back), M[ring + WIDTH])


@_kernel
def _moved(M, snapshot, touched):  # type: ignore[no-untyped-def]
    """By how much all that the touched rings look back on has moved since the snapshot; 0 where by different times."""
    by = M[_row(M, COMPUTE, 1)] - M[snapshot + M[COMPUTE + PACKED]]
    for i in range(M[N_RINGS]):
        ring = _RINGS + i * _RING
        if not (touched >> min(i, _LAST_BIT)) & 1:
            continue
        for back in range(1, M[ring + DEPTH] + 1):
            now, was = _row(M, ring, back), snapshot + M[ring + PACKED] + (back - 1) * M[ring + WIDTH]
            for x in range(M[ring + WIDTH]):
                if M[now + x] - M[was + x] != by:
                    return 0
    return by


@_kernel
def _move(M, touched, by):  # type: ignore[no-untyped-def]
    for i in range(M[N_RINGS]):
        ring = _RINGS + i * _RING
        if (touched >> min(i, _LAST_BIT)) & 1:
            for back in range(1, M[ring + DEPTH] + 1):
                _add(M, _row(M, ring, back), by, M[ring + WIDTH])


@_kernel
def _write_skipped(M, step, microbatch, p, tile, like_p, like_tile, n_tiles, by):  # type: ignore[no-untyped-def]
    """What later passes and steps read of tiles that are left out: the times of those like them, moved."""
    record, like = M[PASSES] + p * _PASS, M[PASSES] + like_p * _PASS
    if M[record + HAS_GRADIENT] and microbatch == M[N_MICROBATCHES] - 1:
        updated = _updated(M, step, M[record + GRADIENT_PLACE], tile)
        _copy_moved(M, updated, _updated(M, step, M[like + GRADIENT_PLACE], like_tile), by, n_tiles)
    if M[record + DRAINED_PLACE] >= 0:
        _copy_moved(M, _drained(M, p, tile), _drained(M, like_p, like_tile), by, n_tiles * M[N_LEAVES])


# ---- places in M, and rows of times ----------------------------------------------------------------------------------


@_inline
def _row(M, ring, back):  # type: ignore[no-untyped-def]
    """The row written `back` tiles ago; 0 = the one that is written next."""
    return M[ring + AT] + ((M[ring + NEXT] - back) & M[ring + MASK]) * M[ring + WIDTH]


@_inline
def _updated(M, step, place, tile):  # type: ignore[no-untyped-def]
    """Updates of a step's last micro-batch; those of the step before it are kept beside them."""
    return M[UPDATED] + (step & 1) * M[UPDATES_PER_STEP] + place * M[N_TILES] + tile


@_inline
def _drained(M, p, tile):  # type: ignore[no-untyped-def]
    return M[DRAINED] + (M[M[PASSES] + p * _PASS + DRAINED_PLACE] * M[N_TILES] + tile) * M[N_LEAVES]


@_inline
def _pass_end(M, p):  # type: ignore[no-untyped-def]
    return M[PASS_END] + (p + M[FOLLOW_ROWS]) * M[N_LEAVES]


@_inline
def _alike(M, p, period):  # type: ignore[no-untyped-def]
    return M[ALIKE] + (period - 1) * (M[N_PASSES] + 1) + p


@_inline
def _snapshot(M, which):  # type: ignore[no-untyped-def]
    return M[SNAPSHOTS] + which * M[SNAPSHOT_SIZE]


@_inline
def _fill(M, at, value, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] = value


@_inline
def _copy(M, at, other, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] = M[other + x]


@_inline
def _copy_moved(M, at, other, by, n):  # type: ignore[no-untyped-def]
    """In order: where the two overlap, `at` being behind, what has just been written is copied on."""
    for x in range(n):
        M[at + x] = M[other + x] + by


@_inline
def _add(M, at, plus, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] += plus


@_inline
def _add_row(M, at, other, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] += M[other + x]


@_inline
def _raise(M, at, other, plus, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] = max(M[at + x], M[other + x] + plus)


@_inline
def _raise_by(M, at, other, plus, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] = max(M[at + x], M[other + x] + M[plus + x])
