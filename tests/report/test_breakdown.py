"""Where a step's time goes: random programs, with all that a tile waits for, against a plain walk from tile to tile."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.programs import chain, programs
from wse_sim.engine.des import run_des
from wse_sim.engine.result import Finish
from wse_sim.report.breakdown import breakdown, cross_iteration_s
from wse_sim.schedule.cost import WORK, Pass
from wse_sim.schedule.program import Program
from wse_sim.schedule.weight_streaming import ACTIVATIONS, INPUT

WAITS = ("latency", "input_wait", "cross_iteration", "weight_wait", "activation_wait", "gradient_wait")


def with_three_steps_and_two_feeds(program: Program) -> Program:
    """The program over three steps; feeds that it lacks bring nothing."""
    n_draws = 3 * program.n_microbatches * program.n_passes if program.jitter_ps.size else 0
    lacking = (2 - program.n_feeds, program.n_passes)
    return replace(
        program,
        n_steps=3,
        jitter_ps=np.tile(program.jitter_ps, 3)[:, :n_draws],
        feed_ps=np.vstack([program.feed_ps, np.zeros(lacking, np.int64)]),
        feed_slots=np.append(program.feed_slots, np.ones(lacking[0], np.int64)),
        feed_after=np.vstack([program.feed_after, np.full(lacking, -1)]),
    )


def walked(program: Program, finish: Finish, passes: list[Pass]) -> dict[str, float]:
    """The fractions of system 0's last step, one tile after the other."""
    p, spent_ps = program, dict.fromkeys((*WORK, "jitter", *WAITS), 0.0)
    in_flight_ps = int(p.latency_ps[p.edge_class[p.n_nodes]])
    before, n_steps = p.tiles_per_step * (p.n_steps - 1), p.n_steps
    first = {name: (n_steps - 1) * p.per_step(chosen) for name, chosen in _streams(p).items()}
    for i in range(p.tiles_per_step):
        microbatch, of_pass, tile = np.unravel_index(i, (p.n_microbatches, p.n_passes, p.n_tiles))
        ready: dict[str, int] = {}
        if tile == 0 and p.follows[of_pass] >= 0:
            last = ((microbatch * p.n_passes + p.follows[of_pass]) + 1) * p.n_tiles - 1
            ready["latency"] = finish.compute[0, before + last] + p.lag_ps[of_pass]
        if p.feed_ps[INPUT, of_pass]:
            ready["input_wait"] = finish.feed[INPUT][0, first["input"]]
            first["input"] += 1
        if p.has_weights[of_pass]:
            waits = "cross_iteration" if i < p.n_tiles else "weight_wait"
            ready[waits] = finish.down[p.n_nodes, first["weights"]] + in_flight_ps
            first["weights"] += 1
        if p.feed_ps[ACTIVATIONS, of_pass]:
            ready["activation_wait"] = finish.feed[ACTIVATIONS][0, first["activations"]]
            first["activations"] += 1
        if p.drain_ps[of_pass]:
            if first["drained"] >= p.drain_slots:
                there_is_room = finish.drain[0, first["drained"] - p.drain_slots]
                ready["activation_wait"] = max(ready.get("activation_wait", 0), there_is_room)
            first["drained"] += 1
        jitter_ps = 0
        if tile == 0 and p.jitter_ps.size:
            jitter_ps = p.jitter_ps[0, ((n_steps - 1) * p.n_microbatches + microbatch) * p.n_passes + of_pass]
        now, end = finish.compute[0, before + i - 1], finish.compute[0, before + i]
        for name in WAITS[:-1]:
            spent_ps[name] += max(0, ready.get(name, 0) - now)
            now = max(now, ready.get(name, 0))
        spent_ps["jitter"] += jitter_ps
        spent_ps["gradient_wait"] += end - jitter_ps - p.compute_ps[0, of_pass] - now
        for name, part_s in passes[of_pass].parts_s.items():
            spent_ps[name] += p.compute_ps[0, of_pass] * part_s / passes[of_pass].work_s
    total_ps = float(finish.compute[0, -1] - finish.compute[0, before - 1])
    return {name: time_ps / total_ps for name, time_ps in spent_ps.items()}


def _streams(p: Program) -> dict[str, Any]:
    feeds = {"input": p.feed_ps[INPUT], "activations": p.feed_ps[ACTIVATIONS]}
    return {"weights": p.has_weights, "drained": p.drain_ps, **feeds}


@settings(max_examples=100)
@given(program=programs().map(with_three_steps_and_two_feeds), seed=st.integers(0, 2**32 - 1))
def test_a_step_is_spent_as_a_walk_from_tile_to_tile_says(program: Program, seed: int) -> None:
    rng = np.random.default_rng(seed)
    passes = [Pass(name="", parts_s={name: float(rng.uniform(0.1, 1)) for name in WORK}) for _ in program.feed_ps[0]]
    finish = run_des(program)
    plan: Any = SimpleNamespace(program=program, passes=passes)
    found = breakdown(plan, finish)
    assert found == pytest.approx(walked(program, finish, passes), rel=1e-9, abs=1e-12)
    assert list(found) == [*WORK, "jitter", *WAITS]


def test_a_pass_without_work_of_a_kind_spends_nothing_on_it() -> None:
    no_feeds = {"feed_ps": [[0, 0], [0, 0]], "feed_slots": [1, 1], "feed_after": [[-1, -1], [-1, -1]]}
    program = chain(compute_ps=[[5, 15]], n_steps=2, **no_feeds)
    plan: Any = SimpleNamespace(
        program=program, passes=[Pass(name="a", parts_s={"linear": 2.0}), Pass(name="b", parts_s={"attention": 1.0})]
    )
    found = breakdown(plan, run_des(program))
    assert found["attention"] == pytest.approx(3 * found["linear"], rel=1e-12)
    assert found["logits"] == 0


@pytest.mark.parametrize("n_microbatches", [1, 2])
def test_the_next_step_begins_an_update_after_its_last_gradient(n_microbatches: int) -> None:
    program = chain(n_steps=3, n_microbatches=n_microbatches)  # the optimizer takes 6 ps
    assert cross_iteration_s(program, run_des(program)) == pytest.approx(6e-12, rel=1e-12)


def test_the_first_weight_leaves_by_the_wire_of_the_source() -> None:
    times = {"down_ps": [[2, 4], [9, 9]], "up_ps": [[7, 7], [8, 8]], "latency_ps": [3, 5], "edge_class": [0, 1]}
    program = chain(n_steps=3, waits_for=[1, -1], **times)
    assert cross_iteration_s(program, run_des(program)) == pytest.approx(6e-12, rel=1e-12)


def test_where_no_weight_waits_for_an_update_the_steps_overlap() -> None:
    program = chain(n_steps=3, waits_for=[-1], leaf_slots=4, node_slots=4)
    assert cross_iteration_s(program, run_des(program)) == 0.0
