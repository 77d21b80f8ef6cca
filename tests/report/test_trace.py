"""Laws of the timeline: what a server did is all there, once, in order; what a buffer holds fits into it."""

import gzip
import json
from collections import defaultdict
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from tests.report.run_directory import simulation
from tests.report.trace_rules import check_trace, ps
from wse_sim.errors import SpecError
from wse_sim.report.trace import TraceExtent, chrome_trace, require_trace, write_trace
from wse_sim.report.trace_reading import lanes
from wse_sim.report.trace_window import TraceSteps, parse_trace_steps, window
from wse_sim.runs import run_from
from wse_sim.schedule.program import Program
from wse_sim.simulation import Simulation, simulate
from wse_sim.workload.flops import attention_flops, linear_flops, logits_flops

EVERYTHING = {"counters": "every change", "slices": "runs of tiles without a gap"}
MANY = {"model": "111m", "num_csx": 6, "batch_size": 180, "microbatch": 10, "density": 0.5}
# Activations leave for their servers, and every system has its own times.
UNEQUAL = {"model": "111m", "num_csx": 3, "batch_size": 3072, "microbatch": 512, "jitter": 0.2, "straggler": 1.3}
# From the most detail to the least: what is to be simulated, which steps, in how many bytes.
CASES = {
    "every change": (MANY, "1", 20_000_000),
    "the most in each interval": (MANY, "1", 4_000_000),
    "whole passes": (MANY, "1", 1_000_000),
    "one system": (MANY, "1", 400_000),
    "the last micro-batches": (MANY, "1", 150_000),
    "unequal systems": (UNEQUAL, "2", 20_000_000),
    "a cold start": (UNEQUAL, "1:3", 20_000_000),
    "many steps": (MANY, "5", 3_000_000),
}


@lru_cache
def simulated(**given: object) -> Simulation:
    return simulate(run_from(**given))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Simulation, dict]:
    given, steps, max_bytes = CASES[request.param]
    done = simulated(**given)
    return done, chrome_trace(done, TraceExtent(steps=parse_trace_steps(steps), max_bytes=max_bytes))


def tracks_of(content: dict) -> dict[str, list[dict]]:
    events = content["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    names = {e["tid"]: f"{processes[e['pid']]}: {e['args']['name']}" for e in events if e["name"] == "thread_name"}
    found = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            found[names[event["tid"]]].append(event)
    return found


def counters_of(content: dict) -> dict[str, list[dict]]:
    events = content["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    found = defaultdict(list)
    for event in events:
        if event["ph"] == "C":
            found[f"{processes[event['pid']]} {event['name']}"].append(event["args"])
    return found


def busy_ps(slices: list[dict]) -> int:
    return sum(ps(s["args"].get("busy_us", s["dur"])) for s in slices)


def total(content: dict, track: str, amount: str) -> int:
    return sum(s["args"].get(amount, 0) for s in tracks_of(content)[track])


def engine_busy_ps(p: Program, track: str, first: int, n_steps: int) -> float:
    """What the engine's own tables say that a server works in the steps shown."""
    process, name = track.split(": ")
    number = int(process.split()[-1]) if process[-1].isdigit() else 0
    n = n_steps * p.n_microbatches * p.n_tiles
    if process == "MemoryX":
        times = p.down_ps[0, p.has_weights == 1] if "weights" in name else p.up_ps[0, p.has_gradient == 1]
        return times.sum() * n / p.n_lanes
    if process == "optimizer":
        last, before = (times[p.has_gradient == 1].sum() for times in (p.update_ps, p.accumulate_ps))
        return n_steps * p.n_tiles * (last + before * (p.n_microbatches - 1)) / p.n_lanes
    if name.startswith("broadcast") or name == "ingress":
        level = 1 if process == "SwarmX node 0" and p.n_nodes > 1 else 2
        return p.down_ps[level, p.has_weights == 1].sum() * n
    if name == "compute":
        jitter = (
            p.jitter_ps[number].reshape(p.n_steps, -1)[first : first + n_steps] if p.jitter_ps.size else np.zeros(1)
        )
        return p.compute_ps[number].sum() * n + jitter.sum()
    times = {
        "reduce": p.reduce_ps[p.has_gradient == 1],
        "send gradients": p.up_ps[1, p.has_gradient == 1],
        "egress": p.up_ps[2, p.has_gradient == 1],
        "input": p.feed_ps[0],
        "activations in": p.feed_ps[1],
        "activations out": p.drain_ps,
    }
    return times[name].sum() * n


def test_every_trace_obeys_the_rules_of_the_format(case: tuple[Simulation, dict]) -> None:
    check_trace(case[1])


def test_busy_time_of_every_server_is_the_engines_to_the_picosecond(case: tuple[Simulation, dict]) -> None:
    content, about = case[1], case[1]["otherData"]
    n_steps = about["last_step"] - about["first_step"] + 1
    program = window(case[0], TraceSteps(n_steps=n_steps)).program
    tracks = tracks_of(content)
    assert len(tracks) >= 8
    if about["microbatches_shown"] == about["microbatches"]:
        for name, slices in tracks.items():
            assert busy_ps(slices) == engine_busy_ps(program, name, about["first_step"] - 1, n_steps), name
    else:
        shown = {s["args"]["microbatch"] for s in tracks["CSX 0: compute"]}
        last = range(about["microbatches"] - about["microbatches_shown"], about["microbatches"])
        assert shown == set(last)


def test_no_buffer_holds_more_than_fits_and_none_holds_anything_at_the_end(case: tuple[Simulation, dict]) -> None:
    counters, slots = counters_of(case[1]), case[1]["otherData"]["buffer_slots"]
    assert counters.keys() == slots.keys()
    for name, held in counters.items():
        assert max(args["tiles"] for args in held) <= slots[name], name
        if name.endswith("credits"):
            assert held[-1]["tiles"] == slots[name]
        else:
            assert all(value == 0 for value in held[-1].values())
    assert len(counters) >= 8


def test_less_detail_is_given_in_the_order_that_is_said() -> None:
    said = [
        chrome_trace(simulated(**given), TraceExtent(steps=parse_trace_steps(steps), max_bytes=max_bytes))["otherData"]
        for given, steps, max_bytes in list(CASES.values())[:5]
    ]
    assert [about["counters"] == EVERYTHING["counters"] for about in said] == [True, False, False, False, False]
    assert [about["slices"] == EVERYTHING["slices"] for about in said] == [True, True, False, False, False]
    assert [about["systems_shown"] for about in said] == [4, 4, 4, 1, 1]
    assert [about["memoryx_servers_shown"] for about in said] == [12, 12, 12, 1, 1]
    assert [about["microbatches_shown"] == about["microbatches"] for about in said] == [True, True, True, True, False]


@pytest.mark.parametrize("max_bytes", [20_000_000, 3_000_000, 150_000])
def test_a_trace_is_never_longer_than_the_user_says_and_the_user_is_told(tmp_path: Path, max_bytes: int) -> None:
    left_out = write_trace(simulated(**MANY), tmp_path / "trace.json", TraceExtent(max_bytes=max_bytes))
    assert (tmp_path / "trace.json").stat().st_size <= max_bytes
    assert ("--trace-max-bytes" in left_out) == (max_bytes < 20_000_000)


def test_what_cannot_be_held_is_refused_with_the_bytes_that_it_takes(tmp_path: Path) -> None:
    too_few = TraceExtent(max_bytes=10_000)
    with pytest.raises(SpecError, match=r"10,000 bytes cannot hold one micro-batch .* --trace-max-bytes") as late:
        write_trace(simulated(**MANY), tmp_path / "trace.json", too_few)
    with pytest.raises(SpecError) as early:
        require_trace(simulated(**MANY), too_few)
    assert str(early.value) == str(late.value)
    assert not list(tmp_path.iterdir())


def test_a_compressed_trace_is_the_same_and_the_same_every_time(tmp_path: Path) -> None:
    done = simulation()
    names = ("trace.json", "trace.json.gz", "again.json.gz")
    for name in names:
        write_trace(done, tmp_path / name)
    plain, compressed, again = ((tmp_path / name).read_bytes() for name in names)
    assert gzip.decompress(compressed) == plain
    assert compressed == again
    assert len(compressed) < len(plain) / 4
    assert json.loads(plain) == chrome_trace(done)


def test_at_most_four_systems_are_shown_and_the_trace_says_so() -> None:
    content = chrome_trace(simulated(**MANY))
    assert content["otherData"]["systems"] == 6
    assert content["otherData"]["systems_shown"] == 4
    tracks = tracks_of(content)
    assert {name for name in tracks if name.endswith("compute")} == {f"CSX {i}: compute" for i in range(4)}


def test_processes_stand_in_the_order_in_which_weights_pass_them() -> None:
    content = chrome_trace(simulation())
    names = [e["args"]["name"] for e in content["traceEvents"] if e["name"] == "process_name"]
    assert names == ["MemoryX", "optimizer", "SwarmX node 0", "CSX 0", "CSX 1"]


def test_systems_that_are_alike_share_a_broadcast_and_others_have_their_own() -> None:
    alike, unequal = (tracks_of(chrome_trace(done)) for done in (simulation(), simulated(**UNEQUAL)))
    assert {name for name in alike if "broadcast" in name} == {"SwarmX node 0: broadcast"}
    assert {name for name in unequal if "broadcast" in name} == {
        f"SwarmX node 0: broadcast to CSX {leaf}" for leaf in range(3)
    }


def test_compute_slices_carry_the_names_of_the_passes_in_order() -> None:
    done = simulation()
    names = [s["name"] for s in tracks_of(chrome_trace(done))["CSX 1: compute"]]
    assert [name for name, _ in groupby(names)] == [p.name for p in done.plan.passes]


def test_slices_carry_all_bytes_and_tokens_of_the_step() -> None:
    done = simulated(**UNEQUAL)
    content = chrome_trace(done)
    passes, n = done.plan.passes, done.plan.program.n_microbatches
    expected = {
        ("CSX 1: ingress", "bytes"): sum(p.weight_bytes for p in passes),
        ("CSX 1: egress", "bytes"): sum(p.gradient_bytes for p in passes),
        ("CSX 1: activations out", "bytes"): sum(p.stored_bytes for p in passes),
        ("CSX 1: activations in", "bytes"): sum(p.fetched_bytes for p in passes),
        ("CSX 1: input", "tokens"): 512 * done.run.seq_len,
    }
    for (track, amount), per_microbatch in expected.items():
        assert per_microbatch > 0
        slack = len(tracks_of(content)[track])  # each slice is rounded
        assert total(content, track, amount) == pytest.approx(n * per_microbatch, abs=slack)


@pytest.mark.parametrize(("density", "rtol"), [(1.0, 1e-6), (0.25, 1e-3)])
def test_slices_carry_the_flops_that_the_model_needs(density: float, rtol: float) -> None:
    """Independent: the workload's formulas per trained token; drawn masks hit the density to a part in a thousand."""
    done = simulation(density=density)
    content, shape, seq_len = chrome_trace(done), done.run.shape, done.run.seq_len
    rest = attention_flops(shape, seq_len) + logits_flops(shape)
    tokens = done.run.tokens_per_step / done.run.num_csx
    sparse, dense = (total(content, "CSX 0: compute", f"{kind}_flops") for kind in ("sparse", "dense"))
    assert sparse == pytest.approx(tokens * (linear_flops(shape, density) + rest), rel=rtol)
    assert dense == pytest.approx(tokens * (linear_flops(shape) + rest), rel=1e-6)


def test_the_first_step_starts_cold_and_the_steady_one_does_not() -> None:
    """A step from a cold start fills the pipe: it lasts longer from its first send to its last update."""
    done = simulated(**MANY)
    cold, steady = (chrome_trace(done, TraceExtent(steps=parse_trace_steps(steps))) for steps in ("1:1", "1"))
    assert (cold["otherData"]["first_step"], steady["otherData"]["first_step"]) == (1, 3)
    first = min(s["ts"] for s in tracks_of(cold)["CSX 0: input"])
    assert first == tracks_of(cold)["MemoryX: server 0 send weights"][0]["ts"] == 0
    assert (
        tracks_of(steady)["CSX 0: input"][0]["ts"] == 0 < tracks_of(steady)["MemoryX: server 0 send weights"][0]["ts"]
    )


def test_a_report_shows_one_step_of_several() -> None:
    one, last = (
        lanes(chrome_trace(simulation(), TraceExtent(steps=parse_trace_steps(steps)))) for steps in ("1", "2:3")
    )
    for lane, other in zip(one, last, strict=True):
        assert np.allclose(lane.slices, other.slices, rtol=0, atol=1e-6)  # picoseconds: the origins differ


def test_a_report_finds_every_lane_in_the_trace_and_both_directions() -> None:
    for extent in (TraceExtent(), TraceExtent(max_bytes=400_000)):
        found = {lane.name: lane for lane in lanes(chrome_trace(simulated(**MANY), extent))}
        assert list(found) == [
            "MemoryX send weights",
            "SwarmX reduce",
            "MemoryX optimizer",
            "CSX 0 ingress",
            "CSX 0 compute",
            "CSX 0 egress",
        ]
        assert min(start for lane in found.values() for start, *_ in lane.slices) == 0
        assert {is_backward for *_, is_backward in found["CSX 0 compute"].slices} == {False, True}
        assert {is_backward for *_, is_backward in found["CSX 0 egress"].slices} == {True}


def test_what_is_received_is_what_was_sent_a_flight_later() -> None:
    done = simulation()
    tracks = tracks_of(chrome_trace(done))
    latency_ps = int(done.plan.program.latency_ps[2])
    sent, received = tracks["SwarmX node 0: broadcast"], tracks["CSX 1: ingress"]
    assert [ps(s["ts"]) + latency_ps for s in sent] == [ps(s["ts"]) for s in received]
    assert [s["args"] for s in sent] == [s["args"] for s in received]
