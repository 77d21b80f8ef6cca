"""Laws that every run of an engine obeys, whatever the program."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conditions import Streams, servers
from tests.engine.programs import chain, programs
from wse_sim.engine.des import run_des
from wse_sim.engine.result import Finish
from wse_sim.errors import SpecError
from wse_sim.schedule.program import Program

LAW = settings(max_examples=150)
SERVICES = ("down_ps", "up_ps", "compute_ps", "feed_ps", "drain_ps", "reduce_ps", "update_ps", "accumulate_ps")
DURATIONS = (*SERVICES, "latency_ps", "lag_ps", "jitter_ps")


@LAW
@given(programs())
def test_nothing_starts_before_all_that_it_waits_for(program: Program) -> None:
    for server in servers(program, run_des(program)):
        for reason, instants in server.waits_for.items():
            assert (server.starts >= instants).all(), f"{server.name}: {reason}"


@LAW
@given(programs())
def test_everything_starts_as_soon_as_nothing_holds_it(program: Program) -> None:
    program = replace(program, is_half_duplex=False)
    for server in servers(program, run_des(program)):
        assert (server.starts == np.max(list(server.waits_for.values()), axis=0)).all(), server.name


@LAW
@given(programs())
def test_half_duplex_wire_never_carries_both_ways_nor_idles_with_work(program: Program) -> None:
    program = replace(program, is_half_duplex=True)
    finish = run_des(program)
    ready = {s.name: np.max(list(s.waits_for.values()), axis=0) for s in servers(program, finish)}
    starts = {s.name: s.starts for s in servers(program, finish)}
    for edge in range(program.n_edges):
        n_lanes = program.n_lanes if edge == 0 else 1
        for lane in range(n_lanes):
            ways = [(f"down {edge}", finish.down[edge]), (f"up {edge}", finish.up[edge])]
            start = np.concatenate([starts[name][lane::n_lanes] for name, _ in ways])
            order = np.argsort(start, kind="stable")
            end = np.concatenate([times[lane::n_lanes] for _, times in ways])[order]
            can_go = np.concatenate([ready[name][lane::n_lanes] for name, _ in ways])[order]
            free = np.concatenate([[0], end[:-1]])
            assert (start[order] >= free).all()
            # The wire waits only for what is not ready: never beyond the first instant at which the next one could go.
            assert (start[order] <= np.maximum(free, can_go)).all()


@LAW
@given(programs())
def test_makespan_not_below_busiest_server_nor_longest_path_of_one_tile(program: Program) -> None:
    program = replace(program, follows=np.full(program.n_passes, -1), has_weights=np.ones(program.n_passes, np.int64))
    program = replace(program, feed_ps=0 * program.feed_ps)
    finish, streams = run_des(program), Streams(program)
    assert finish.makespan_ps >= max(int(streams.compute_ps(leaf).sum()) for leaf in range(program.n_leaves))
    rows, upper = program.edge_class, [*program.node_parent, *program.leaf_parent]
    for leaf in range(program.n_leaves):
        edge, path_ps = program.n_nodes + leaf, int(streams.compute_ps(leaf)[0])
        while edge >= 0:
            path_ps += int(program.down_ps[rows[edge], 0] + program.latency_ps[rows[edge]])
            edge = upper[edge]
        assert finish.compute[leaf, 0] == path_ps


@LAW
@given(programs(), st.integers(2, 7))
def test_scaling_every_duration_scales_every_time(program: Program, factor: int) -> None:
    slow = run_des(replace(program, **{name: getattr(program, name) * factor for name in DURATIONS}))
    fast = run_des(program)
    assert (slow.compute == fast.compute * factor).all()
    assert (slow.drain == fast.drain * factor).all()
    assert (slow.update == fast.update * factor).all()


@LAW
@given(programs(), st.integers(0, 2**32 - 1))
def test_faster_services_never_make_a_static_order_slower(program: Program, seed: int) -> None:
    program = replace(program, is_half_duplex=False)
    rng = np.random.default_rng(seed)
    name = str(rng.choice(SERVICES))
    times = getattr(program, name)
    shorter = np.maximum(1, times - rng.integers(0, times.max(initial=1) + 1, times.shape))
    faster = replace(program, **{name: np.where(times > 0, shorter, 0)})
    assert (run_des(faster).compute <= run_des(program).compute).all()


@LAW
@given(programs())
def test_more_slots_never_make_a_static_order_slower(program: Program) -> None:
    """By one slot for each lane: item i comes once item i - n_slots has gone, which in another lane may be later."""
    program = replace(program, is_half_duplex=False)
    names = ("node_slots", "leaf_slots", "gradient_slots", "up_slots", "reduce_slots", "drain_slots", "feed_slots")
    roomier = replace(program, **{name: getattr(program, name) + program.n_lanes for name in names})
    assert (run_des(roomier).update <= run_des(program).update).all()


@LAW
@given(programs())
def test_one_event_per_task_without_arbitration(program: Program) -> None:
    program = replace(program, is_half_duplex=False)
    assert run_des(program).n_events == program.n_tasks


def test_long_runs_outlast_the_event_key() -> None:
    """Keys are rebased every 2^41 ps; a run a hundred times as long keeps its times."""
    program = chain(compute_ps=[[2**40]], n_steps=200)
    finish = run_des(program)
    assert finish.compute[0, -1] > 2**41 * 50
    assert (np.diff(finish.compute[0])[1:] == np.diff(finish.compute[0])[1]).all()


def test_service_too_long_for_the_key_is_refused() -> None:
    with pytest.raises(SpecError, match="use more tiles, or the engine max-plus"):
        run_des(chain(compute_ps=[[2**41]]))


def test_finish_compares_every_task() -> None:
    program = chain(n_steps=2, feed_ps=[[1]], feed_slots=[1], feed_after=[[-1]], drain_ps=[1])
    finish, empty = run_des(program), Finish.empty(program)
    assert finish.same_times_as(run_des(program))
    for name in ("down", "feed", "compute", "drain", "up", "reduce", "update"):
        assert not finish.same_times_as(replace(finish, **{name: getattr(empty, name)}))
