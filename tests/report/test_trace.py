"""Laws of the timeline: what a server did is all there, once, in order."""

from itertools import groupby, pairwise

import numpy as np
import pytest

from tests.report.run_directory import simulation
from wse_sim.report import trace
from wse_sim.report.trace import PS_PER_US, chrome_trace
from wse_sim.simulation import Simulation, simulate
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run


def many_microbatches() -> Simulation:
    shape = load_model("111m").shape
    return simulate(
        Run(shape=shape, system="cs2", num_csx=6, batch_size=720, seq_len=2048, tokens=1e9, microbatch=10, density=0.5)
    )


@pytest.fixture(scope="module", params=["exact", "whole passes"])
def case(request: pytest.FixtureRequest) -> tuple[Simulation, dict]:
    if request.param == "exact":
        simulated = simulation()
        return simulated, chrome_trace(simulated)
    simulated = many_microbatches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "MAX_SLICES", 18_000)
        return simulated, chrome_trace(simulated)


def tracks_of(content: dict) -> dict[str, list[dict]]:
    events = content["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    names = {e["tid"]: f"{processes[e['pid']]} {e['args']['name']}" for e in events if e["name"] == "thread_name"}
    slices = sorted((e for e in events if e["ph"] == "X"), key=lambda e: e["tid"])
    return {names[tid]: list(group) for tid, group in groupby(slices, key=lambda e: e["tid"])}


def ps(microseconds: float) -> int:
    return round(microseconds * PS_PER_US)


def busy_ps(slices: list[dict]) -> int:
    return sum(ps(s.get("args", {}).get("busy_us", s["dur"])) for s in slices)


def test_slices_of_a_track_are_disjoint_and_in_order(case: tuple[Simulation, dict]) -> None:
    tracks = tracks_of(case[1])
    assert len(tracks) > 6
    for slices in tracks.values():
        for before, after in pairwise(slices):
            assert ps(before["ts"]) + ps(before["dur"]) <= ps(after["ts"])
        assert all(s["ts"] >= 0 and s["dur"] > 0 for s in slices)


def test_busy_time_is_the_sum_of_the_services(case: tuple[Simulation, dict]) -> None:
    program, tracks = case[0].plan.program, tracks_of(case[1])
    per_microbatch = program.n_tiles * program.n_microbatches
    compute_ps = int(program.compute_ps[0].sum()) * per_microbatch
    assert busy_ps(tracks["CSX 0 compute"]) == compute_ps
    down_ps = int(program.down_ps[program.edge_class[0], program.has_weights == 1].sum()) * per_microbatch
    for server in range(program.n_lanes):
        assert busy_ps(tracks[f"MemoryX server {server} send weights"]) * program.n_lanes == down_ps
    gradients = np.flatnonzero(program.has_gradient)
    updates_ps = program.update_ps[gradients].sum() + program.accumulate_ps[gradients].sum() * (
        program.n_microbatches - 1
    )
    for server in range(program.n_lanes):
        busy = busy_ps(tracks[f"MemoryX server {server} optimizer"])
        assert busy * program.n_lanes == int(updates_ps) * program.n_tiles


def test_at_most_four_systems_are_shown_and_the_trace_says_so() -> None:
    content = chrome_trace(many_microbatches())
    assert content["otherData"]["systems"] == 6
    assert content["otherData"]["systems_shown"] == 4
    assert {name for name in tracks_of(content) if name.endswith("compute")} == {f"CSX {i} compute" for i in range(4)}


def test_many_slices_become_whole_passes_and_the_trace_says_so() -> None:
    simulated = many_microbatches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "MAX_SLICES", 2_000)
        content = chrome_trace(simulated)
    assert "whole passes" in content["otherData"]["slices"]
    assert content["otherData"]["microbatches_shown"] < simulated.plan.program.n_microbatches
    assert sum(e["ph"] == "X" for e in content["traceEvents"]) <= 2_000


def test_no_tile_is_held_before_it_arrives_and_none_is_left_over() -> None:
    simulated = simulation()
    content = chrome_trace(simulated)
    for _, group in groupby((e for e in content["traceEvents"] if e["ph"] == "C"), key=lambda e: e["pid"]):
        held = [e["args"]["tiles"] for e in group]
        assert min(held) == held[-1] == 0
        assert max(held) <= simulated.plan.program.leaf_slots


def test_compute_slices_carry_the_names_of_the_passes_in_order() -> None:
    simulated = simulation()
    names = [s["name"] for s in tracks_of(chrome_trace(simulated))["CSX 1 compute"]]
    assert [name for name, _ in groupby(names)] == [p.name for p in simulated.plan.passes]
