"""What the buffers of a simulation hold over time, in tiles and in what a tile stands for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from wse_sim.report.timeline import CSX, MEMORYX, SWARMX, Track, Tracks
from wse_sim.schedule.program import IntArray

N_BINS = 500  # of a counter that is thinned


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How full a buffer is, by the tiles of the steps shown.

    Parameters
    ----------
    slots :
        Tiles that fit.
    unit :
        Of `amount`: bytes, or tokens.
    time, tiles, amount : (n_changes,)
        int64: instants in rising order, picoseconds, and what the buffer holds from each on.
    is_free :
        To be shown as the slots that are left.
    """

    process: str
    name: str
    slots: int
    unit: str
    time: IntArray
    tiles: IntArray
    amount: IntArray
    is_free: bool = False


def counters(tracks: Tracks) -> Iterator[Counter]:
    """One for each buffer of MemoryX, of the SwarmX nodes and of the systems that are shown, where something is held.

    A tile counts from the instant at which the engine lets it into a buffer, or takes its slot, to that at which the
    slot is free again (`wse_sim.engine.rules`). The *credits* of a weight buffer are its slots less those that its
    sender knows to be taken: a tile takes one when it is put on the wire, and the credit flies back when it is served.
    """
    yield _at_memoryx(tracks)
    for node in tracks.nodes:
        yield from _of_node(tracks, node)
    for leaf in tracks.systems:
        yield from (counter for counter in _of_system(tracks, leaf) if len(counter.time))


def since(counter: Counter, start: int) -> Counter:
    """What the buffer holds from an instant on."""
    n_before = int(np.searchsorted(counter.time, start, side="right"))
    if n_before == 0:
        return counter
    time, tiles, amount = (of[n_before - 1 :] for of in (counter.time, counter.tiles, counter.amount))
    return replace(counter, time=np.append(start, time[1:]), tiles=tiles, amount=amount)


def thinned(counter: Counter) -> Counter:
    """The most that the buffer holds in each of `N_BINS` equal intervals in which it changes, and what it ends with."""
    if len(counter.time) <= N_BINS:
        return counter
    start, end = int(counter.time[0]), int(counter.time[-1])
    width, rest = divmod(end - start, N_BINS)
    bins = np.arange(N_BINS)
    edges = start + width * bins + rest * bins // N_BINS  # in one product 500 times a few hours overflow
    interval = np.searchsorted(edges, counter.time, side="right") - 1
    kept, first = np.unique(interval, return_index=True)

    def most(values: IntArray) -> IntArray:
        held_before = np.append(0, values)[first]  # what it holds when the interval begins
        return np.append(np.maximum(np.maximum.reduceat(values, first), held_before), values[-1])

    time = np.append(edges[kept], end)
    return replace(counter, time=time, tiles=most(counter.tiles), amount=most(counter.amount))


def _at_memoryx(tracks: Tracks) -> Counter:
    """Summed gradients, from their arrival until the optimizer has taken them in."""
    arriving, latency_ps = tracks.returned(0, MEMORYX, "gradients"), tracks.latency_ps(0)
    return _held(arriving, tracks.program.up_slots, arriving.end + latency_ps, tracks.updates().end)


def _of_node(tracks: Tracks, node: int) -> Iterator[Counter]:
    """Weights until every child has them; gradients of all children until they are summed; sums until they left."""
    p, process = tracks.program, f"{SWARMX} {node}"
    below = np.flatnonzero(p.upper == node).tolist()
    weights = tracks.sent(node, process, "weights")
    sent = np.max([tracks.window.of(tracks.finish.down[edge]) for edge in below], axis=0)
    yield _held(weights, p.node_slots, weights.end + tracks.latency_ps(node), sent)
    summed, gone = tracks.sums(node), tracks.returned(node, process, "sums")
    arrived = [tracks.window.of(tracks.finish.up[edge]) + tracks.latency_ps(edge) for edge in below]
    yield _held(
        replace(summed, name="gradients"),
        p.up_slots * len(below),
        np.concatenate(arrived),
        np.tile(summed.end, len(below)),
    )
    yield _held(gone, p.reduce_slots, summed.start, gone.end)


def _of_system(tracks: Tracks, leaf: int) -> Iterator[Counter]:
    """Weights, from their arrival until they are served, and the credits for them; what else a system holds."""
    p, process, edge = tracks.program, f"{CSX} {leaf}", tracks.program.n_nodes + leaf
    latency_ps, compute, of_pass = tracks.latency_ps(edge), tracks.compute(leaf), tracks.all.of_pass
    weights = tracks.sent(edge, process, "weights")
    served = compute.end[p.has_weights[of_pass] == 1]
    yield _held(weights, p.leaf_slots, weights.end + latency_ps, served)
    credits = replace(weights, name="weight credits")
    yield replace(_held(credits, p.leaf_slots, weights.start, served + latency_ps), is_free=True)
    gradients = tracks.returned(edge, process, "gradients")
    yield _held(gradients, p.gradient_slots, compute.start[p.has_gradient[of_pass] == 1], gradients.end)
    for feed, slots in enumerate(p.feed_slots.tolist()):
        fed = tracks.feed(leaf, feed)
        yield _held(fed, slots, fed.start, compute.end[p.feed_ps[feed][of_pass] > 0])
    drained = tracks.drain(leaf)
    yield _held(drained, p.drain_slots, compute.start[p.drain_ps[of_pass] > 0], drained.end)


def _held(track: Track, slots: int, entered: IntArray, left: IntArray) -> Counter:
    """The track's tiles, each of which holds a slot from one instant to another.

    Parameters
    ----------
    entered, left : (a multiple of n_services,)
        What happens at the same instant is one change.
    """
    ((unit, amount),) = track.amounts.items()
    time = np.concatenate([entered, left])
    order = np.argsort(time, kind="stable")
    time = time[order]
    is_last = np.append(np.diff(time) > 0, True)[: len(time)]

    def held(changes: IntArray) -> IntArray:
        total: IntArray = np.cumsum(np.concatenate([changes, -changes])[order])[is_last]
        return total

    whole = np.rint(amount).astype(np.int64)
    return Counter(
        process=track.process,
        name=track.name,
        slots=slots,
        unit=unit,
        time=time[is_last],
        tiles=held(np.ones(len(entered), np.int64)),
        amount=held(np.resize(whole, len(entered))),
    )
