"""A training step in weight streaming, as a program for the engine.

MemoryX streams each layer's weights through SwarmX to every system; the systems compute on the resident layer; in the
backward pass the weights are streamed again in reverse order and gradients flow out, are summed on the way up, and
MemoryX updates layer by layer. A layer of the next step is sent once its update is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.schedule.block import MatrixWork
from wse_sim.schedule.clock import END_PS, to_ps, whole_ps
from wse_sim.schedule.cost import Pass, StepCosts
from wse_sim.schedule.imperfections import drawn_jitter_ps, with_straggler
from wse_sim.schedule.microbatch import fastest_microbatch
from wse_sim.schedule.placement import Placement, place
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.step_size import StepSize
from wse_sim.schedule.tree import swarmx_tree, tiles_per_layer
from wse_sim.spec.cluster import Cluster, MemoryX
from wse_sim.spec.run import Run
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.transformer import nonzero_parameters

WARM_STEPS = 3  # the first step fills the pipe; later ones repeat
JITTERED_STEPS = 32  # where they do not
INPUT, ACTIVATIONS = 0, 1  # the feeds of a system
_INPUT_MICROBATCHES = 2  # that the input workers may be ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """A step that fits: its micro-batch, where its activations live, its passes, and the program of it all."""

    microbatch: int
    placement: Placement
    passes: list[Pass]
    matrices: list[MatrixWork]
    program: Program


def plan_step(
    run: Run,
    cluster: Cluster,
    *,
    masks: RunMasks | None = None,
    is_mask_update: bool = False,
    n_tiles: int | None = None,
    is_recorded: bool = False,
) -> StepPlan:
    """The step of `run` on `cluster`, with the micro-batch that the run names or the fastest that fits.

    Parameters
    ----------
    masks :
        Of a trained run, in place of random ones of the run's density.
    is_mask_update :
        The step also changes the masks, as `run.mask_updates` says.
    n_tiles :
        Per pass; a multiple of MemoryX's servers. None = `tree.tiles_per_layer`.
    is_recorded :
        Every finish time of the program will be recorded, so that there must be memory for them too.

    Raises
    ------
    SpecError
        When no micro-batch fits into the wafer's memory, or the optimizer's state not into MemoryX, or when the
        simulated clock does not hold the step, or this machine's memory not its program.
    """
    microbatch, placement = fitted(run, cluster)
    n_tiles = tiles_per_layer(int(cluster.memoryx.servers)) if n_tiles is None else n_tiles
    size = step_size(run, cluster, placement, run.batch_per_csx // microbatch, n_tiles, is_recorded=is_recorded)
    where = f"{run.shape.name} on {cluster.csx.name}"
    size.require_memory(where)
    costs = StepCosts(run, cluster.csx, placement, microbatch, masks=masks, is_mask_update=is_mask_update)
    passes = costs.passes()
    try:
        program = _program(run, passes, cluster, size)
        whole_ps(_latest_end_ps(program))
    except OverflowError as error:
        raise SpecError(f"{where}: {error}: {_what_the_clock_holds(run, passes, cluster, size)}") from None
    return StepPlan(
        microbatch=microbatch,
        placement=placement,
        passes=passes,
        matrices=costs.block(0).matrix_works(),
        program=program,
    )


def fitted(run: Run, cluster: Cluster) -> tuple[int, Placement]:
    """The micro-batch that `run` names, or the fastest that fits, and where its activations live.

    Raises
    ------
    SpecError
        As `plan_step`.
    """
    needed = cluster.memoryx.state_bytes_per_weight * nonzero_parameters(run.shape, run.density)
    if needed > cluster.memoryx.capacity_bytes:
        raise SpecError(
            f"{run.shape.name} at density {run.density:g} needs {needed / 1e9:,.3g} GB for weights and optimizer "
            f"state, MemoryX holds {cluster.memoryx.capacity_bytes / 1e9:,.3g} GB: use a smaller model or density"
        )
    microbatch = run.microbatch or max(1, fastest_microbatch(run, cluster))
    return microbatch, place(run.shape, cluster.csx, seq_len=run.seq_len, microbatch=microbatch)


def step_size(
    run: Run, cluster: Cluster, placement: Placement, n_microbatches: int, n_tiles: int, *, is_recorded: bool
) -> StepSize:
    """How large the program of such a step is."""
    return StepSize(
        n_steps=JITTERED_STEPS if run.jitter else WARM_STEPS,
        n_microbatches=n_microbatches,
        n_tiles=n_tiles,
        n_systems=run.num_csx,
        fan_out=int(cluster.swarmx.fan_out),
        n_layers=run.shape.n_layers,
        n_offloaded=run.shape.n_layers - placement.resident_layers,
        has_jitter=run.jitter > 0,
        is_recorded=is_recorded,
    )


def with_steps(program: Program, run: Run, n_steps: int) -> Program:
    """The program of `run` over another number of steps; the steps that both have are the same.

    Raises
    ------
    SpecError
        When the simulated clock does not hold them.
    """
    jitter_ps = _jitter_ps(run, program.compute_ps, program.n_tiles, n_steps * program.n_microbatches)
    longer = replace(program, n_steps=n_steps, jitter_ps=jitter_ps)
    end_ps = _latest_end_ps(longer)
    try:
        whole_ps(end_ps)
    except OverflowError as error:
        n_fitting = int(n_steps * (END_PS / end_ps))
        raise SpecError(f"{n_steps:,} steps: {error}: at most {n_fitting:,} steps would be right") from None
    return longer


def update_bytes(one: Pass, memoryx: MemoryX) -> float:
    """Moved in MemoryX's memory for the gradient of a pass, in the last micro-batch."""
    return (
        memoryx.update_bytes_per_weight * one.updated_weights
        + memoryx.accumulate_bytes_per_weight * one.summed_weights
        + memoryx.score_bytes_per_weight * one.scored_weights
    )


def accumulate_bytes(one: Pass, memoryx: MemoryX) -> float:
    """Moved in MemoryX's memory for the gradient of a pass, in the other micro-batches."""
    return memoryx.accumulate_bytes_per_weight * (one.updated_weights + one.summed_weights)


def _jitter_ps(run: Run, compute_ps: IntArray, n_tiles: int, n_occurrences: int) -> IntArray:
    pass_ps = np.multiply(compute_ps, n_tiles, dtype=np.float64)
    return drawn_jitter_ps(pass_ps, run.jitter, n_occurrences, run.seed)


def _program(run: Run, passes: list[Pass], cluster: Cluster, size: StepSize) -> Program:
    csx, memoryx, swarmx = cluster.csx, cluster.memoryx, cluster.swarmx
    tree = swarmx_tree(size.n_systems, size.fan_out)
    n_lanes, n_steps, n_microbatches, n_tiles = int(memoryx.servers), size.n_steps, size.n_microbatches, size.n_tiles
    compute_ps = np.tile(to_ps(np.array([p.work_s for p in passes]) / n_tiles), (run.num_csx, 1))
    compute_ps = with_straggler(compute_ps, run.straggler)
    to_leaf = min(swarmx.link_bytes_per_s, csx.io_bytes_per_s)
    # A lane of the root edge is a server's own wire; from the root on there is one wire per link.
    down_rates = (min(memoryx.egress_bytes_per_s / n_lanes, swarmx.link_bytes_per_s), swarmx.link_bytes_per_s, to_leaf)
    up_rates = (min(memoryx.ingress_bytes_per_s / n_lanes, swarmx.link_bytes_per_s), swarmx.link_bytes_per_s, to_leaf)
    place_of = {p.name: i for i, p in enumerate(passes)}

    def index(names: Sequence[str]) -> IntArray:
        return np.array([place_of[name] if name else -1 for name in names], np.int64)

    def per_tile(amounts: Sequence[float], rate: float) -> IntArray:
        """Time of one tile, 0 where there is nothing to do."""
        per_tile_s = np.array(amounts) / n_tiles / rate
        return np.where(per_tile_s > 0, to_ps(per_tile_s), 0)

    weights, gradients = [p.weight_bytes for p in passes], [p.gradient_bytes for p in passes]
    server_bytes_per_s = memoryx.optimizer_bytes_per_s / n_lanes
    node_slots = max(1, int(swarmx.buffer_layers * n_tiles))
    return Program(
        n_steps=n_steps,
        n_microbatches=n_microbatches,
        n_tiles=n_tiles,
        n_lanes=n_lanes,
        node_parent=tree.node_parent,
        leaf_parent=tree.leaf_parent,
        edge_class=tree.edge_class,
        has_weights=np.array([p.weight_bytes > 0 for p in passes], np.int64),
        has_gradient=np.array([p.gradient_bytes > 0 for p in passes], np.int64),
        down_ps=np.stack([per_tile(weights, rate) for rate in down_rates]),
        up_ps=np.stack([per_tile(gradients, rate) for rate in up_rates]),
        latency_ps=np.full(3, to_ps(swarmx.hop_latency_s)),
        compute_ps=compute_ps,
        jitter_ps=_jitter_ps(run, compute_ps, n_tiles, n_steps * n_microbatches),
        follows=index([p.follows for p in passes]),
        lag_ps=np.array([to_ps(p.latency_s) if p.follows else 0 for p in passes], np.int64),
        feed_ps=np.stack(
            [
                per_tile([p.n_input_tokens for p in passes], csx.input_tokens_per_s),
                per_tile([p.fetched_bytes for p in passes], csx.activation_link_bytes_per_s),
            ]
        ),
        feed_slots=np.array([_INPUT_MICROBATCHES * n_tiles, n_tiles], np.int64),
        feed_after=np.stack([np.full(len(passes), -1), index([p.fetches for p in passes])]),
        drain_ps=per_tile([p.stored_bytes for p in passes], csx.activation_link_bytes_per_s),
        drain_slots=n_tiles,
        reduce_ps=per_tile(gradients, swarmx.reduce_bytes_per_s),
        update_ps=per_tile([update_bytes(p, memoryx) for p in passes], server_bytes_per_s),
        accumulate_ps=per_tile([accumulate_bytes(p, memoryx) for p in passes], server_bytes_per_s),
        waits_for=index([p.waits_for for p in passes]),
        node_slots=node_slots,
        leaf_slots=max(1, int(csx.weight_buffer_layers * n_tiles)),
        gradient_slots=n_tiles,
        up_slots=node_slots,
        reduce_slots=node_slots,
    )


def _latest_end_ps(p: Program) -> npt.NDArray[np.float64]:
    """When the program would end, were everything done one after another."""
    of_tiles = (p.down_ps, p.up_ps, p.feed_ps, p.drain_ps, p.reduce_ps, p.update_ps, p.accumulate_ps)
    tile_ps = sum(times_ps.sum(dtype=np.float64) for times_ps in (*of_tiles, p.compute_ps.max(axis=0)))
    hops_ps = 2 * p.n_passes * p.latency_ps.sum(dtype=np.float64)
    microbatch_ps = p.n_tiles * tile_ps + hops_ps + p.lag_ps.sum(dtype=np.float64)
    jitter_ps = p.jitter_ps.max(axis=0, initial=0).sum(dtype=np.float64)
    return np.asarray(p.n_steps * p.n_microbatches * microbatch_ps + jitter_ps)


def _what_the_clock_holds(run: Run, passes: list[Pass], cluster: Cluster, size: StepSize) -> str:
    """What would be right where the simulated clock does not hold a step: fewer micro-batches, if it holds one."""
    try:
        one_ps = float(_latest_end_ps(_program(run, passes, cluster, replace(size, n_microbatches=1))))
    except OverflowError:
        one_ps = END_PS
    if one_ps < END_PS and size.n_microbatches > 1:
        n_fitting = int(END_PS / one_ps)
        return f"at most {n_fitting:,} micro-batches (a larger --microbatch or a smaller --batch-size) would be right"
    return "a constant (wse-sim explain constants), the straggler or the jitter must be far off"
