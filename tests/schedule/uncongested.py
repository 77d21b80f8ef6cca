"""The uncongested limit: what a micro-batch takes when nothing ever waits for a wire, a buffer or a server."""

from collections.abc import Iterable

from wse_sim.schedule.cost import Pass


def uncongested_s(passes: Iterable[Pass]) -> float:
    """Time of one micro-batch on one system with infinite bandwidth everywhere.

    A pass starts when the one before it has ended, and no earlier than its latency after the pass that it follows: with
    weight gradients between them, the longer of the two counts,

        t_end(p) = max(t_end(p - 1), t_end(follows(p)) + latency(p)) + work(p).

    The engine comes down to exactly this when every stream is fast enough.
    """
    ends: dict[str, float] = {}
    now_s = 0.0
    for p in passes:
        if p.follows:
            now_s = max(now_s, ends[p.follows] + p.latency_s)
        now_s += p.work_s
        ends[p.name] = now_s
    return now_s
