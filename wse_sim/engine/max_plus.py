"""The max-plus engine: finish times by a recurrence over the stream, in compiled code, without a queue.

Where the order of every server is fixed, a task's finish time is the latest of what `rules` says that it waits for,
plus its service; and everything that it waits for stands earlier in the stream. So one pass over the tiles gives every
time (the max-plus recursion of fork-join networks with finite buffers, Krivulin 1996).

**Rings.** What a task waits for lies a fixed number of tiles back in its stream: one (the server's order), or as many
as a buffer has slots. So each kind of server keeps its last finish times in a ring of rows, a column for each server;
memory does not grow with the steps. A recorded run is the same run with rings as long as the run.

**Tiles at once.** Where every buffer holds a whole pass, no tile waits for what another server does to an earlier tile
of the same pass. Then each server may do all tiles of a pass before the next server starts: the same times, in short
loops. It pays where leaves are few, as after `quotient`; many leaves are served side by side, tile after tile.

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

The kernels are plain Python until `native` compiles them, so that numba need not be there when their object code is.
They share one int64 memory `M`: sizes, tables, rings and results.
"""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wse_sim.engine.native import Kernel, native_kernel
from wse_sim.engine.quotient import quotient
from wse_sim.engine.result import Finish
from wse_sim.schedule.program import IntArray, Program, places

# Before every time, and far enough from the least integer that a latency can be added.
_NEVER = -(1 << 62)
_LONGEST_PERIOD = 3  # passes after which a transformer's passes may repeat
_LONGEST_TILE_PERIOD = 64
_PASSES_IN_A_RING = 4  # where a pass is run at once
_LONGEST_FOLLOW = 4  # passes; one that follows an earlier one is like no other

# Head of M: sizes, slots, where the tables begin, what is known of the run.
(N_STEPS, N_MICROBATCHES, N_PASSES, N_TILES, N_LANES, N_NODES, N_LEAVES, N_FEEDS, N_RINGS) = range(9)
(NODE_SLOTS, LEAF_SLOTS, GRADIENT_SLOTS, UP_SLOTS, REDUCE_SLOTS, DRAIN_SLOTS) = range(9, 15)
(PASSES, UPPER, LATENCY, FIRST_CHILD, CHILDREN, FEED_SLOTS, FEED_PS, FEED_AFTER) = range(15, 23)
(DOWN_PS, UP_PS, COMPUTE_PS, JITTERED_PS) = range(23, 27)  # by pass (jittered: by its coming), a column for each server
(ALIKE, STEP_ENDS, DRAINED, UPDATED, PASS_END, SNAPSHOTS) = range(27, 33)
(HAS_JITTER, IS_FAST_FORWARD, TILE_PERIOD, FOLLOW_ROWS, SNAPSHOT_SIZE, UPDATES_PER_STEP) = range(33, 39)
(ALL_TOUCHED, N_TILES_RUN, MARK, IS_PASS_AT_ONCE, N_ROWS, ROWS_USED, SNAPSHOT_OF) = range(39, 46)
# A ring: its rows, which of them is written next, how many are looked back on, where these stand in a snapshot, and
# the bit by which passes say that they touch it.
(AT, MASK, WIDTH, NEXT, DEPTH, PACKED, BIT) = range(7)
_RING = 7
_RINGS = 46
(DOWN, SERVED, COMPUTE, DRAIN, UP, REDUCE, UPDATE, FEED) = range(_RINGS, _RINGS + 8 * _RING, _RING)
# Each feed has two: what it has brought, and when the tiles that needed it were served.
_FEED_SERVED = _RING
_FEED_RINGS = 2 * _RING
# A pass.
(HAS_WEIGHTS, HAS_GRADIENT, DRAIN_TIME, REDUCE_TIME, UPDATE_TIME, ACCUMULATE_TIME, LAG) = range(7)
(FOLLOWS, WAITS_FOR, GRADIENT_PLACE, DRAINED_PLACE, TOUCHED) = range(7, 12)
_PASS = 12
# Snapshots: one for each of the last passes, and one for the tiles, micro-batches and steps.
_PASS_SNAPSHOTS = _LONGEST_PERIOD + 1
(_OF_TILE, _OF_MICROBATCH, _OF_STEP) = range(_PASS_SNAPSHOTS, _PASS_SNAPSHOTS + 3)
_N_SNAPSHOTS = _PASS_SNAPSHOTS + 3

_KERNELS: list[Callable[..., Any]] = []
_INLINED: list[Callable[..., Any]] = []


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks what is compiled into `_stream`; as it stands here it is Python."""
    _KERNELS.append(function)
    return function


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what is to be compiled anew in each place that calls it, with the constants known there."""
    _INLINED.append(function)
    return function


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
    ValueError, OverflowError
        As `run_max_plus`.
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
    head, tables = _head(p), _tables(p)
    head[IS_FAST_FORWARD] = is_fast_forward
    if is_fast_forward and _is_pass_at_once(p):
        head[IS_PASS_AT_ONCE], head[N_ROWS] = True, _PASSES_IN_A_RING * p.n_tiles
    rings, n_ring_words = _rings(p, is_recording, head[N_ROWS])
    snapshot_size = sum(ring[DEPTH] * ring[WIDTH] for ring in rings)
    spaces = {
        STEP_ENDS: p.n_steps,
        ALIKE: is_fast_forward * _LONGEST_PERIOD * (p.n_passes + 1),
        DRAINED: p.n_leaves * p.n_tiles * int(np.count_nonzero(p.drain_ps)) * _feeds_from_drain(p),
        SNAPSHOTS: is_fast_forward * _N_SNAPSHOTS * snapshot_size,
        UPDATED: 2 * head[UPDATES_PER_STEP],
        # What follows is read before it is written, and is then to be before every time.
        SNAPSHOT_OF: _PASS_SNAPSHOTS,
        PASS_END: p.n_leaves * (_LONGEST_FOLLOW + p.n_passes),
    }
    head[SNAPSHOT_SIZE], head[N_RINGS] = snapshot_size, len(rings)
    at = _RINGS + len(rings) * _RING
    for field, size in [*((field, table.size) for field, table in tables.items()), *spaces.items()]:
        head[field] = at
        at += size
    for ring in rings:
        ring[AT] += at
    memory = np.empty(at + n_ring_words, np.int64)
    fixed = np.concatenate([head, *rings, *tables.values()])
    memory[: len(fixed)] = fixed
    memory[head[SNAPSHOT_OF] : at] = _NEVER
    _begin(memory, p, rings)
    return memory


def _begin(memory: IntArray, p: Program, rings: list[list[int]]) -> None:
    """The rows before the first: the source, the feeds and the leaves are free at 0, and nothing else has been."""
    for i, (at, mask, width, _, depth, *_) in enumerate(rings):
        is_straight = mask < 0
        first = at - depth * width if is_straight else at
        n = depth * width if is_straight else (mask + 1) * width
        memory[first : first + n] = _NEVER
        ring, n_rows = _RINGS + i * _RING, 0 if is_straight else mask + 1
        if ring == DOWN:
            memory[at + (n_rows - p.n_lanes) * width : at + n_rows * width : width] = 0  # the first edge, of each lane
        elif ring == COMPUTE or (ring >= FEED and (ring - FEED) % _FEED_RINGS == 0):
            memory[at + (n_rows - 1) * width : at + n_rows * width] = 0


def _head(p: Program) -> list[int]:
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
        UPDATES_PER_STEP: p.n_tiles * int(p.has_gradient.sum()),
    }
    return [fields.get(field, 0) for field in range(_RINGS)]


def _tables(p: Program) -> dict[int, IntArray]:
    """What the head's fields of these names point to."""
    upper = p.upper
    return {
        PASSES: _pass_records(p).ravel(),
        UPPER: upper,
        LATENCY: p.latency_ps[p.edge_class],
        FIRST_CHILD: np.searchsorted(np.sort(upper), np.arange(p.n_nodes + 1)) - 1,  # edge 0 hangs from no node
        CHILDREN: np.argsort(upper, kind="stable")[1:],
        FEED_SLOTS: p.feed_slots,
        FEED_PS: p.feed_ps.ravel(),
        FEED_AFTER: np.where(p.feed_ps > 0, p.feed_after, -1).ravel(),
        DOWN_PS: p.down_ps.T[:, p.edge_class].ravel(),
        UP_PS: p.up_ps.T[:, p.edge_class].ravel(),
        COMPUTE_PS: p.compute_ps.T.ravel(),
        JITTERED_PS: _jittered_ps(p).T.ravel(),
    }


def _jittered_ps(p: Program) -> IntArray:
    """(n_leaves, comings of a pass): the service of its first tile; no columns where there is no jitter."""
    return p.jitter_ps + np.tile(p.compute_ps, p.n_steps * p.n_microbatches) if p.jitter_ps.size else p.jitter_ps


def _feeds_from_drain(p: Program) -> bool:
    return bool((p.feed_after >= 0).any())


def _rings(p: Program, is_recording: bool, n_straight: int) -> tuple[list[list[int]], int]:
    """The rings in the order of `DOWN` and so on, their rows counted from 0; and all their words.

    Where `n_straight` is not 0, so many rows are written before a ring goes on at its beginning (`_make_room`).
    """
    # Width, and tiles looked back on.
    sizes = [
        (p.n_edges, max(p.n_lanes, p.node_slots)),
        (p.n_leaves, p.leaf_slots),
        (p.n_leaves, 1),
        (p.n_leaves, p.drain_slots),
        (p.n_edges, max(p.n_lanes, p.gradient_slots, p.reduce_slots)),
        (p.n_nodes, p.up_slots),
        (1, max(p.n_lanes, p.up_slots)),
    ]
    for slots in p.feed_slots.tolist():
        sizes += [(p.n_leaves, 1), (p.n_leaves, slots)]
    recorded = _tiles_recorded(p) if is_recording else [n_straight] * len(sizes)
    rings: list[list[int]] = []
    n_words, n_packed = 0, 0
    for (width, depth), n_written in zip(sizes, recorded, strict=True):
        # Before rows that stand straight come those of the tiles before the first.
        n_rows = depth + n_written if n_written else 1 << depth.bit_length()
        at = n_words + depth * width if n_written else n_words
        rings.append([at, -1 if n_written else n_rows - 1, width, 0, depth, n_packed, _bit(len(rings))])
        n_words += n_rows * width
        n_packed += depth * width
    return rings, n_words


def _tiles_recorded(p: Program) -> list[int]:
    """Tiles that each ring records; 0 = its rows are copies of another's."""
    per_step = [p.weights_per_step, 0, p.tiles_per_step, p.per_step(p.drain_ps), *[p.gradients_per_step] * 3]
    for feed_ps in p.feed_ps:
        per_step += [p.per_step(feed_ps), 0]
    return [p.n_steps * n for n in per_step]


def _pass_records(p: Program) -> IntArray:
    gradient_place = places(p.has_gradient)
    records = np.zeros((p.n_passes, _PASS), np.int64)
    records[:, HAS_WEIGHTS] = p.has_weights
    records[:, HAS_GRADIENT] = p.has_gradient
    records[:, DRAIN_TIME] = p.drain_ps
    records[:, REDUCE_TIME] = p.reduce_ps
    records[:, UPDATE_TIME] = p.update_ps
    records[:, ACCUMULATE_TIME] = p.accumulate_ps
    records[:, LAG] = p.lag_ps
    records[:, FOLLOWS] = p.follows
    records[:, GRADIENT_PLACE] = gradient_place
    records[:, WAITS_FOR] = np.where(p.has_weights & (p.waits_for >= 0), gradient_place[p.waits_for], -1)
    records[:, DRAINED_PLACE] = places(p.drain_ps) if _feeds_from_drain(p) else -1
    return records


def _bit(i: int) -> int:
    """By which the i-th ring is told.

    Rings beyond the 62nd share a bit. The worst of it is that a ring standing still is taken for one that moves: its
    state then never looks repeated.
    """
    return 1 << min(i, 62)


def _slots(p: Program) -> list[int]:
    slots = (p.node_slots, p.leaf_slots, p.gradient_slots, p.up_slots, p.reduce_slots, p.drain_slots)
    return [*slots, *p.feed_slots.tolist()]


def _is_pass_at_once(p: Program) -> bool:
    """Whether buffers hold a whole pass, so that no tile waits for another server's work on an earlier tile of it."""
    return min(_slots(p)) >= p.n_tiles


def _tile_period(p: Program) -> int:
    """Tiles after which a steady stream repeats: each loop of credits has one of its slots in every such period.

    0 where buffers hold a whole pass: then tiles look back on other passes, and do not repeat within one.
    """
    slots = _slots(p)
    if max(slots) >= p.n_tiles:
        return 0
    period = math.lcm(p.n_lanes, *slots)
    return period if period <= _LONGEST_TILE_PERIOD else 1


# ---- the stream ------------------------------------------------------------------------------------------------------


def _run(memory: IntArray) -> None:
    """Fill rings and results, in compiled code."""
    _compiled()(memory)


@cache
def _compiled() -> Kernel:
    return native_kernel(Path(__file__), _stream, _KERNELS, _INLINED)


def _stream(M):  # type: ignore[no-untyped-def]
    if M[IS_FAST_FORWARD]:
        _look_for_likes(M)
    step = 0
    while step < M[N_STEPS]:
        microbatch = 0
        while microbatch < M[N_MICROBATCHES]:
            p = 0
            while p < M[N_PASSES]:
                tile = 0
                if M[IS_PASS_AT_ONCE]:
                    _make_room(M)
                    _bring(M, p, 0, M[N_TILES])
                    _send_down(M, step, p, 0, M[N_TILES])
                    _serve(M, step, microbatch, p, 0, M[N_TILES])
                    _drain(M, p, 0, M[N_TILES])
                    _sum_up(M, step, microbatch, p, 0, M[N_TILES])
                    tile = M[N_TILES]
                while tile < M[N_TILES]:
                    _bring(M, p, tile, 1)
                    _send_down(M, step, p, tile, 1)
                    _serve(M, step, microbatch, p, tile, 1)
                    _drain(M, p, tile, 1)
                    _sum_up(M, step, microbatch, p, tile, 1)
                    tile += 1 + _skip_tiles(M, step, microbatch, p, tile + 1)
                _copy(M, _pass_end(M, p), _row(M, COMPUTE, 1), 0, M[N_LEAVES])
                p += 1 + _skip_passes(M, step, microbatch, p + 1)
            microbatch += 1 + _skip_microbatches(M, microbatch + 1)
        _end_step(M, step)
        step += 1 + _skip_steps(M, step + 1)


@_kernel
def _end_step(M, step):  # type: ignore[no-untyped-def]
    last, end = _row(M, COMPUTE, 1), _NEVER
    for w in range(M[N_LEAVES]):
        end = max(end, M[last + w])
    M[M[STEP_ENDS] + step] = end


@_kernel
def _make_room(M):  # type: ignore[no-untyped-def]
    """Where the rings are full, go on at their beginning, with the rows that are looked back on."""
    M[ROWS_USED] += M[N_TILES]
    if M[ROWS_USED] <= M[N_ROWS]:
        return
    M[ROWS_USED] = M[N_TILES]
    for ring in range(_RINGS, _RINGS + M[N_RINGS] * _RING, _RING):
        now = _row(M, ring, M[ring + DEPTH])
        M[ring + NEXT] = 0
        _copy(M, _row(M, ring, M[ring + DEPTH]), now, 0, M[ring + DEPTH] * M[ring + WIDTH])


# ---- tiles, server after server --------------------------------------------------------------------------------------
# Each server looks whether the pass has work for it, and then does it for `n` tiles: all of the pass, or one. Where
# there is nothing to wait for, an earlier tile of the server's own stands in.


@_inlined
def _bring(M, p, tile, n):  # type: ignore[no-untyped-def]
    for k in range(M[N_FEEDS]):
        service = M[_of_feed(M, FEED_PS, k, p)]
        if service == 0:
            continue
        feed, n_leaves = FEED + k * _FEED_RINGS, M[N_LEAVES]
        now, before, room = _row(M, feed, 0), _row(M, feed, 1), _row(M, feed + _FEED_SERVED, M[M[FEED_SLOTS] + k])
        drained, pitch, source = before, 0, M[_of_feed(M, FEED_AFTER, k, p)]
        if source >= 0:
            drained, pitch = _drained(M, source, tile), n_leaves
        for _ in range(n):
            for w in range(n_leaves):
                M[now + w] = max(max(M[before + w], M[room + w]), M[drained + w]) + service
            before = now
            now, room, drained = now + n_leaves, room + n_leaves, drained + pitch
        M[feed + NEXT] += n


@_inlined
def _send_down(M, step, p, tile, n):  # type: ignore[no-untyped-def]
    record = M[PASSES] + p * _PASS
    if not M[record + HAS_WEIGHTS]:
        return
    n_nodes, n_edges = M[N_NODES], M[N_NODES] + M[N_LEAVES]
    upper, latency, service = M[UPPER], M[LATENCY], M[DOWN_PS] + p * n_edges
    first, before_first, gone_first = _row(M, DOWN, 0), _row(M, DOWN, 1), _row(M, DOWN, M[NODE_SLOTS])
    lane_first, updated = _row(M, DOWN, M[N_LANES]), _updated(M, step - 1, M[record + WAITS_FOR], tile)
    is_waiting = step > 0 and M[record + WAITS_FOR] >= 0
    for e in range(n_nodes):
        now, before, gone, lane = first, before_first, gone_first, lane_first
        above, takes, flight = M[upper + e], M[service + e], M[latency + e]
        first_child, end_child = M[CHILDREN] + M[M[FIRST_CHILD] + e], M[CHILDREN] + M[M[FIRST_CHILD] + e + 1]
        for t in range(n):
            free = _NEVER
            for child in range(first_child, end_child):
                free = max(free, M[gone + M[child]])
            if e == 0:
                ready = M[lane]
                if is_waiting:
                    ready = max(ready, M[updated + t])
            else:
                ready = max(M[before + e], M[now + above] + M[latency + above])
            M[now + e] = max(ready, free + flight) + takes
            before = now
            now, gone, lane = now + n_edges, gone + n_edges, lane + n_edges
    now, before, served = first, before_first, _row(M, SERVED, M[LEAF_SLOTS]) - n_nodes
    for _ in range(n):
        for e in range(n_nodes, n_edges):
            there = M[now + M[upper + e]] + M[latency + M[upper + e]]
            M[now + e] = max(max(M[before + e], there), M[served + e] + M[latency + e]) + M[service + e]
        before = now
        now, served = now + n_edges, served + M[N_LEAVES]
    M[DOWN + NEXT] += n


@_inlined
def _serve(M, step, microbatch, p, tile, n):  # type: ignore[no-untyped-def]
    record, n_nodes, n_leaves = M[PASSES] + p * _PASS, M[N_NODES], M[N_LEAVES]
    now, before, service = _row(M, COMPUTE, 0), _row(M, COMPUTE, 1), M[COMPUTE_PS] + p * n_leaves
    if tile == 0 and M[HAS_JITTER]:
        service = M[JITTERED_PS] + ((step * M[N_MICROBATCHES] + microbatch) * M[N_PASSES] + p) * n_leaves
    # Of a pass without weights: the last weights that came, which have been served.
    weights, weights_pitch, latency = _row(M, DOWN, 1) + n_nodes, 0, M[LATENCY] + n_nodes
    if M[record + HAS_WEIGHTS]:
        weights, weights_pitch = _row(M, DOWN, n) + n_nodes, n_nodes + n_leaves
    room, room_pitch = before, 0
    if M[record + HAS_GRADIENT]:
        room, room_pitch = _row(M, UP, M[GRADIENT_SLOTS]) + n_nodes, n_nodes + n_leaves
    drained, drained_pitch = before, 0
    if M[record + DRAIN_TIME]:
        drained, drained_pitch = _row(M, DRAIN, M[DRAIN_SLOTS]), n_leaves
    fed, fed_pitch = before, 0
    for k in range(M[N_FEEDS]):
        if M[_of_feed(M, FEED_PS, k, p)]:
            brought = _row(M, FEED + k * _FEED_RINGS, n)
            if fed_pitch:
                _latest(M, now, fed, brought, n * n_leaves)
                brought = now
            fed, fed_pitch = brought, n_leaves
    served = now
    for t in range(n):
        for w in range(n_leaves):
            ready = max(max(M[before + w], M[weights + w] + M[latency + w]), max(M[room + w], M[drained + w]))
            M[now + w] = max(ready, M[fed + w]) + M[service + w]
        if tile + t == 0 and M[record + FOLLOWS] >= 0:
            _raise(M, now, _pass_end(M, M[record + FOLLOWS]), M[record + LAG], service, n_leaves)
        before = now
        now, weights, room = now + n_leaves, weights + weights_pitch, room + room_pitch
        drained, fed = drained + drained_pitch, fed + fed_pitch
    if M[record + HAS_WEIGHTS]:
        _copy(M, _row(M, SERVED, 0), served, 0, n * n_leaves)
        M[SERVED + NEXT] += n
    for k in range(M[N_FEEDS]):
        if M[_of_feed(M, FEED_PS, k, p)]:
            room = FEED + k * _FEED_RINGS + _FEED_SERVED
            _copy(M, _row(M, room, 0), served, 0, n * n_leaves)
            M[room + NEXT] += n
    M[COMPUTE + NEXT] += n
    M[N_TILES_RUN] += n


@_inlined
def _drain(M, p, tile, n):  # type: ignore[no-untyped-def]
    record, n_leaves = M[PASSES] + p * _PASS, M[N_LEAVES]
    service = M[record + DRAIN_TIME]
    if service == 0:
        return
    now, before, served = _row(M, DRAIN, 0), _row(M, DRAIN, 1), _row(M, COMPUTE, n)
    for _ in range(n):
        for w in range(n_leaves):
            M[now + w] = max(M[before + w], M[served + w]) + service
        before = now
        now, served = now + n_leaves, served + n_leaves
    if M[record + DRAINED_PLACE] >= 0:
        _copy(M, _drained(M, p, tile), _row(M, DRAIN, 0), 0, n * n_leaves)
    M[DRAIN + NEXT] += n


@_inlined
def _sum_up(M, step, microbatch, p, tile, n):  # type: ignore[no-untyped-def]
    record = M[PASSES] + p * _PASS
    if not M[record + HAS_GRADIENT]:
        return
    n_nodes, n_edges = M[N_NODES], M[N_NODES] + M[N_LEAVES]
    upper, latency, service = M[UPPER], M[LATENCY], M[UP_PS] + p * n_edges
    first, before_first, taken_first = _row(M, UP, 0), _row(M, UP, 1), _row(M, REDUCE, M[UP_SLOTS])
    now, before, taken, served = first, before_first, taken_first, _row(M, COMPUTE, n) - n_nodes
    for _ in range(n):
        for e in range(n_nodes, n_edges):
            free = M[taken + M[upper + e]] + M[latency + e]
            M[now + e] = max(max(M[before + e], M[served + e]), free) + M[service + e]
        before = now
        now, taken, served = now + n_edges, taken + n_nodes, served + M[N_LEAVES]
    reduce, held_first, lane_first = M[record + REDUCE_TIME], _row(M, UP, M[REDUCE_SLOTS]), _row(M, UP, M[N_LANES])
    sums_first, sums_before_first, updated = _row(M, REDUCE, 0), _row(M, REDUCE, 1), _row(M, UPDATE, M[UP_SLOTS])
    for e in range(n_nodes - 1, -1, -1):
        now, before, held, lane = first, before_first, held_first, lane_first
        sums, sums_before, taken = sums_first, sums_before_first, taken_first
        above, takes, flight = M[upper + e], M[service + e], M[latency + e]
        first_child, end_child = M[CHILDREN] + M[M[FIRST_CHILD] + e], M[CHILDREN] + M[M[FIRST_CHILD] + e + 1]
        for t in range(n):
            ready = max(M[sums_before + e], M[held + e])
            for child in range(first_child, end_child):
                ready = max(ready, M[now + M[child]] + M[latency + M[child]])
            done = ready + reduce
            M[sums + e] = done
            free = M[updated + t] if e == 0 else M[taken + above]
            done = max(done, M[lane] if e == 0 else M[before + e])
            M[now + e] = max(done, free + flight) + takes
            before, sums_before = now, sums
            now, held, lane = now + n_edges, held + n_edges, lane + n_edges
            sums, taken = sums + n_nodes, taken + n_nodes
    _update(M, step, microbatch, p, tile, n)
    M[UP + NEXT] += n
    M[REDUCE + NEXT] += n


@_inlined
def _update(M, step, microbatch, p, tile, n):  # type: ignore[no-untyped-def]
    record, n_edges = M[PASSES] + p * _PASS, M[N_NODES] + M[N_LEAVES]
    is_last = microbatch == M[N_MICROBATCHES] - 1
    takes = M[record + UPDATE_TIME] if is_last else M[record + ACCUMULATE_TIME]
    now, there, lane, flight = _row(M, UPDATE, 0), _row(M, UP, 0), _row(M, UPDATE, M[N_LANES]), M[M[LATENCY]]
    for t in range(n):
        M[now + t] = max(M[there + t * n_edges] + flight, M[lane + t]) + takes
    if is_last:
        _copy(M, _updated(M, step, M[record + GRADIENT_PLACE], tile), now, 0, n)
    M[UPDATE + NEXT] += n


# ---- fast-forward: pieces of the stream that move every time by the same ---------------------------------------------


@_kernel
def _look_for_likes(M):  # type: ignore[no-untyped-def]
    """What fast-forward knows beforehand: the rings that each pass touches, and which passes are like earlier ones."""
    M[FOLLOW_ROWS] = 1
    for p in range(M[N_PASSES]):
        record = M[PASSES] + p * _PASS
        M[record + TOUCHED] = _touched(M, p)
        M[ALL_TOUCHED] |= M[record + TOUCHED]
        distance = _follow_distance(M, p)
        if distance <= _LONGEST_FOLLOW:
            M[FOLLOW_ROWS] = max(M[FOLLOW_ROWS], distance)
    for period in range(1, _LONGEST_PERIOD + 1):
        n_alike = M[ALIKE] + (period - 1) * (M[N_PASSES] + 1)
        M[n_alike + M[N_PASSES]] = 0
        for p in range(M[N_PASSES] - 1, -1, -1):
            M[n_alike + p] = M[n_alike + p + 1] + 1 if p >= period and _is_like(M, p, p - period) else 0


@_kernel
def _touched(M, p):  # type: ignore[no-untyped-def]
    """The bits of the rings that the tiles of the pass read and write."""
    record, bits = M[PASSES] + p * _PASS, M[COMPUTE + BIT]
    if M[record + HAS_WEIGHTS]:
        bits |= M[DOWN + BIT] | M[SERVED + BIT]
    if M[record + HAS_GRADIENT]:
        bits |= M[UP + BIT] | M[REDUCE + BIT] | M[UPDATE + BIT]
    if M[record + DRAIN_TIME]:
        bits |= M[DRAIN + BIT]
    for k in range(M[N_FEEDS]):
        if M[_of_feed(M, FEED_PS, k, p)]:
            feed = FEED + k * _FEED_RINGS
            bits |= M[feed + BIT] | M[feed + _FEED_SERVED + BIT]
    return bits


@_kernel
def _is_like(M, p, earlier):  # type: ignore[no-untyped-def]
    """Whether the pass is in every table as the earlier one."""
    distance, n_leaves = _follow_distance(M, p), M[N_LEAVES]
    if distance > _LONGEST_FOLLOW or distance != _follow_distance(M, earlier):
        return False
    n_edges = M[N_NODES] + n_leaves
    for k in range(M[N_FEEDS]):
        if M[_of_feed(M, FEED_PS, k, p)] != M[_of_feed(M, FEED_PS, k, earlier)]:
            return False
    return (
        _all_moved(M, M[PASSES] + p * _PASS, M[PASSES] + earlier * _PASS, 0, FOLLOWS)
        and _all_moved(M, M[COMPUTE_PS] + p * n_leaves, M[COMPUTE_PS] + earlier * n_leaves, 0, n_leaves)
        and _all_moved(M, M[DOWN_PS] + p * n_edges, M[DOWN_PS] + earlier * n_edges, 0, n_edges)
        and _all_moved(M, M[UP_PS] + p * n_edges, M[UP_PS] + earlier * n_edges, 0, n_edges)
    )


@_kernel
def _follow_distance(M, p):  # type: ignore[no-untyped-def]
    """How many passes back the pass stands that it follows; 0 = it follows none."""
    follows = M[M[PASSES] + p * _PASS + FOLLOWS]
    return p - follows if follows >= 0 else 0


@_kernel
def _skip_tiles(M, step, microbatch, p, tile):  # type: ignore[no-untyped-def]
    """How many tiles to leave out before `tile`, the last `TILE_PERIOD` having moved every time by the same."""
    if not M[IS_FAST_FORWARD] or M[TILE_PERIOD] == 0 or tile == M[N_TILES]:
        return 0
    if tile == 1:  # the first tile of a pass is like no other
        M[MARK] = 1
    snapshot, then = _snapshot(M, _OF_TILE), tile
    if tile == M[MARK] + M[TILE_PERIOD]:
        n_times = (M[N_TILES] - tile) // M[TILE_PERIOD]
        touched = M[M[PASSES] + p * _PASS + TOUCHED]
        by = _moved(M, snapshot, touched)
        if n_times > 0 and by != 0 and _is_free(M, snapshot, step, p, p + 1):
            then += n_times * M[TILE_PERIOD]
            _write_skipped(M, step, microbatch, p, tile, p, tile - M[TILE_PERIOD], then - tile, by)
            _move(M, touched, n_times * by)
        M[MARK] = then + then // 4  # ever more rarely, for looking costs time as well
    if then == M[MARK]:
        _take_snapshot(M, snapshot, M[M[PASSES] + p * _PASS + TOUCHED])
    return then - tile


@_kernel
def _skip_passes(M, step, microbatch, p):  # type: ignore[no-untyped-def]
    """How many passes to leave out before pass p, those before it having moved every time by the same."""
    if not M[IS_FAST_FORWARD] or p == M[N_PASSES]:
        return 0
    occurrence = (step * M[N_MICROBATCHES] + microbatch) * M[N_PASSES] + p
    n_skipped, n_followed = 0, M[FOLLOW_ROWS] * M[N_LEAVES]
    for period in range(1, _LONGEST_PERIOD + 1):
        n_times = M[M[ALIKE] + (period - 1) * (M[N_PASSES] + 1) + p] // period
        snapshot = _snapshot(M, (occurrence - period) % _PASS_SNAPSHOTS)
        if (
            n_times == 0 or M[M[SNAPSHOT_OF] + (occurrence - period) % _PASS_SNAPSHOTS] != occurrence - period
        ):  # it is of a pass before those left out
            continue
        touched = 0
        for earlier in range(p - period, p):
            touched |= M[M[PASSES] + earlier * _PASS + TOUCHED]
        by = _moved(M, snapshot, touched)
        # Later passes may follow what ended before p.
        ends, earlier_ends = _pass_end(M, p) - n_followed, _pass_end(M, p - period) - n_followed
        if by == 0 or not _all_moved(M, ends, earlier_ends, by, n_followed):
            continue
        if _is_free(M, snapshot, step, p - period, p + n_times * period):
            n_skipped = n_times * period
            for later in range(p, p + n_skipped):
                _write_skipped(M, step, microbatch, later, 0, later - period, 0, M[N_TILES], by)
            _copy(M, _pass_end(M, p), _pass_end(M, p - period), by, n_skipped * M[N_LEAVES])
            _move(M, touched, n_times * by)
            break
    occurrence += n_skipped
    touched = 0
    for later in range(p + n_skipped, min(p + n_skipped + _LONGEST_PERIOD, M[N_PASSES])):
        touched |= M[M[PASSES] + later * _PASS + TOUCHED]
    _take_snapshot(M, _snapshot(M, occurrence % _PASS_SNAPSHOTS), touched)
    M[M[SNAPSHOT_OF] + occurrence % _PASS_SNAPSHOTS] = occurrence
    return n_skipped


@_kernel
def _skip_microbatches(M, microbatch):  # type: ignore[no-untyped-def]
    """How many micro-batches to leave out before `microbatch`; neither the first two nor the last."""
    n_left = M[N_MICROBATCHES] - 1 - microbatch
    if not M[IS_FAST_FORWARD] or n_left < 1:
        return 0
    snapshot = _snapshot(M, _OF_MICROBATCH)
    if microbatch >= 2:
        by = _moved(M, snapshot, M[ALL_TOUCHED])
        if by > 0:
            _move(M, M[ALL_TOUCHED], n_left * by)
            return n_left
    _take_snapshot(M, snapshot, M[ALL_TOUCHED])
    return 0


@_kernel
def _skip_steps(M, step):  # type: ignore[no-untyped-def]
    """How many steps to leave out before `step`: all, where the one before it moved every time; their ends written."""
    if not M[IS_FAST_FORWARD] or step == M[N_STEPS]:
        return 0
    snapshot = _snapshot(M, _OF_STEP)
    if step >= 2:
        by = _moved(M, snapshot, M[ALL_TOUCHED])
        last, earlier = _updated(M, step - 1, 0, 0), _updated(M, step, 0, 0)
        if by > 0 and _all_moved(M, last, earlier, by, M[UPDATES_PER_STEP]):
            for later in range(step, M[N_STEPS]):
                M[M[STEP_ENDS] + later] = M[M[STEP_ENDS] + later - 1] + by
            return M[N_STEPS] - step
    _take_snapshot(M, snapshot, M[ALL_TOUCHED])
    return 0


@_kernel
def _is_free(M, snapshot, step, first, end):  # type: ignore[no-untyped-def]
    """Whether nothing from outside the state binds in passes `first` to `end`, the first begun in state `snapshot`."""
    source_free = M[_packed(M, snapshot, DOWN, 1)]
    for lane in range(2, M[N_LANES] + 1):
        source_free = min(source_free, M[_packed(M, snapshot, DOWN, lane)])
    for p in range(first, end):
        waits_for = M[M[PASSES] + p * _PASS + WAITS_FOR]
        if step > 0 and waits_for >= 0:
            for tile in range(M[N_TILES] - M[N_LANES], M[N_TILES]):  # the last of each lane
                if M[_updated(M, step - 1, waits_for, tile)] > source_free:
                    return False
        for k in range(M[N_FEEDS]):
            source = M[_of_feed(M, FEED_AFTER, k, p)]
            if source >= first:
                return False
            if source >= 0:
                drained, fed = _drained(M, source, M[N_TILES] - 1), _packed(M, snapshot, FEED + k * _FEED_RINGS, 1)
                for w in range(M[N_LEAVES]):
                    if M[drained + w] > M[fed + w]:
                        return False
    return True


@_kernel
def _take_snapshot(M, snapshot, touched):  # type: ignore[no-untyped-def]
    """Of the touched rings, all that is looked back on."""
    for ring in range(_RINGS, _RINGS + M[N_RINGS] * _RING, _RING):
        if touched & M[ring + BIT]:
            oldest, kept, n = (
                _row(M, ring, M[ring + DEPTH]),
                snapshot + M[ring + PACKED],
                M[ring + DEPTH] * M[ring + WIDTH],
            )
            n_first = _n_before_turn(M, ring)
            _copy(M, kept, oldest, 0, n_first)
            _copy(M, kept + n_first, M[ring + AT], 0, n - n_first)


@_kernel
def _moved(M, snapshot, touched):  # type: ignore[no-untyped-def]
    """By how much all that the touched rings look back on has moved since the snapshot; 0 where by different times."""
    by = M[_row(M, COMPUTE, 1)] - M[_packed(M, snapshot, COMPUTE, 1)]
    for ring in range(_RINGS, _RINGS + M[N_RINGS] * _RING, _RING):
        if touched & M[ring + BIT]:
            oldest, n_first, n = (
                _row(M, ring, M[ring + DEPTH]),
                _n_before_turn(M, ring),
                M[ring + DEPTH] * M[ring + WIDTH],
            )
            kept = snapshot + M[ring + PACKED]
            if not _all_moved(M, oldest, kept, by, n_first):
                return 0
            if not _all_moved(M, M[ring + AT], kept + n_first, by, n - n_first):
                return 0
    return by


@_kernel
def _move(M, touched, by):  # type: ignore[no-untyped-def]
    for ring in range(_RINGS, _RINGS + M[N_RINGS] * _RING, _RING):
        if touched & M[ring + BIT]:
            oldest, n_first, n = (
                _row(M, ring, M[ring + DEPTH]),
                _n_before_turn(M, ring),
                M[ring + DEPTH] * M[ring + WIDTH],
            )
            _copy(M, oldest, oldest, by, n_first)
            _copy(M, M[ring + AT], M[ring + AT], by, n - n_first)


@_kernel
def _write_skipped(M, step, microbatch, p, tile, like_p, like_tile, n_tiles, by):  # type: ignore[no-untyped-def]
    """What later passes and steps read of tiles that are left out: the times of those like them, moved."""
    record, like = M[PASSES] + p * _PASS, M[PASSES] + like_p * _PASS
    if M[record + HAS_GRADIENT] and microbatch == M[N_MICROBATCHES] - 1:
        updated = _updated(M, step, M[record + GRADIENT_PLACE], tile)
        _copy(M, updated, _updated(M, step, M[like + GRADIENT_PLACE], like_tile), by, n_tiles)
    if M[record + DRAINED_PLACE] >= 0:
        _copy(M, _drained(M, p, tile), _drained(M, like_p, like_tile), by, n_tiles * M[N_LEAVES])


# ---- places in M, and rows of times ----------------------------------------------------------------------------------


@_kernel
def _row(M, ring, back):  # type: ignore[no-untyped-def]
    """The row written `back` tiles ago; 0 = the one that is written next."""
    return M[ring + AT] + ((M[ring + NEXT] - back) & M[ring + MASK]) * M[ring + WIDTH]


@_kernel
def _packed(M, snapshot, ring, back):  # type: ignore[no-untyped-def]
    """The same row in a snapshot, where the oldest stands first."""
    return snapshot + M[ring + PACKED] + (M[ring + DEPTH] - back) * M[ring + WIDTH]


@_kernel
def _n_before_turn(M, ring):  # type: ignore[no-untyped-def]
    """Times that are looked back on, from the oldest row to where the ring goes on at its beginning."""
    n_rows = M[ring + DEPTH]
    if M[ring + MASK] >= 0:
        n_rows = min(n_rows, M[ring + MASK] + 1 - ((M[ring + NEXT] - n_rows) & M[ring + MASK]))
    return n_rows * M[ring + WIDTH]


@_kernel
def _updated(M, step, place, tile):  # type: ignore[no-untyped-def]
    """Updates of a step's last micro-batch; those of the step before it are kept beside them."""
    return M[UPDATED] + (step & 1) * M[UPDATES_PER_STEP] + place * M[N_TILES] + tile


@_kernel
def _drained(M, p, tile):  # type: ignore[no-untyped-def]
    return M[DRAINED] + (M[M[PASSES] + p * _PASS + DRAINED_PLACE] * M[N_TILES] + tile) * M[N_LEAVES]


@_kernel
def _pass_end(M, p):  # type: ignore[no-untyped-def]
    return M[PASS_END] + (p + _LONGEST_FOLLOW) * M[N_LEAVES]


@_kernel
def _of_feed(M, table, k, p):  # type: ignore[no-untyped-def]
    return M[table] + k * M[N_PASSES] + p


@_kernel
def _snapshot(M, which):  # type: ignore[no-untyped-def]
    return M[SNAPSHOTS] + which * M[SNAPSHOT_SIZE]


@_kernel
def _copy(M, at, other, by, n):  # type: ignore[no-untyped-def]
    """In order: where the two overlap, `at` being behind, what has just been written is copied on."""
    for x in range(n):
        M[at + x] = M[other + x] + by


@_kernel
def _latest(M, at, one, other, n):  # type: ignore[no-untyped-def]
    for x in range(n):
        M[at + x] = max(M[one + x], M[other + x])


@_kernel
def _raise(M, at, other, lag, service, n):  # type: ignore[no-untyped-def]
    """To what serving from `other` on, and a lag, would give, where that is later."""
    for x in range(n):
        M[at + x] = max(M[at + x], M[other + x] + lag + M[service + x])


@_kernel
def _all_moved(M, now, was, by, n):  # type: ignore[no-untyped-def]
    x = 0
    while x < n and M[now + x] - M[was + x] == by:
        x += 1
    return x == n
