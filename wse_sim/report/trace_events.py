"""Slices and counters as events of a Chrome trace.

Source: the Trace Event Format, docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: complete events
(X), counters (C) and metadata (M). Perfetto draws each value in a counter's `args` as a track of its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from wse_sim.report.timeline import Slices
from wse_sim.report.trace_counters import Counter
from wse_sim.schedule.weight_streaming import StepPlan

PS_PER_US = 10**6
_PROCESS_STEP = 10_000  # the ids of a process and of its threads are no other's, as Perfetto asks

Event = dict[str, Any]


def trace_events(
    plan: StepPlan, slices: Sequence[Slices], counters: Sequence[Counter], *, first_step: int
) -> list[Event]:
    """All events: metadata, the slices of each server in order, each counter in order.

    Parameters
    ----------
    first_step :
        That the slices' step 0 is, from 0.
    """
    processes = dict.fromkeys(s.track.process for s in slices)
    pids = {process: _PROCESS_STEP * number for number, process in enumerate(processes, start=1)}
    origin = min(int(s.start[0]) for s in slices if len(s.start))
    names = [one.name for one in plan.passes]
    events = [event for process, pid in pids.items() for event in _process(process, pid)]
    n_threads = dict.fromkeys(pids, 0)
    of_slices: list[Event] = []
    for s in slices:
        if not len(s.start):  # such as activations that all stay on the wafer
            continue
        pid = pids[s.track.process]
        n_threads[s.track.process] += 1
        thread = {"pid": pid, "tid": pid + n_threads[s.track.process]}
        events += _thread(s.track.name, thread)
        of_slices += _slices(s, thread, names, origin, first_step)
    return events + of_slices + [event for c in counters for event in _changes(c, pids[c.process], origin)]


def _process(name: str, pid: int) -> Iterator[Event]:
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": pid}}


def _thread(name: str, thread: dict[str, int]) -> Iterator[Event]:
    yield {"ph": "M", **thread, "name": "thread_name", "args": {"name": name}}
    yield {"ph": "M", **thread, "name": "thread_sort_index", "args": {"sort_index": thread["tid"]}}


def _slices(s: Slices, thread: dict[str, int], names: list[str], origin: int, first_step: int) -> Iterator[Event]:
    """A slice for each; `busy_us` where the server pauses in it, amounts where they are not 0."""
    first = s.first
    columns = [s.start, s.end, s.busy, s.track.of_pass[first], s.track.microbatch[first], s.track.step[first]]
    amounts = [(name, of_slice.tolist()) for name, of_slice in s.amounts.items()]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for number, (start, end, busy, of_pass, microbatch, step) in enumerate(rows):
        args: Event = {"step": first_step + step + 1, "microbatch": microbatch}
        args |= {name: round(of_slice[number]) for name, of_slice in amounts if of_slice[number]}
        if busy != end - start:
            args["busy_us"] = busy / PS_PER_US
        yield {
            "ph": "X",
            **thread,
            "ts": (start - origin) / PS_PER_US,
            "dur": (end - start) / PS_PER_US,
            "name": names[of_pass],
            "args": args,
        }


def _changes(c: Counter, pid: int, origin: int) -> Iterator[Event]:
    for time, tiles, amount in zip(c.time.tolist(), c.tiles.tolist(), c.amount.tolist(), strict=True):
        held = {"tiles": c.slots - tiles} if c.is_free else {"tiles": tiles, c.unit: amount}
        yield {"ph": "C", "pid": pid, "name": c.name, "ts": (time - origin) / PS_PER_US, "args": held}
