"""What buffers hold over time in a trace."""

import numpy as np
import pytest

from tests.report.test_trace import MANY, UNEQUAL, counters_of, simulated
from wse_sim.report import trace_counters
from wse_sim.report.timeline import Tracks
from wse_sim.report.trace import chrome_trace
from wse_sim.report.trace_counters import Counter, counters, thinned
from wse_sim.report.trace_window import TraceSteps, window


def test_a_full_buffer_is_seen_to_be_full_and_then_has_no_credits() -> None:
    content = chrome_trace(simulated(**MANY))
    counters, slots = counters_of(content), content["otherData"]["buffer_slots"]
    assert max(args["tiles"] for args in counters["CSX 0 weights"]) == slots["CSX 0 weights"]
    assert min(args["tiles"] for args in counters["CSX 0 weight credits"]) == 0


def test_a_buffer_holds_what_has_come_and_not_yet_gone_at_every_instant() -> None:
    """Counted anew for each instant, from the engine's finish times."""
    done = simulated(**UNEQUAL)
    shown, passes, p = window(done, TraceSteps()), done.plan.passes, done.plan.program
    tracks = Tracks(done.plan, done.cluster.memoryx, shown, [1], 1)
    (held,) = (c for c in counters(tracks) if (c.process, c.name) == ("CSX 1", "weights"))
    of_pass = np.tile(np.repeat(np.arange(p.n_passes), p.n_tiles), p.n_microbatches)
    weights = of_pass[p.has_weights[of_pass] == 1]
    come = shown.of(shown.finish.down[p.n_nodes + 1]) + p.latency_ps[2]
    gone = shown.of(shown.finish.compute[1])[p.has_weights[of_pass] == 1]
    tile_bytes = np.array([round(passes[i].weight_bytes / p.n_tiles) for i in weights])
    for time, tiles, amount in list(zip(held.time, held.tiles, held.amount, strict=True))[::7]:
        is_there = (come <= time) & (gone > time)
        assert (tiles, amount) == (is_there.sum(), tile_bytes[is_there].sum())


def test_a_counter_over_days_is_thinned_in_equal_intervals() -> None:
    time = np.linspace(0, 9e18, 5001).astype(np.int64)  # a hundred days, the longest that picoseconds hold
    tiles = np.append(np.ones(5000, np.int64), 0)
    thin = thinned(Counter(process="p", name="n", slots=1, unit="bytes", time=time, tiles=tiles, amount=tiles))
    assert np.all(np.abs(np.diff(thin.time) - 9e18 / 500) < 1e4)
    assert thin.tiles.tolist() == [1] * 500 + [0]


@pytest.mark.parametrize("seed", range(20))
def test_a_thinned_counter_is_never_below_the_whole_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_counters, "N_BINS", 10)
    draw = np.random.default_rng(seed)
    time = np.sort(draw.choice(5_000, 200, replace=False))
    tiles = np.append(draw.integers(0, 50, 199), 0)
    whole = Counter(process="p", name="n", slots=50, unit="bytes", time=time, tiles=tiles, amount=3 * tiles)
    thin = thinned(whole)
    assert len(thin.time) <= 11
    assert np.all(np.diff(thin.time) > 0)
    instants = np.arange(time[0], time[-1] + 1)
    held, shown = (of.tiles[np.searchsorted(of.time, instants, side="right") - 1] for of in (whole, thin))
    assert np.all(shown >= held)
    assert thin.tiles.max() == tiles.max()
    assert np.array_equal(thin.amount, 3 * thin.tiles)
    assert (thin.time[-1], thin.tiles[-1]) == (time[-1], 0)
