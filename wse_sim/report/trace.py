"""The steady step of a simulation as a Chrome trace (Trace Event Format), which Perfetto opens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wse_sim.engine.result import Finish
from wse_sim.files import write_atomically
from wse_sim.report.metrics import SimulationResult
from wse_sim.report.timeline import Slices, Stream, Track, last_microbatches, merged, server_tracks
from wse_sim.schedule.program import Program
from wse_sim.schedule.weight_streaming import StepPlan

MAX_SYSTEMS = 4
MAX_SLICES = 30_000  # of about 130 bytes each
PS_PER_US = 10**6

Event = dict[str, Any]


class SimulatedStep(Protocol):
    """What a trace is drawn from: `wse_sim.simulation.Simulation` is one."""

    @property
    def plan(self) -> StepPlan: ...
    @property
    def finish(self) -> Finish: ...
    @property
    def result(self) -> SimulationResult: ...


def chrome_trace(simulation: SimulatedStep) -> dict[str, Any]:
    """The last step of `simulation`, when the pipe is full, as a Chrome trace; microseconds from its first send.

    A slice is a pass ("block 3 forward") on one server: its tiles in one piece where they follow without a gap. Where
    that makes too many slices, a pass is one slice from its first tile to its last, and `busy_us` says how much of it
    is work; where that is still too many, only the last micro-batches are shown. `otherData` says which of these holds.
    """
    program = simulation.plan.program
    systems = list(range(min(MAX_SYSTEMS, program.n_leaves)))
    tracks = list(server_tracks(program, simulation.finish, systems))
    slices, n_shown, is_exact = _few_enough(tracks, program.n_microbatches)
    origin = min(int(s.start[0]) for s in slices if len(s.start))
    names = [p.name for p in simulation.plan.passes]
    events = [event for number, s in enumerate(slices) for event in _events(number, s, names, origin)]
    if is_exact:
        events += _counters(program, simulation.finish, systems, origin)
    return {
        "displayTimeUnit": "ms",
        "otherData": {
            "kind": "simulated",
            "run": f"{simulation.result.model} on {simulation.result.num_csx} {simulation.result.system}",
            "step_time_s": simulation.result.step_time_s,
            "systems_shown": len(systems),
            "systems": program.n_leaves,
            "microbatches_shown": n_shown,
            "microbatches": program.n_microbatches,
            "slices": "runs of tiles without a gap" if is_exact else "whole passes; busy_us is the work in them",
        },
        "traceEvents": _names(tracks) + events,
    }


def write_trace(simulation: SimulatedStep, path: Path) -> None:
    """Write `chrome_trace(simulation)` to `path`, in one piece or not at all.

    Raises
    ------
    SpecError
        When the file cannot be written.
    """
    text = json.dumps(chrome_trace(simulation), separators=(",", ":"), allow_nan=False)
    write_atomically(path, text.encode())


def _few_enough(tracks: list[Track], n_microbatches: int) -> tuple[list[Slices], int, bool]:
    """The slices of the tracks, at most `MAX_SLICES`; of how many micro-batches; whether they are exact."""
    slices = [merged(track, is_exact=True) for track in tracks]
    if _n_slices(slices) <= MAX_SLICES:
        return slices, n_microbatches, True
    slices = [merged(track, is_exact=False) for track in tracks]
    n_shown = max(1, min(n_microbatches, MAX_SLICES * n_microbatches // _n_slices(slices)))
    return [merged(last_microbatches(track, n_shown), is_exact=False) for track in tracks], n_shown, False


def _n_slices(slices: list[Slices]) -> int:
    return sum(len(s.start) for s in slices)


def _events(number: int, slices: Slices, names: list[str], origin: int) -> Iterator[Event]:
    pid = _pid(slices.track.process)
    for start, end, busy, first in zip(slices.start, slices.end, slices.busy, slices.first, strict=True):
        event: Event = {
            "ph": "X",
            "pid": pid,
            "tid": number + 1,
            "ts": int(start - origin) / PS_PER_US,
            "dur": int(end - start) / PS_PER_US,
            "name": names[slices.track.of_pass[first]],
        }
        args: Event = {"microbatch": int(slices.track.microbatch[first])} if slices.track.microbatch[-1] else {}
        if busy != end - start:
            args["busy_us"] = int(busy) / PS_PER_US
        yield {**event, "args": args} if args else event


def _pid(process: str) -> int:
    """MemoryX's servers from 1, systems from 100, SwarmX nodes from 10,000."""
    first = {"MemoryX": 1, "CSX": 100, "SwarmX": 10_000}[process.split(" ")[0]]
    return first + int(process.rsplit(" ", 1)[1])


def _names(tracks: list[Track]) -> list[Event]:
    events: list[Event] = []
    for order, process in enumerate(dict.fromkeys(track.process for track in tracks)):
        pid = _pid(process)
        events.append({"ph": "M", "pid": pid, "name": "process_name", "args": {"name": process}})
        events.append({"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": order}})
    for number, track in enumerate(tracks, start=1):
        thread: Event = {"ph": "M", "pid": _pid(track.process), "tid": number}
        events.append({**thread, "name": "thread_name", "args": {"name": track.name}})
        events.append({**thread, "name": "thread_sort_index", "args": {"sort_index": number}})
    return events


def _counters(program: Program, finish: Finish, systems: list[int], origin: int) -> Iterator[Event]:
    """Weight tiles of the step that wait or are served in each system's buffer, whenever their number changes."""
    n = program.weights_per_step
    has_weights = program.has_weights[Stream.of(program, np.ones(program.n_passes)).of_pass] == 1
    for leaf in systems:
        edge = program.n_nodes + leaf
        arrived = finish.down[edge, -n:] + program.latency_ps[program.edge_class[edge]]
        served = finish.compute[leaf, -program.tiles_per_step :][has_weights]
        times = np.concatenate([arrived, served])
        changes = np.repeat([1, -1], n)
        order = np.lexsort((-changes, times))
        held = np.cumsum(changes[order])
        is_last = np.append(np.diff(times[order]) > 0, True)
        for time, tiles in zip(times[order][is_last], held[is_last], strict=True):
            event: Event = {"ph": "C", "pid": _pid(f"CSX {leaf}"), "name": "weight tiles held"}
            yield {**event, "ts": int(time - origin) / PS_PER_US, "args": {"tiles": int(tiles)}}
