"""Laws that every run of an engine obeys, whatever the program."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.programs import programs
from wse_sim.engine.des import run_des
from wse_sim.engine.result import Finish
from wse_sim.schedule.program import Program

LAW = settings(max_examples=150, deadline=None)


def service(program: Program, per_pass: np.ndarray, *, is_gradient: bool) -> np.ndarray:
    """Services of one server in stream order, from its table by pass."""
    passes = np.flatnonzero(program.has_gradient) if is_gradient else np.arange(program.n_passes)
    return np.tile(np.repeat(per_pass[passes], program.n_tiles), program.n_steps * program.n_microbatches)


def leaf_services(program: Program, leaf: int) -> np.ndarray:
    times = service(program, program.compute_ps[leaf], is_gradient=False).reshape(-1, program.n_tiles).copy()
    times[:, 0] += np.tile(program.overhead_ps, program.n_steps * program.n_microbatches)
    return times.ravel()


def gradient_tiles(program: Program) -> np.ndarray:
    """Indices, in the stream of tiles, of those that give a gradient."""
    return np.flatnonzero(service(program, program.has_gradient, is_gradient=False))


def upper_ends(program: Program) -> np.ndarray:
    return np.concatenate([program.node_parent, program.leaf_parent])


@LAW
@given(programs())
def test_no_server_works_on_two_tasks_at_once(program: Program) -> None:
    finish = run_des(program)
    for edge in range(program.n_edges):
        starts = finish.down[edge] - service(program, program.down_ps[program.edge_class[edge]], is_gradient=False)
        assert (starts[1:] >= finish.down[edge, :-1]).all()
    for leaf in range(program.n_leaves):
        starts = finish.compute[leaf] - leaf_services(program, leaf)
        assert (starts[1:] >= finish.compute[leaf, :-1]).all()


@LAW
@given(programs())
def test_half_duplex_edge_never_carries_both_ways(program: Program) -> None:
    program = replace(program, is_half_duplex=True)
    finish = run_des(program)
    for edge in range(program.n_edges):
        rows = program.edge_class[edge]
        down, up = finish.down[edge], finish.up[edge]
        down_start = down - service(program, program.down_ps[rows], is_gradient=False)
        up_start = up - service(program, program.up_ps[rows], is_gradient=True)
        order = np.argsort(np.concatenate([down_start, up_start]), kind="stable")
        starts = np.concatenate([down_start, up_start])[order]
        ends = np.concatenate([down, up])[order]
        assert (starts[1:] >= ends[:-1]).all()


@LAW
@given(programs())
def test_nothing_is_used_before_it_arrives(program: Program) -> None:
    finish = run_des(program)
    latency = program.latency_ps[program.edge_class]
    upper = upper_ends(program)
    for edge in range(1, program.n_edges):
        starts = finish.down[edge] - service(program, program.down_ps[program.edge_class[edge]], is_gradient=False)
        assert (starts >= finish.down[upper[edge]] + latency[upper[edge]]).all()
        summed = finish.reduce[upper[edge]] - service(program, program.reduce_ps, is_gradient=True)
        assert (summed >= finish.up[edge] + latency[edge]).all()
    tiles = gradient_tiles(program)
    for leaf in range(program.n_leaves):
        edge = program.n_nodes + leaf
        assert (finish.compute[leaf] - leaf_services(program, leaf) >= finish.down[edge] + latency[edge]).all()
        up_start = finish.up[edge] - service(program, program.up_ps[program.edge_class[edge]], is_gradient=True)
        assert (up_start >= finish.compute[leaf, tiles]).all()


@LAW
@given(programs())
def test_no_buffer_ever_holds_more_than_its_slots(program: Program) -> None:
    finish = run_des(program)
    upper = upper_ends(program)
    for edge in range(program.n_edges):
        slots = program.node_slots if edge < program.n_nodes else program.leaf_slots
        if edge < program.n_nodes:
            freed = finish.down[np.flatnonzero(upper == edge)].max(axis=0)
        else:
            freed = finish.compute[edge - program.n_nodes]
        sent = finish.down[edge] - service(program, program.down_ps[program.edge_class[edge]], is_gradient=False)
        assert (sent[slots:] >= freed[:-slots] + program.latency_ps[program.edge_class[edge]]).all()


@LAW
@given(programs())
def test_makespan_not_below_busiest_server_nor_longest_path_of_one_tile(program: Program) -> None:
    finish = run_des(program)
    rows = program.edge_class
    busiest = max(
        max(int(service(program, program.down_ps[rows[e]], is_gradient=False).sum()) for e in range(program.n_edges)),
        max(int(leaf_services(program, leaf).sum()) for leaf in range(program.n_leaves)),
    )
    assert finish.makespan_ps >= busiest
    for leaf in range(program.n_leaves):
        edges, edge = [], program.n_nodes + leaf
        upper = upper_ends(program)
        while edge >= 0:
            edges.append(edge)
            edge = int(upper[edge])
        one_tile = sum(int(program.down_ps[rows[e], 0] + program.latency_ps[rows[e]]) for e in edges)
        assert finish.compute[leaf, 0] == one_tile + program.compute_ps[leaf, 0] + program.overhead_ps[0]


@LAW
@given(programs(), st.integers(2, 7))
def test_scaling_every_duration_scales_every_time(program: Program, factor: int) -> None:
    names = ("down_ps", "up_ps", "latency_ps", "compute_ps", "overhead_ps", "reduce_ps", "update_ps", "accumulate_ps")
    scaled = replace(program, **{name: getattr(program, name) * factor for name in names})
    slow, fast = run_des(scaled), run_des(program)
    assert (slow.compute == fast.compute * factor).all()
    assert (slow.update == fast.update * factor).all()


@LAW
@given(programs(), st.integers(0, 2**32 - 1))
def test_faster_services_never_make_a_static_order_slower(program: Program, seed: int) -> None:
    program = replace(program, is_half_duplex=False)
    rng = np.random.default_rng(seed)
    name = str(rng.choice(["down_ps", "up_ps", "compute_ps", "reduce_ps", "update_ps"]))
    times = getattr(program, name)
    faster = replace(program, **{name: np.maximum(1, times - rng.integers(0, times.max() + 1, times.shape))})
    assert (run_des(faster).compute <= run_des(program).compute).all()


@LAW
@given(programs())
def test_one_event_per_task_without_arbitration(program: Program) -> None:
    program = replace(program, is_half_duplex=False)
    assert run_des(program).n_events == program.n_tasks


def test_long_runs_outlast_the_event_key() -> None:
    """Keys are rebased every 2^41 ps; a run a hundred times as long keeps its times."""
    program = _chain(compute_ps=2**40, n_steps=200)
    finish = run_des(program)
    assert finish.compute[0, -1] > 2**41 * 50
    assert (np.diff(finish.compute[0])[1:] == np.diff(finish.compute[0])[1]).all()


def test_service_too_long_for_the_key_is_refused() -> None:
    with pytest.raises(OverflowError, match="use more tiles"):
        run_des(_chain(compute_ps=2**41, n_steps=1))


def test_hand_worked_single_tile() -> None:
    """2 down, 3 flying, twice; 5 + 1 served; 7 up, 3 flying; 4 summed; 7 up, 3 flying; 6 updated."""
    finish = run_des(_chain(compute_ps=5, n_steps=1))
    assert finish.down.ravel().tolist() == [2, 7]
    assert finish.compute.ravel().tolist() == [16]
    assert finish.up.ravel().tolist() == [37, 23]
    assert finish.reduce.ravel().tolist() == [30]
    assert finish.update.tolist() == [46]


def _chain(compute_ps: int, n_steps: int) -> Program:
    one = np.ones(1, np.int64)
    return Program(
        n_steps=n_steps,
        n_microbatches=1,
        n_tiles=1,
        node_parent=-one,
        leaf_parent=0 * one,
        edge_class=np.zeros(2, np.int64),
        down_ps=np.full((1, 1), 2),
        up_ps=np.full((1, 1), 7),
        latency_ps=3 * one,
        compute_ps=np.full((1, 1), compute_ps),
        overhead_ps=one,
        has_gradient=one,
        reduce_ps=4 * one,
        update_ps=6 * one,
        accumulate_ps=one,
        waits_for=0 * one,
        node_slots=1,
        leaf_slots=1,
        gradient_slots=1,
        up_slots=1,
        reduce_slots=1,
    )


def test_finish_compares_every_task() -> None:
    program = _chain(compute_ps=5, n_steps=2)
    finish = run_des(program)
    other = Finish.empty(program)
    assert finish.same_times_as(run_des(program))
    assert not finish.same_times_as(other)
