"""The look-ahead discrete-event engine: one event for each task, in compiled code.

A server's next task is scheduled as soon as all that it waits for is *known*, even where that lies in the future (a
tile in flight, a credit on its way back). So arrivals and credits are no events, and the queue holds at most one
completion per server. Only half-duplex edges add a second kind of event, the arbitration at the instant at which a head
is ready.

All kernels stand in this one file: numba's cache does not notice a change in a function of another file.
They share three int64 memories: `M`, the program and the state of its servers as flat records; `H`, the event heap;
`F`, the finish times.
"""

from typing import Any

import numpy as np
from numba import njit

from wse_sim.engine.pointers import pointer
from wse_sim.engine.result import Finish
from wse_sim.engine.rules import ARBITRATE, COMPUTE, DOWN, REDUCE, UP, UPDATE
from wse_sim.schedule.program import IntArray, Program

# An event is one integer, (time - base) << 20 | kind << 16 | entity: the order of `rules` in one comparison.
_ENTITY_BITS = 16
_SHIFT = 20
_REBASE_PS = 1 << 41  # the keys are moved back when they have come this far, so that total time is unlimited
LONGEST_SERVICE_PS = 1 << 41
MOST_ENTITIES = 1 << _ENTITY_BITS
_NEVER = (1 << 63) - 1
_UNKNOWN = -1

# Head of M: sizes, credits, the places of the tables in M and F, the clock.
(N_MICROBATCHES, N_TILES, N_NODES, N_PASSES, N_GRADIENT_PASSES, N_DOWN, N_UP) = range(7)
(GRADIENT_SLOTS, UP_SLOTS, REDUCE_SLOTS, HALF_DUPLEX) = range(7, 11)
(EDGES, LEAVES, PASSES, CHILDREN, DOWN_PS, UP_PS, COMPUTE_PS) = range(11, 18)
(F_COMPUTE, F_UP, F_REDUCE, F_UPDATE) = range(18, 22)  # finish times downwards begin at 0
(NOW, BASE, HEAP_SIZE, N_EVENTS) = range(22, 26)
SINK = 26
# A stream: where a server stands in its sequence of tiles.
(DONE, PASS, TILE, MICROBATCH, STEP, RUNNING, FINISHED_AT) = range(7)
_STREAM = 7
_HEAD = SINK + _STREAM
# An edge, its streams both ways, and the sums of the node below it.
(UPPER, CLASS, LATENCY, SLOTS, LEAF, FIRST_CHILD, N_CHILDREN, IS_BUSY, ARBITRATION) = range(9)
(DOWN_AT, UP_AT, NODE_AT) = (9, 9 + _STREAM, 9 + 2 * _STREAM)
_EDGE = 9 + 3 * _STREAM
# A leaf: its stream, and how many gradients it has begun.
GRADIENTS_BEGUN = _STREAM
_LEAF = _STREAM + 1
# A pass.
(OVERHEAD, HAS_GRADIENT, REDUCE_TIME, UPDATE_TIME, ACCUMULATE_TIME, WAITS_FOR, GRADIENT_PLACE) = range(7)
_PASS = 7

_inline: Any = njit(error_model="numpy", forceinline=True, cache=True)


def run_des(program: Program) -> Finish:
    """Finish times of every task, by the compiled engine.

    Raises
    ------
    OverflowError
        When a single service is too long, or the tree too large, for the event key.
    RuntimeError
        When tasks are left that can never start: the program's credits are in deadlock.
    """
    _check_key(program)
    p = program
    memory = _memory(p)
    n_down, n_up = int(memory[N_DOWN]), int(memory[N_UP])
    times = np.zeros((p.n_edges + p.n_leaves) * n_down + (p.n_edges + p.n_nodes + 1) * n_up, np.int64)
    heap = np.zeros(8 * (p.n_edges + p.n_leaves + p.n_nodes + 2), np.int64)
    _run(memory, heap, times)
    leaf_done = memory[memory[LEAVES] : memory[PASSES]].reshape(-1, _LEAF)[:, DONE]
    if memory[SINK + DONE] != n_up or (leaf_done != n_down).any():
        raise RuntimeError("the program cannot run to its end: its credits are in deadlock")
    down, compute, up, reduce, update = np.split(times, memory[F_COMPUTE : F_UPDATE + 1])
    return Finish(
        down=down.reshape(p.n_edges, n_down),
        compute=compute.reshape(p.n_leaves, n_down),
        up=up.reshape(p.n_edges, n_up),
        reduce=reduce.reshape(p.n_nodes, n_up),
        update=update,
        n_events=int(memory[N_EVENTS]),
    )


def _check_key(p: Program) -> None:
    longest_ps = max(
        int((p.down_ps.max(axis=1) + p.latency_ps).max()),
        int((p.up_ps.max(axis=1) + p.latency_ps).max()),
        int((p.compute_ps + p.overhead_ps).max()),
        int(max(p.reduce_ps.max(), p.update_ps.max(), p.accumulate_ps.max())),
    )
    if longest_ps >= LONGEST_SERVICE_PS:
        raise OverflowError(
            f"one tile takes {longest_ps} ps, the engine's longest service is {LONGEST_SERVICE_PS} ps: use more tiles"
        )
    if p.n_edges >= MOST_ENTITIES:
        raise OverflowError(f"{p.n_edges} edges are more than the engine's {MOST_ENTITIES}")


def _memory(p: Program) -> IntArray:
    """The program as the flat memory M."""
    tables = [
        _edge_records(p).ravel(),
        np.zeros(p.n_leaves * _LEAF, np.int64),
        np.stack(
            [p.overhead_ps, p.has_gradient, p.reduce_ps, p.update_ps, p.accumulate_ps, p.waits_for, p.gradient_index()],
            1,
        ).ravel(),
        np.argsort(_upper(p), kind="stable")[1:],  # edge 0 hangs from no node
        p.down_ps.ravel(),
        p.up_ps.ravel(),
        p.compute_ps.ravel(),
    ]
    head = np.zeros(_HEAD, np.int64)
    n_down, n_up = p.n_steps * p.tiles_per_step, p.n_steps * p.gradients_per_step
    head[: N_UP + 1] = p.n_microbatches, p.n_tiles, p.n_nodes, p.n_passes, p.n_gradient_passes, n_down, n_up
    head[GRADIENT_SLOTS : HALF_DUPLEX + 1] = p.gradient_slots, p.up_slots, p.reduce_slots, p.is_half_duplex
    head[EDGES : COMPUTE_PS + 1] = _HEAD + np.cumsum([0] + [len(table) for table in tables[:-1]])
    head[F_COMPUTE : F_UPDATE + 1] = np.cumsum(
        [p.n_edges * n_down, p.n_leaves * n_down, p.n_edges * n_up, p.n_nodes * n_up]
    )
    head[SINK + PASS] = _first_gradient_pass(p)
    return np.concatenate([head, *tables]).astype(np.int64)


def _edge_records(p: Program) -> IntArray:
    upper = _upper(p)
    edges = np.zeros((p.n_edges, _EDGE), np.int64)
    edges[:, UPPER] = upper
    edges[:, CLASS] = p.edge_class
    edges[:, LATENCY] = p.latency_ps[p.edge_class]
    edges[:, SLOTS] = np.where(np.arange(p.n_edges) < p.n_nodes, p.node_slots, p.leaf_slots)
    edges[:, LEAF] = np.arange(p.n_edges) - p.n_nodes  # negative above a node
    n_children = np.bincount(upper[1:], minlength=p.n_nodes)
    edges[: p.n_nodes, N_CHILDREN] = n_children
    edges[: p.n_nodes, FIRST_CHILD] = np.cumsum(n_children) - n_children
    edges[:, ARBITRATION] = _NEVER
    edges[:, [UP_AT + PASS, NODE_AT + PASS]] = _first_gradient_pass(p)
    return edges


def _upper(p: Program) -> IntArray:
    return np.concatenate([p.node_parent, p.leaf_parent])


def _first_gradient_pass(p: Program) -> int:
    return int(np.argmax(p.has_gradient))


# ---- the event loop --------------------------------------------------------------------------------------------------


@njit(error_model="numpy", cache=True)
def _run(memory, heap, times):  # type: ignore[no-untyped-def]
    M, H, F = pointer(memory), pointer(heap), pointer(times)
    _try_down(M, H, F, 0)
    while M[HEAP_SIZE] > 0:
        key = _pop(M, H)
        M[N_EVENTS] += 1
        M[NOW] = M[BASE] + (key >> _SHIFT)
        if (key >> _SHIFT) >= _REBASE_PS:
            _rebase(M, H)
        kind = (key >> _ENTITY_BITS) & 15
        entity = key & (MOST_ENTITIES - 1)
        if kind == DOWN:
            _down_done(M, H, F, entity)
        elif kind == COMPUTE:
            _compute_done(M, H, F, entity)
        elif kind == UP:
            _up_done(M, H, F, entity)
        elif kind == REDUCE:
            _reduce_done(M, H, F, entity)
        elif kind == UPDATE:
            _update_done(M, H, F)
        else:
            _arbitrate(M, H, F, entity)


# ---- what a completion sets free -------------------------------------------------------------------------------------


@_inline
def _down_done(M, H, F, e):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + e * _EDGE
    _advance(M, edge + DOWN_AT, False)
    M[edge + IS_BUSY] = 0
    if M[edge + LEAF] >= 0:
        _try_compute(M, H, F, M[edge + LEAF])
    else:
        first = M[CHILDREN] + M[edge + FIRST_CHILD]
        for i in range(first, first + M[edge + N_CHILDREN]):
            _try_down(M, H, F, M[i])
    if e > 0:
        _try_down(M, H, F, M[edge + UPPER])
    _try_down(M, H, F, e)
    if M[HALF_DUPLEX]:
        _try_up(M, H, F, e)


@_inline
def _compute_done(M, H, F, leaf):  # type: ignore[no-untyped-def]
    _advance(M, M[LEAVES] + leaf * _LEAF, False)
    _try_down(M, H, F, M[N_NODES] + leaf)
    _try_up(M, H, F, M[N_NODES] + leaf)
    _try_compute(M, H, F, leaf)


@_inline
def _up_done(M, H, F, e):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + e * _EDGE
    _advance(M, edge + UP_AT, True)
    M[edge + IS_BUSY] = 0
    if e == 0:
        _try_update(M, H, F)
    else:
        _try_reduce(M, H, F, M[edge + UPPER])
    if M[edge + LEAF] >= 0:
        _try_compute(M, H, F, M[edge + LEAF])
    else:
        _try_reduce(M, H, F, e)
    _try_up(M, H, F, e)
    if M[HALF_DUPLEX]:
        _try_down(M, H, F, e)


@_inline
def _reduce_done(M, H, F, node):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + node * _EDGE
    _advance(M, edge + NODE_AT, True)
    _try_up(M, H, F, node)
    first = M[CHILDREN] + M[edge + FIRST_CHILD]
    for i in range(first, first + M[edge + N_CHILDREN]):
        _try_up(M, H, F, M[i])
    _try_reduce(M, H, F, node)


@_inline
def _update_done(M, H, F):  # type: ignore[no-untyped-def]
    _advance(M, SINK, True)
    _try_up(M, H, F, 0)
    _try_update(M, H, F)
    _try_down(M, H, F, 0)


# ---- starting a task once all that it waits for is known -------------------------------------------------------------


@njit(error_model="numpy", cache=True)
def _try_down(M, H, F, e):  # type: ignore[no-untyped-def]
    ready = _down_ready(M, F, e)
    if ready == _UNKNOWN:
        return
    if M[HALF_DUPLEX]:
        _request(M, H, e, ready)
    else:
        _start_down(M, H, F, e, ready)


@njit(error_model="numpy", cache=True)
def _try_up(M, H, F, e):  # type: ignore[no-untyped-def]
    ready = _up_ready(M, F, e)
    if ready == _UNKNOWN:
        return
    if M[HALF_DUPLEX]:
        _request(M, H, e, ready)
    else:
        _start_up(M, H, F, e, ready)


@_inline
def _down_ready(M, F, e):  # type: ignore[no-untyped-def]
    """When the next tile of edge e can leave downwards; _UNKNOWN while something that it waits for is."""
    edge = M[EDGES] + e * _EDGE
    at = edge + DOWN_AT
    j = M[at + DONE]
    if M[at + RUNNING] or j == M[N_DOWN]:
        return _UNKNOWN
    ready = M[at + FINISHED_AT]
    if e == 0:
        waited = M[M[PASSES] + M[at + PASS] * _PASS + WAITS_FOR]
        if waited >= 0 and M[at + STEP] > 0:
            place = M[M[PASSES] + waited * _PASS + GRADIENT_PLACE]
            last = M[at + STEP] * M[N_MICROBATCHES] - 1  # micro-batch of the step before that is updated
            g = (last * M[N_GRADIENT_PASSES] + place) * M[N_TILES] + M[at + TILE]
            if M[SINK + DONE] <= g:
                return _UNKNOWN
            ready = max(ready, F[M[F_UPDATE] + g])
    else:
        above = M[EDGES] + M[edge + UPPER] * _EDGE
        if M[above + DOWN_AT + DONE] <= j:
            return _UNKNOWN
        ready = max(ready, F[M[edge + UPPER] * M[N_DOWN] + j] + M[above + LATENCY])
    i = j - M[edge + SLOTS]
    if i < 0:
        return ready
    leaf = M[edge + LEAF]
    if leaf >= 0:
        if M[M[LEAVES] + leaf * _LEAF + DONE] <= i:
            return _UNKNOWN
        return max(ready, F[M[F_COMPUTE] + leaf * M[N_DOWN] + i] + M[edge + LATENCY])
    first = M[CHILDREN] + M[edge + FIRST_CHILD]
    for k in range(first, first + M[edge + N_CHILDREN]):
        if M[M[EDGES] + M[k] * _EDGE + DOWN_AT + DONE] <= i:
            return _UNKNOWN
        ready = max(ready, F[M[k] * M[N_DOWN] + i] + M[edge + LATENCY])
    return ready


@_inline
def _up_ready(M, F, e):  # type: ignore[no-untyped-def]
    """When the next gradient of edge e can leave upwards; _UNKNOWN while something that it waits for is."""
    edge = M[EDGES] + e * _EDGE
    at = edge + UP_AT
    g = M[at + DONE]
    if M[at + RUNNING] or g == M[N_UP]:
        return _UNKNOWN
    leaf = M[edge + LEAF]
    if leaf >= 0:
        passes_before = (M[at + STEP] * M[N_MICROBATCHES] + M[at + MICROBATCH]) * M[N_PASSES] + M[at + PASS]
        j = passes_before * M[N_TILES] + M[at + TILE]
        if M[M[LEAVES] + leaf * _LEAF + DONE] <= j:
            return _UNKNOWN
        ready = max(M[at + FINISHED_AT], F[M[F_COMPUTE] + leaf * M[N_DOWN] + j])
    else:
        if M[edge + NODE_AT + DONE] <= g:
            return _UNKNOWN
        ready = max(M[at + FINISHED_AT], F[M[F_REDUCE] + e * M[N_UP] + g])
    i = g - M[UP_SLOTS]
    if i < 0:
        return ready
    if e == 0:
        if M[SINK + DONE] <= i:
            return _UNKNOWN
        return max(ready, F[M[F_UPDATE] + i] + M[edge + LATENCY])
    above = M[edge + UPPER]
    if M[M[EDGES] + above * _EDGE + NODE_AT + DONE] <= i:
        return _UNKNOWN
    return max(ready, F[M[F_REDUCE] + above * M[N_UP] + i] + M[edge + LATENCY])


@_inline
def _start_down(M, H, F, e, start):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + e * _EDGE
    service = M[M[DOWN_PS] + M[edge + CLASS] * M[N_PASSES] + M[edge + DOWN_AT + PASS]]
    F[e * M[N_DOWN] + M[edge + DOWN_AT + DONE]] = start + service
    _schedule(M, H, edge + DOWN_AT, start + service, DOWN, e)


@_inline
def _start_up(M, H, F, e, start):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + e * _EDGE
    service = M[M[UP_PS] + M[edge + CLASS] * M[N_PASSES] + M[edge + UP_AT + PASS]]
    F[M[F_UP] + e * M[N_UP] + M[edge + UP_AT + DONE]] = start + service
    _schedule(M, H, edge + UP_AT, start + service, UP, e)


@njit(error_model="numpy", cache=True)
def _try_compute(M, H, F, leaf):  # type: ignore[no-untyped-def]
    at = M[LEAVES] + leaf * _LEAF
    e = M[N_NODES] + leaf
    edge = M[EDGES] + e * _EDGE
    j = M[at + DONE]
    if M[at + RUNNING] or j == M[N_DOWN] or M[edge + DOWN_AT + DONE] <= j:
        return
    start = max(M[at + FINISHED_AT], F[e * M[N_DOWN] + j] + M[edge + LATENCY])
    pass_record = M[PASSES] + M[at + PASS] * _PASS
    if M[pass_record + HAS_GRADIENT]:
        i = M[at + GRADIENTS_BEGUN] - M[GRADIENT_SLOTS]
        if i >= 0:
            if M[edge + UP_AT + DONE] <= i:
                return
            start = max(start, F[M[F_UP] + e * M[N_UP] + i])
        M[at + GRADIENTS_BEGUN] += 1
    finish = start + M[M[COMPUTE_PS] + leaf * M[N_PASSES] + M[at + PASS]]
    if M[at + TILE] == 0:
        finish += M[pass_record + OVERHEAD]
    F[M[F_COMPUTE] + leaf * M[N_DOWN] + j] = finish
    _schedule(M, H, at, finish, COMPUTE, leaf)


@njit(error_model="numpy", cache=True)
def _try_reduce(M, H, F, node):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + node * _EDGE
    at = edge + NODE_AT
    g = M[at + DONE]
    if M[at + RUNNING] or g == M[N_UP]:
        return
    start = M[at + FINISHED_AT]
    first = M[CHILDREN] + M[edge + FIRST_CHILD]
    for k in range(first, first + M[edge + N_CHILDREN]):
        child = M[EDGES] + M[k] * _EDGE
        if M[child + UP_AT + DONE] <= g:
            return
        start = max(start, F[M[F_UP] + M[k] * M[N_UP] + g] + M[child + LATENCY])
    i = g - M[REDUCE_SLOTS]
    if i >= 0:
        if M[edge + UP_AT + DONE] <= i:
            return
        start = max(start, F[M[F_UP] + node * M[N_UP] + i])
    finish = start + M[M[PASSES] + M[at + PASS] * _PASS + REDUCE_TIME]
    F[M[F_REDUCE] + node * M[N_UP] + g] = finish
    _schedule(M, H, at, finish, REDUCE, node)


@_inline
def _try_update(M, H, F):  # type: ignore[no-untyped-def]
    g = M[SINK + DONE]
    if M[SINK + RUNNING] or g == M[N_UP] or M[M[EDGES] + UP_AT + DONE] <= g:
        return
    start = max(M[SINK + FINISHED_AT], F[M[F_UP] + g] + M[M[EDGES] + LATENCY])
    is_last = M[SINK + MICROBATCH] == M[N_MICROBATCHES] - 1
    pass_record = M[PASSES] + M[SINK + PASS] * _PASS
    finish = start + (M[pass_record + UPDATE_TIME] if is_last else M[pass_record + ACCUMULATE_TIME])
    F[M[F_UPDATE] + g] = finish
    _schedule(M, H, SINK, finish, UPDATE, 0)


# ---- half-duplex edges -----------------------------------------------------------------------------------------------


@_inline
def _request(M, H, e, ready):  # type: ignore[no-untyped-def]
    """Ask for a decision when a head of edge e is ready, unless it is carrying something or an earlier one is due."""
    edge = M[EDGES] + e * _EDGE
    when = max(ready, M[NOW])
    if not M[edge + IS_BUSY] and when < M[edge + ARBITRATION]:
        M[edge + ARBITRATION] = when
        _push(M, H, when, ARBITRATE, e)


@_inline
def _arbitrate(M, H, F, e):  # type: ignore[no-untyped-def]
    edge = M[EDGES] + e * _EDGE
    if M[NOW] != M[edge + ARBITRATION]:
        return  # an earlier request has taken this one's place
    M[edge + ARBITRATION] = _NEVER
    if M[edge + IS_BUSY]:
        return
    down_ready, up_ready = _down_ready(M, F, e), _up_ready(M, F, e)
    can_down = down_ready != _UNKNOWN and down_ready <= M[NOW]
    can_up = up_ready != _UNKNOWN and up_ready <= M[NOW]
    if can_up and (not can_down or up_ready <= down_ready):
        M[edge + IS_BUSY] = 1
        _start_up(M, H, F, e, M[NOW])
    elif can_down:
        M[edge + IS_BUSY] = 1
        _start_down(M, H, F, e, M[NOW])


# ---- streams and the heap --------------------------------------------------------------------------------------------


@_inline
def _advance(M, at, is_gradient):  # type: ignore[no-untyped-def]
    """Move the stream at `at` on to its next tile."""
    M[at + DONE] += 1
    M[at + RUNNING] = 0
    M[at + TILE] += 1
    if M[at + TILE] < M[N_TILES]:
        return
    M[at + TILE] = 0
    while True:
        M[at + PASS] += 1
        if M[at + PASS] == M[N_PASSES]:
            M[at + PASS] = 0
            M[at + MICROBATCH] += 1
            if M[at + MICROBATCH] == M[N_MICROBATCHES]:
                M[at + MICROBATCH] = 0
                M[at + STEP] += 1
        if not is_gradient or M[M[PASSES] + M[at + PASS] * _PASS + HAS_GRADIENT]:
            return


@_inline
def _schedule(M, H, at, finish, kind, entity):  # type: ignore[no-untyped-def]
    M[at + RUNNING] = 1
    M[at + FINISHED_AT] = finish
    _push(M, H, finish, kind, entity)


@_inline
def _push(M, H, time, kind, entity):  # type: ignore[no-untyped-def]
    """Into the 4-ary heap."""
    key = ((time - M[BASE]) << _SHIFT) | (kind << _ENTITY_BITS) | entity
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
def _pop(M, H):  # type: ignore[no-untyped-def]
    top = H[0]
    n = M[HEAP_SIZE] - 1
    M[HEAP_SIZE] = n
    key = H[n]
    i = 0
    while True:
        child = 4 * i + 1
        if child >= n:
            break
        least = child
        for k in range(child + 1, min(child + 4, n)):
            if H[k] < H[least]:
                least = k
        if H[least] >= key:
            break
        H[i] = H[least]
        i = least
    H[i] = key
    return top


@_inline
def _rebase(M, H):  # type: ignore[no-untyped-def]
    """Count the heap's times from now on; the order of the keys stays."""
    moved = (M[NOW] - M[BASE]) << _SHIFT
    M[BASE] = M[NOW]
    for i in range(M[HEAP_SIZE]):
        H[i] -= moved
