"""A Chrome trace read back as lanes: when one resource works, forward and backward."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Process and thread in the trace, and the name of the lane; the first server and the first system stand for all.
_SHOWN = {
    ("MemoryX", "server 0 send weights"): "MemoryX send weights",
    ("SwarmX node 0", "reduce"): "SwarmX reduce",
    ("optimizer", "server 0"): "MemoryX optimizer",
    ("CSX 0", "ingress"): "CSX 0 ingress",
    ("CSX 0", "compute"): "CSX 0 compute",
    ("CSX 0", "egress"): "CSX 0 egress",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One resource.

    Parameters
    ----------
    slices :
        Start, length and time at work, in microseconds, and whether it is a backward pass; in order.
    """

    name: str
    slices: tuple[tuple[float, float, float, bool], ...]

    @property
    def end_us(self) -> float:
        return max(start + length for start, length, _, _ in self.slices)

    @property
    def busy_us(self) -> float:
        return sum(busy for _, _, busy, _ in self.slices)

    @property
    def n_slices(self) -> int:
        return len(self.slices)

    def shares(self, end_us: float, n_bins: int) -> tuple[list[float], list[float]]:
        """The share of each of `n_bins` equal intervals up to `end_us` at work, forward and backward."""
        shares = ([0.0] * n_bins, [0.0] * n_bins)
        width = end_us / n_bins
        for start, length, busy, is_backward in self.slices:
            last = min(n_bins - 1, int((start + length) / width))
            for index in range(int(start / width), last + 1):
                covered = min(start + length, (index + 1) * width) - max(start, index * width)
                if covered > 0:
                    shares[is_backward][index] += covered / length * busy / width
        return shares


def lanes(trace: Mapping[str, Any]) -> list[Lane]:
    """The lanes of a trace's last step that a report shows, those of the first system for all; the ones the trace has.

    Times are from the first thing that happens in them: input for a step may be brought long before.
    """
    events, step = trace.get("traceEvents", []), trace.get("otherData", {}).get("last_step")
    processes = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    threads = {
        (processes.get(e["pid"], ""), e["args"]["name"]): (e["pid"], e["tid"])
        for e in events
        if e["ph"] == "M" and e["name"] == "thread_name"
    }
    found = {
        name: [
            e
            for e in events
            if e["ph"] == "X" and (e["pid"], e["tid"]) == threads[thread] and e.get("args", {}).get("step") == step
        ]
        for thread, name in _SHOWN.items()
        if thread in threads
    }
    first_us = min((slices[0]["ts"] for slices in found.values() if slices), default=0.0)
    return [
        Lane(name=name, slices=tuple(_slice(event, first_us) for event in slices))
        for name, slices in found.items()
        if slices
    ]


def _slice(event: Mapping[str, Any], first_us: float) -> tuple[float, float, float, bool]:
    busy_us = event.get("args", {}).get("busy_us", event["dur"])
    return event["ts"] - first_us, event["dur"], busy_us, not event["name"].endswith("forward")
