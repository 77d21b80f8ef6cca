"""Steps of a simulation as a Chrome trace (Trace Event Format), which Perfetto opens."""

import gzip
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wse_sim.errors import SpecError
from wse_sim.files import write_atomically
from wse_sim.processes.memory import require_memory
from wse_sim.report.quantities import data_size
from wse_sim.report.timeline import Slices, Tracks, last_microbatches, merged, nodes_above
from wse_sim.report.trace_counters import Counter, counters, since, thinned
from wse_sim.report.trace_events import trace_events
from wse_sim.report.trace_window import SimulatedStep, TraceSteps, Window, parse_trace_steps, window
from wse_sim.schedule.program import Program

MAX_SYSTEMS = 4
MAX_BYTES = 20_000_000
_LEAST_EVENT_BYTES = 80
_BYTES_PER_SERVICE = 350  # while it is drawn
_EXACT, _WHOLE = "runs of tiles without a gap", "whole passes; busy_us is the work in them"
_EVERY, _MOST = "every change", "the most in each of 500 intervals"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detail:
    """How much of the steps a trace shows.

    Parameters
    ----------
    has_pauses :
        Slices end where their server pauses; else they are whole passes.
    has_changes :
        Counters have every change; else the most in each of some intervals.
    """

    n_systems: int
    n_servers: int
    n_microbatches: int
    has_pauses: bool
    has_changes: bool


_LEAST = _Detail(n_systems=1, n_servers=1, n_microbatches=1, has_pauses=False, has_changes=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceExtent:
    """What a trace is to hold.

    Parameters
    ----------
    steps :
        The steady one, several, or those from a cold start.
    max_bytes :
        Of the JSON, before it is compressed.
    """

    steps: TraceSteps = field(default_factory=TraceSteps)
    max_bytes: int = MAX_BYTES


STEADY_STEP = TraceExtent()


def trace_extent(steps: int | str | None = None, max_bytes: float | None = None) -> TraceExtent:
    """What a user asks of a trace; None = one steady step, in `MAX_BYTES`.

    Parameters
    ----------
    steps :
        As `parse_trace_steps` reads it: `3`, or `1:3`.

    Raises
    ------
    SpecError
        When one is wrong.
    """
    if max_bytes is not None and max_bytes < 1:
        raise SpecError(f"--trace-max-bytes is {max_bytes:g}: a number such as 20M would be right")
    return TraceExtent(
        steps=TraceSteps() if steps is None else parse_trace_steps(str(steps)),
        max_bytes=MAX_BYTES if max_bytes is None else int(max_bytes),
    )


def require_trace(simulation: SimulatedStep, extent: TraceExtent) -> None:
    """Raise SpecError where `chrome_trace` would, in the time of a trace of the least detail."""
    _fitting(simulation, extent, _LEAST)


def chrome_trace(simulation: SimulatedStep, extent: TraceExtent = STEADY_STEP) -> dict[str, Any]:
    """Steps of `simulation` as a Chrome trace; microseconds from the first thing that happens in them.

    A slice is a pass ("block 3 forward") of a micro-batch on one server, its tiles in one piece where they follow each
    other without a gap; a counter says what a buffer holds. What would take more bytes than the extent says is thinned
    until it does not, in this order: a counter gives the most in each of 500 intervals; a pass is one slice from its
    first tile to its last, where `busy_us` says how much of it is work; one system and one server of MemoryX stand for
    all; only the last micro-batches of each step are shown. `otherData` says what was done.

    Raises
    ------
    SpecError
        When not even one micro-batch of each step fits, or the steps are too many to be simulated.
    """
    return _fitting(simulation, extent)[0]


def write_trace(simulation: SimulatedStep, path: Path, extent: TraceExtent = STEADY_STEP) -> str:
    """Write `chrome_trace(...)` to `path`, in one piece or not at all, compressed where its name ends in `.gz`.

    Returns
    -------
    What was left out of the trace to keep it within its bytes, for the user; "" for nothing.

    Raises
    ------
    SpecError
        As `chrome_trace`, and when the file cannot be written.
    """
    text, left_out = trace_text(simulation, extent)
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return left_out


def trace_text(simulation: SimulatedStep, extent: TraceExtent = STEADY_STEP) -> tuple[bytes, str]:
    """The JSON of `chrome_trace(...)`, and what `write_trace` returns of it.

    Raises
    ------
    SpecError
        As `chrome_trace`.
    """
    content, text = _fitting(simulation, extent)
    return text, _left_out(content["otherData"], extent.max_bytes)


def _fitting(
    simulation: SimulatedStep, extent: TraceExtent, detail: _Detail | None = None
) -> tuple[dict[str, Any], bytes]:
    """The trace with the most detail that fits, and its JSON.

    Parameters
    ----------
    detail :
        More is not tried; None = all that there may be.
    """
    steps, max_bytes = extent.steps, extent.max_bytes
    of_steps = window(simulation, steps)
    _require_memory(of_steps)
    detail = detail or _all_of(of_steps.program)
    while _is_hopeless(detail, of_steps, max_bytes):
        detail = _coarser(detail)
    while detail is not None:
        slices, held = _drawn(simulation, of_steps, detail)
        n_bytes = _LEAST_EVENT_BYTES * (sum(len(s.start) for s in slices) + sum(len(c.time) for c in held))
        if n_bytes <= max_bytes:
            content = {
                "displayTimeUnit": "ms",
                "otherData": _about(simulation, of_steps, steps, detail) | {"buffer_slots": _slots(held)},
                "traceEvents": trace_events(simulation.plan, slices, held, first_step=of_steps.first),
            }
            text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
            n_bytes = len(text)
            if n_bytes <= max_bytes:
                return content, text
        detail = _less(detail, max_bytes / n_bytes)
    raise SpecError(
        f"a trace of {max_bytes:,} bytes cannot hold one micro-batch of each of {steps.n_steps} steps, which takes "
        f"{n_bytes:,} or more: a larger --trace-max-bytes or fewer --trace-steps would be right"
    )


def _all_of(p: Program) -> _Detail:
    """The highest level of detail."""
    return _Detail(
        n_systems=min(MAX_SYSTEMS, p.n_leaves),
        n_servers=p.n_lanes,
        n_microbatches=p.n_microbatches,
        has_pauses=True,
        has_changes=True,
    )


def bytes_to_draw(of_steps: Window) -> float:
    """Of memory, at most: every service of the systems shown, and of what is above them, is looked at."""
    p, n_systems = of_steps.program, min(MAX_SYSTEMS, of_steps.program.n_leaves)
    n_edges = n_systems + len(nodes_above(p, range(n_systems)))
    at_system = p.tiles_per_step + sum(p.per_step(feed_ps) for feed_ps in p.feed_ps) + p.per_step(p.drain_ps)
    per_step = p.weights_per_step * n_edges + n_systems * at_system + 2 * p.gradients_per_step * n_edges
    return _BYTES_PER_SERVICE * of_steps.n_steps * per_step


def _require_memory(of_steps: Window) -> None:
    n_bytes, n_microbatches = bytes_to_draw(of_steps), of_steps.n_steps * of_steps.program.n_microbatches

    def fits(free: int) -> str:
        n_steps = int(of_steps.n_steps * free / n_bytes)
        if n_steps:
            return f"--trace-steps {n_steps} would be right"
        n_fitting = int(n_microbatches * free / n_bytes)
        return f"one step of at most {n_fitting:,} micro-batches (a larger --microbatch) would be right"

    require_memory(n_bytes, f"a trace of {n_microbatches:,} micro-batches takes", fits)


def _is_hopeless(detail: _Detail, of_steps: Window, max_bytes: int) -> bool:
    """Whether the slices of the systems alone, one for each pass, are too many, so that nothing need be drawn to know.

    Where fewer micro-batches are the next level, how many they are hangs on what this one takes: it is drawn.
    """
    p = of_steps.program
    per_microbatch = p.n_passes + int(np.count_nonzero(p.has_weights)) + int(np.count_nonzero(p.has_gradient))
    n_slices = detail.n_systems * of_steps.n_steps * detail.n_microbatches * per_microbatch
    return _coarser(detail) != detail and n_slices * _LEAST_EVENT_BYTES > max_bytes


def _coarser(detail: _Detail) -> _Detail:
    """The next lower level of detail with all its micro-batches; itself where there is none."""
    if detail.has_changes:
        return replace(detail, has_changes=False)
    if detail.has_pauses:
        return replace(detail, has_pauses=False)
    return replace(detail, n_systems=1, n_servers=1)


def _less(detail: _Detail, share: float) -> _Detail | None:
    """The next lower level of detail; None below the lowest.

    Parameters
    ----------
    share :
        Of the bytes of this one that may be left.
    """
    coarser = _coarser(detail)
    if coarser != detail:
        return coarser
    if detail.n_microbatches > 1:
        fewer = min(detail.n_microbatches - 1, int(detail.n_microbatches * share))
        return replace(detail, n_microbatches=max(1, fewer))
    return None


def _drawn(simulation: SimulatedStep, of_steps: Window, detail: _Detail) -> tuple[list[Slices], list[Counter]]:
    tracks = Tracks(simulation.plan, simulation.cluster.memoryx, of_steps, range(detail.n_systems), detail.n_servers)
    slices = [merged(last_microbatches(track, detail.n_microbatches), is_exact=detail.has_pauses) for track in tracks]
    start = min(int(s.start[0]) for s in slices if len(s.start))
    held = [since(counter, start) for counter in counters(tracks)]
    return slices, held if detail.has_changes else [thinned(counter) for counter in held]


def _about(simulation: SimulatedStep, of_steps: Window, steps: TraceSteps, detail: _Detail) -> dict[str, Any]:
    p: Program = of_steps.program
    result = simulation.result
    return {
        "kind": "simulated",
        "run": f"{result.model} on {result.num_csx} {result.system}",
        "step_time_s": result.step_time_s,
        "engine": result.engine["name"],
        "first_step": of_steps.first + 1,
        "last_step": of_steps.first + of_steps.n_steps,
        "steps": "steady" if steps.first is None else "counted from a cold start",
        "systems_shown": detail.n_systems,
        "systems": p.n_leaves,
        "memoryx_servers_shown": detail.n_servers,
        "memoryx_servers": p.n_lanes,
        "microbatches_shown": detail.n_microbatches,
        "microbatches": p.n_microbatches,
        "slices": _EXACT if detail.has_pauses else _WHOLE,
        "counters": _EVERY if detail.has_changes else _MOST,
    }


def _slots(held: list[Counter]) -> dict[str, int]:
    """Tiles that fit into each buffer, by process and counter."""
    return {f"{counter.process} {counter.name}": counter.slots for counter in held}


def _left_out(about: dict[str, Any], max_bytes: int) -> str:
    thinner = []
    if about["counters"] != _EVERY:
        thinner.append(f"counters give {_MOST}")
    if about["slices"] != _EXACT:
        thinner.append("a slice is a whole pass, pauses and all")
    if about["memoryx_servers_shown"] < about["memoryx_servers"]:
        n_systems, n_servers = about["systems"], about["memoryx_servers"]
        thinner.append(f"one of {n_systems} systems and one of {n_servers} MemoryX servers are shown")
    if about["microbatches_shown"] < about["microbatches"]:
        thinner.append(f"the last {about['microbatches_shown']} of {about['microbatches']} micro-batches are shown")
    return f"to stay within {data_size(max_bytes)} (--trace-max-bytes): {'; '.join(thinner)}" if thinner else ""
