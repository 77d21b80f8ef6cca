"""Where a system spends its step: on what work, and waiting for what."""

import numpy as np

from wse_sim.engine.result import Finish
from wse_sim.report.timeline import Stream
from wse_sim.schedule.cost import WORK
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import ACTIVATIONS, INPUT, StepPlan
from wse_sim.units import to_s

_LEAF = 0  # all systems are alike, but for stragglers and jitter


def breakdown(plan: StepPlan, finish: Finish) -> dict[str, float]:
    """Where system 0 spends the last step: fractions that sum to 1.

    Work is split by what it is. Idle time before a tile is split by what the tile waits for, in this order: the latency
    after the pass that it follows, its input, its weights (of the first layer: the optimizer of the step before),
    activations that come back, activations that must leave first, and room for its gradient.
    """
    program, tiles = plan.program, Stream.of(plan.program, np.ones(plan.program.n_passes))
    per_step = program.tiles_per_step
    service_ps = program.compute_ps[_LEAF, tiles.of_pass]
    jitter_ps = _jitter_ps(program, tiles)
    end = finish.compute[_LEAF, -per_step:]
    start, reached = end - service_ps - jitter_ps, finish.compute[_LEAF, -per_step - 1 : -1]
    times_ps = {**_work_ps(plan, tiles.of_pass, service_ps), "jitter": float(jitter_ps.sum())}
    for name, ready in _ready(program, finish, tiles).items():
        until = np.maximum(reached, np.minimum(ready, start))
        times_ps[name] = float((until - reached).sum())
        reached = until
    times_ps["gradient_wait"] = float((start - reached).sum())
    total_ps = sum(times_ps.values())
    return {name: time_ps / total_ps for name, time_ps in times_ps.items()}


def cross_iteration_s(program: Program, finish: Finish) -> float:
    """From the last gradient at MemoryX to the first weight that leaves it for the next step; 0 where they overlap.

    Source: Cerebras documentation, cluster monitoring: "cross-iteration time".
    """
    last_gradient_ps = finish.up[0, -program.gradients_per_step - 1] + program.latency_ps[program.edge_class[0]]
    first_weight_ps = finish.down[0, -program.weights_per_step] - program.down_ps[program.edge_class[0], 0]
    return max(0.0, to_s(float(first_weight_ps - last_gradient_ps)))


def _work_ps(plan: StepPlan, of_pass: IntArray, service_ps: IntArray) -> dict[str, float]:
    """Time on the wafer by what it is spent on, in the proportions that each pass has."""
    work_s = np.array([max(p.work_s, np.finfo(float).tiny) for p in plan.passes])
    shares = {name: np.array([p.parts_s.get(name, 0.0) for p in plan.passes]) / work_s for name in WORK}
    return {name: float((service_ps * share[of_pass]).sum()) for name, share in shares.items()}


def _jitter_ps(program: Program, tiles: Stream) -> IntArray:
    """What each tile of the last step took longer: only the first of a pass ever does."""
    jitter_ps = np.zeros(program.tiles_per_step, np.int64)
    if program.jitter_ps.size:
        jitter_ps[tiles.is_first_tile] = program.jitter_ps[_LEAF, -program.n_microbatches * program.n_passes :]
    return jitter_ps


def _ready(program: Program, finish: Finish, tiles: Stream) -> dict[str, IntArray]:
    """When each thing that a tile of the last step may wait for is there; at 0, long ago, where it waits for none."""
    per_step = program.tiles_per_step
    never_waits = np.zeros(per_step, np.int64)
    is_opening = np.arange(per_step) < program.n_tiles  # the first layer's tiles wait for the optimizer
    edge = program.n_nodes + _LEAF
    in_flight_ps = program.latency_ps[program.edge_class[edge]]

    def of_tiles(chosen: IntArray, times: IntArray) -> IntArray:
        ready = never_waits.copy()
        has_one = chosen[tiles.of_pass].astype(bool)
        ready[has_one] = times[len(times) - int(has_one.sum()) :]
        return ready

    weights = of_tiles(program.has_weights, finish.down[edge] + in_flight_ps)
    drained = finish.drain[_LEAF]
    room = np.concatenate([np.zeros(program.drain_slots, np.int64), drained])[: len(drained)]
    return {
        "latency": _latency_over(program, finish, tiles, never_waits),
        "input_wait": of_tiles(program.feed_ps[INPUT], finish.feed[INPUT][_LEAF]),
        "cross_iteration": np.where(is_opening, weights, never_waits),
        "weight_wait": weights,
        "activation_wait": np.maximum(
            of_tiles(program.feed_ps[ACTIVATIONS], finish.feed[ACTIVATIONS][_LEAF]), of_tiles(program.drain_ps, room)
        ),
    }


def _latency_over(program: Program, finish: Finish, tiles: Stream, never_waits: IntArray) -> IntArray:
    """When the latency after the pass that it follows is over, for the first tile of each pass."""
    of_step = finish.compute[_LEAF, -program.tiles_per_step :]
    ends = of_step.reshape(program.n_microbatches, program.n_passes, program.n_tiles)[..., -1]
    over = ends[:, program.follows] + program.lag_ps
    ready = never_waits.copy()
    opens = tiles.is_first_tile & (program.follows[tiles.of_pass] >= 0)
    ready[opens] = over[tiles.microbatch[opens], tiles.of_pass[opens]]
    return ready
