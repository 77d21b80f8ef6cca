"""The rules of the Trace Event Format, and what Perfetto asks beyond them, as a check that knows nothing of ours."""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

PS_PER_US = 10**6


def ps(microseconds: float) -> int:
    return round(microseconds * PS_PER_US)


def check_trace(content: dict[str, Any]) -> None:
    """Fail where a viewer would leave something out, or draw it in the wrong place."""
    json.dumps(content, allow_nan=False)
    assert content["displayTimeUnit"] in ("ms", "ns")
    assert all(isinstance(event["pid"], int) and isinstance(event["name"], str) for event in content["traceEvents"])
    of_phase = defaultdict(list)
    for event in content["traceEvents"]:
        of_phase[event["ph"]].append(event)
    assert set(of_phase) <= {"M", "X", "C"}
    _check_names(of_phase)
    _check_slices(of_phase["X"])
    _check_counters(of_phase["C"])


def _check_names(of_phase: dict[str, list[dict[str, Any]]]) -> None:
    """Every process and thread that is drawn has one name and one place, and no two share a number."""
    said = defaultdict(list)
    for event in of_phase["M"]:
        said[event["name"]].append((event["pid"], event.get("tid")))
        ((key, value),) = event["args"].items()
        assert key == ("name" if event["name"].endswith("_name") else "sort_index")
        assert isinstance(value, str if key == "name" else int)
    assert all(len(set(ids)) == len(ids) for ids in said.values())
    assert said["process_name"] == said["process_sort_index"]
    assert said["thread_name"] == said["thread_sort_index"]
    pids, tids = {pid for pid, _ in said["process_name"]}, [tid for _, tid in said["thread_name"]]
    assert len(set(tids)) == len(tids)
    assert not pids & set(tids)
    assert {event["pid"] for events in of_phase.values() for event in events} == pids
    assert {(event["pid"], event["tid"]) for event in of_phase["X"]} == set(said["thread_name"])


def _check_slices(slices: list[dict[str, Any]]) -> None:
    """In order on each thread, and none begins before the one before it ends."""
    of_thread = defaultdict(list)
    for event in slices:
        assert isinstance(event["args"], dict)
        assert event["ts"] >= 0
        assert event["dur"] > 0
        of_thread[event["tid"]].append(event)
    for events in of_thread.values():
        for before, after in pairwise(events):
            assert ps(before["ts"]) + ps(before["dur"]) <= ps(after["ts"])


def _check_counters(changes: list[dict[str, Any]]) -> None:
    """Whole numbers from 0 on, the same ones at every change, at instants that rise."""
    of_counter = defaultdict(list)
    for event in changes:
        assert all(isinstance(value, int) and value >= 0 for value in event["args"].values())
        of_counter[event["pid"], event["name"]].append(event)
    for events in of_counter.values():
        assert len({tuple(event["args"]) for event in events}) == 1
        assert events[0]["ts"] >= 0
        assert all(before["ts"] < after["ts"] for before, after in pairwise(events))
