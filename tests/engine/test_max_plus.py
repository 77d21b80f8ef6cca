"""The max-plus engine gives the reference's finish times, and obeys the laws of a recurrence with `max` and `+`."""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.programs import SLOTS, chain, programs
from wse_sim.engine.max_plus import _memory, can_run, max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.reference import run_reference
from wse_sim.engine.result import step_ends_ps
from wse_sim.schedule.program import Program

LAW = settings(max_examples=150)
FULL_DUPLEX = programs().map(lambda program: replace(program, is_half_duplex=False))
SERVICES = ("down_ps", "up_ps", "compute_ps", "feed_ps", "drain_ps", "reduce_ps", "update_ps", "accumulate_ps")
DURATIONS = (*SERVICES, "latency_ps", "lag_ps", "jitter_ps")


@settings(max_examples=300)
@given(FULL_DUPLEX)
def test_max_plus_matches_reference_to_the_tick(program: Program) -> None:
    finish = run_max_plus(program)
    assert finish.same_times_as(run_reference(program))
    assert finish.n_events == program.n_tasks
    for is_fast_forward in (True, False):
        ends = max_plus_step_ends_ps(program, is_fast_forward=is_fast_forward)
        assert ends.tolist() == step_ends_ps(program, finish).tolist()


# ---- laws ------------------------------------------------------------------------------------------------------------


@LAW
@given(FULL_DUPLEX, st.integers(2, 7))
def test_scaling_every_duration_scales_every_time(program: Program, factor: int) -> None:
    scaled = replace(program, **{name: getattr(program, name) * factor for name in DURATIONS})
    slow, fast = run_max_plus(scaled), run_max_plus(program)
    for name in ("down", "compute", "drain", "up", "reduce", "update"):
        assert (getattr(slow, name) == getattr(fast, name) * factor).all()


@LAW
@given(FULL_DUPLEX, st.sampled_from(DURATIONS), st.integers(0, 2**32 - 1))
def test_shorter_times_never_make_anything_later(program: Program, name: str, seed: int) -> None:
    times = getattr(program, name)
    shorter = np.where(times > 0, np.random.default_rng(seed).integers(1, np.maximum(times, 1), endpoint=True), 0)
    faster, slower = run_max_plus(replace(program, **{name: shorter})), run_max_plus(program)
    for name in ("down", "compute", "drain", "up", "reduce", "update"):
        assert (getattr(faster, name) <= getattr(slower, name)).all()


@LAW
@given(FULL_DUPLEX, st.sampled_from(SLOTS))
def test_one_slot_more_never_makes_anything_later(program: Program, name: str) -> None:
    roomier = run_max_plus(replace(program, **{name: getattr(program, name) + 1}))
    tighter = run_max_plus(program)
    for name in ("down", "compute", "drain", "up", "reduce", "update"):
        assert (getattr(roomier, name) <= getattr(tighter, name)).all()


@LAW
@given(FULL_DUPLEX)
def test_makespan_not_below_busiest_server_nor_longest_path_of_one_tile(program: Program) -> None:
    makespan_ps = run_max_plus(program).makespan_ps
    assert makespan_ps >= max(busy_times_ps(program))
    assert makespan_ps >= max(tile_paths_ps(program))


def busy_times_ps(program: Program) -> Iterator[int]:
    """What each server's services add up to."""
    p = program
    times = p.n_steps * p.n_microbatches * p.n_tiles
    yield from times * p.compute_ps.sum(axis=1) + p.jitter_ps.sum(axis=1)
    yield from times * p.feed_ps.sum(axis=1)
    yield times * int(p.drain_ps.sum())
    yield times * int(p.reduce_ps @ p.has_gradient)
    for edge, row in enumerate(p.edge_class):
        n_lanes = p.n_lanes if edge == 0 else 1
        yield times // n_lanes * int(p.down_ps[row] @ p.has_weights)
        yield times // n_lanes * int(p.up_ps[row] @ p.has_gradient)
    n_accumulated = times - p.n_steps * p.n_tiles
    sink_ps = n_accumulated * p.accumulate_ps + p.n_steps * p.n_tiles * p.update_ps
    yield int(sink_ps @ p.has_gradient) // p.n_lanes


def tile_paths_ps(program: Program) -> Iterator[int]:
    """Source, leaf and sink, one after the other, for a tile of each pass that has both ways at each leaf."""
    p = program
    upper = np.append(p.node_parent, p.leaf_parent)
    for of_pass in np.flatnonzero(p.has_weights & p.has_gradient):
        for leaf in range(p.n_leaves):
            path_ps, edge = int(p.compute_ps[leaf, of_pass]), p.n_nodes + leaf
            while edge >= 0:
                row = p.edge_class[edge]
                path_ps += int(p.down_ps[row, of_pass] + p.up_ps[row, of_pass] + 2 * p.latency_ps[row])
                path_ps += int(p.reduce_ps[of_pass]) * (edge < p.n_nodes)
                edge = int(upper[edge])
            yield path_ps + int(min(p.update_ps[of_pass], p.accumulate_ps[of_pass]))
    yield 0


# ---- the steady period is the maximum cycle ratio --------------------------------------------------------------------


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1))
def test_steady_tile_period_is_the_maximum_cycle_ratio(seed: int) -> None:
    """In a long pass of alike tiles the leaf serves one every `cycle_ratio`, exactly, as a fraction.

    By max-plus spectral theory (Baccelli, Cohen, Olsder, Quadrat 1992, chapter 3), a strongly connected recurrence
    repeats itself, moved by its greatest mean of time over tiles round a loop; and here everything is connected by
    credits. How soon depends on the second greatest, so that times are small and the pass long.
    """
    program = one_pass(np.random.default_rng(seed))
    counts = [getattr(program, name) for name in SLOTS] + [program.n_lanes, int(program.feed_slots[0])]
    n_tiles = math.lcm(*counts) * 2
    served = run_max_plus(program).compute[0]
    assert Fraction(int(served[-1] - served[-1 - n_tiles]), n_tiles) == cycle_ratio(program)


def one_pass(rng: np.random.Generator) -> Program:
    """A long pass with everything: two edges of different classes, a feed, a drain, gradients, lanes."""
    longest_ps = int(rng.integers(2, 12))

    def times(*shape: int) -> np.ndarray:
        return rng.integers(1, longest_ps + 1, shape)

    return chain(
        n_tiles=6 * 500,
        n_lanes=int(rng.integers(1, 4)),
        edge_class=np.array([0, 1]),
        latency_ps=times(2),
        down_ps=times(2, 1),
        up_ps=times(2, 1),
        compute_ps=times(1, 1),
        feed_ps=times(1, 1),
        feed_slots=rng.integers(1, 5, 1),
        feed_after=np.array([[-1]]),
        **{name: times(1) for name in ("drain_ps", "reduce_ps", "update_ps", "accumulate_ps")},
        **{name: int(rng.integers(1, 5)) for name in SLOTS},
    )


def cycle_ratio(p: Program) -> Fraction:
    """The greatest time over tiles round a loop of `chain`: each server by itself, each pair with the slots between.

    Servers in a row, each bound to the next by a buffer's slots, have no other simple loops.
    """
    (root_down, leaf_down), (root_up, leaf_up) = p.down_ps[:, 0].tolist(), p.up_ps[:, 0].tolist()
    root_fly, leaf_fly = p.latency_ps.tolist()
    serve, feed, drain = int(p.compute_ps[0, 0]), int(p.feed_ps[0, 0]), int(p.drain_ps[0])
    reduce, update = int(p.reduce_ps[0]), int(p.update_ps[0])
    alone = [leaf_down, serve, feed, drain, leaf_up, reduce]
    in_lanes = [Fraction(lane, p.n_lanes) for lane in (root_down, root_up, update)]
    in_pairs = [
        Fraction(root_down + leaf_down + 2 * root_fly, p.node_slots),
        Fraction(leaf_down + serve + 2 * leaf_fly, p.leaf_slots),
        Fraction(feed + serve, int(p.feed_slots[0])),
        Fraction(serve + drain, p.drain_slots),
        Fraction(serve + leaf_up, p.gradient_slots),
        Fraction(leaf_up + reduce + 2 * leaf_fly, p.up_slots),
        Fraction(reduce + root_up, p.reduce_slots),
        Fraction(root_up + update + 2 * root_fly, p.up_slots),
    ]
    return max(*map(Fraction, alone), *in_lanes, *in_pairs)


# ---- the rest of the contract ----------------------------------------------------------------------------------------


def test_half_duplex_is_refused() -> None:
    program = chain(is_half_duplex=True)
    assert not can_run(program)
    assert can_run(replace(program, is_half_duplex=False))
    for run in (run_max_plus, max_plus_step_ends_ps):
        with pytest.raises(ValueError, match="half-duplex"):
            run(program)


def test_a_run_longer_than_the_clock_is_refused() -> None:
    program = chain(compute_ps=[[2**61]], n_steps=5)
    for is_fast_forward in (True, False):
        with pytest.raises(OverflowError, match="fewer steps"):
            max_plus_step_ends_ps(program, is_fast_forward=is_fast_forward)


@LAW
@given(FULL_DUPLEX, st.booleans())
def test_memory_grows_by_eight_bytes_a_step(program: Program, is_fast_forward: bool) -> None:
    program = replace(program, jitter_ps=program.jitter_ps[:, :0])
    one, many = (_memory(replace(program, n_steps=n), False, is_fast_forward) for n in (1, 1001))
    assert len(many) - len(one) == 1000
