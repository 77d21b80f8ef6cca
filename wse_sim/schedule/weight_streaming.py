"""A training step in weight streaming, as a program for the engine.

MemoryX streams each layer's weights through SwarmX to every system; the systems compute on the resident layer; in the
backward pass the weights are streamed again in reverse order and gradients flow out, are summed on the way up, and
MemoryX updates layer by layer. A layer of the next step is sent once its update is done.
"""

from dataclasses import dataclass

import numpy as np

from wse_sim.errors import SpecError
from wse_sim.schedule.cost import Pass, step_passes
from wse_sim.schedule.placement import Placement, largest_microbatch, place
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.tree import Tree, one_branch, swarmx_tree
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.run import Run
from wse_sim.units import to_ps
from wse_sim.workload.transformer import nonzero_parameters

TILES_PER_LAYER = 16  # resolution of the model: with 64 the step time moves by less than 1 % (tests/schedule)
WARM_STEPS = 3  # the first step fills the pipe; later ones repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """A step that fits: its micro-batch, where its activations live, its passes, and the program of it all."""

    microbatch: int
    placement: Placement
    passes: list[Pass]
    program: Program


def plan_step(run: Run, cluster: Cluster, *, is_one_branch: bool = False, n_tiles: int = TILES_PER_LAYER) -> StepPlan:
    """The step of `run` on `cluster`, with the micro-batch that the run names or the fastest that fits.

    Parameters
    ----------
    is_one_branch :
        Keep a single path from MemoryX to one system. All systems being alike, its times are those of the whole tree.

    Raises
    ------
    SpecError
        When no micro-batch fits into the wafer's memory, or the optimizer's state not into MemoryX.
    """
    _check_memoryx(run, cluster)
    microbatch = run.microbatch or _fastest_microbatch(run, cluster)
    placement = place(run.shape, cluster.csx, seq_len=run.seq_len, microbatch=microbatch)
    passes = step_passes(run, cluster.csx, placement, microbatch)
    tree = swarmx_tree(run.num_csx, int(cluster.swarmx.fan_out))
    program = _program(
        passes, cluster, one_branch(tree) if is_one_branch else tree, run.batch_per_csx // microbatch, n_tiles
    )
    return StepPlan(microbatch=microbatch, placement=placement, passes=passes, program=program)


def _check_memoryx(run: Run, cluster: Cluster) -> None:
    needed = cluster.memoryx.state_bytes_per_weight * nonzero_parameters(run.shape, run.density)
    if needed > cluster.memoryx.capacity_bytes:
        raise SpecError(
            f"{run.shape.name} at density {run.density:g} needs {needed / 1e9:,.3g} GB for weights and optimizer "
            f"state, MemoryX holds {cluster.memoryx.capacity_bytes / 1e9:,.3g} GB: use a smaller model or density"
        )


def _fastest_microbatch(run: Run, cluster: Cluster) -> int:
    """The micro-batch with the least time on the wafer: larger ones share fixed costs, smaller ones recompute less."""
    largest = largest_microbatch(run.shape, cluster.csx, seq_len=run.seq_len)
    fitting = [microbatch for microbatch in run.microbatches if microbatch <= largest]
    if not fitting:
        place(run.shape, cluster.csx, seq_len=run.seq_len, microbatch=1)  # raises, and says what is missing

    def time_s(microbatch: int) -> float:
        placement = place(run.shape, cluster.csx, seq_len=run.seq_len, microbatch=microbatch)
        passes = step_passes(run, cluster.csx, placement, microbatch)
        return run.batch_per_csx / microbatch * sum(p.work_s + p.overhead_s for p in passes)

    return min(fitting[-12:], key=time_s)  # the smallest are never the fastest, and a batch may have many divisors


def _program(passes: list[Pass], cluster: Cluster, tree: Tree, n_microbatches: int, n_tiles: int) -> Program:
    csx, memoryx, swarmx = cluster.csx, cluster.memoryx, cluster.swarmx
    index = {p.name: i for i, p in enumerate(passes)}
    down_rates = (min(memoryx.egress_bytes_per_s, swarmx.link_bytes_per_s), swarmx.link_bytes_per_s)
    up_rates = (min(memoryx.ingress_bytes_per_s, swarmx.link_bytes_per_s), swarmx.link_bytes_per_s)
    to_leaf = min(swarmx.link_bytes_per_s, csx.io_bytes_per_s)
    weight_bytes = [p.weight_bytes / n_tiles for p in passes]
    gradient_bytes = [p.gradient_bytes / n_tiles for p in passes]

    def optimizer_ps(bytes_of: list[float]) -> IntArray:
        return _ps([b / n_tiles / memoryx.optimizer_bytes_per_s for b in bytes_of])

    update, accumulate = memoryx.update_bytes_per_weight, memoryx.accumulate_bytes_per_weight
    node_slots = max(1, int(swarmx.buffer_layers * n_tiles))
    return Program(
        n_steps=WARM_STEPS,
        n_microbatches=n_microbatches,
        n_tiles=n_tiles,
        node_parent=tree.node_parent,
        leaf_parent=tree.leaf_parent,
        edge_class=tree.edge_class,
        down_ps=np.stack([_ps([b / rate for b in weight_bytes]) for rate in (*down_rates, to_leaf)]),
        up_ps=np.stack([_ps([b / rate for b in gradient_bytes]) for rate in (*up_rates, to_leaf)]),
        latency_ps=np.full(3, to_ps(swarmx.hop_latency_s)),
        compute_ps=np.tile(_ps([p.work_s / n_tiles for p in passes]), (len(tree.leaf_parent), 1)),
        overhead_ps=_ps([p.overhead_s for p in passes]),
        has_gradient=np.array([p.gradient_bytes > 0 for p in passes], np.int64),
        reduce_ps=_ps([b / swarmx.reduce_bytes_per_s for b in gradient_bytes]),
        update_ps=optimizer_ps([update * p.updated_weights + accumulate * p.summed_weights for p in passes]),
        accumulate_ps=optimizer_ps([accumulate * (p.updated_weights + p.summed_weights) for p in passes]),
        waits_for=np.array([index[p.waits_for] if p.waits_for else -1 for p in passes], np.int64),
        node_slots=node_slots,
        leaf_slots=max(1, int(csx.weight_buffer_layers * n_tiles)),
        gradient_slots=n_tiles,
        up_slots=node_slots,
        reduce_slots=node_slots,
    )


def _ps(seconds: list[float]) -> IntArray:
    return np.array([to_ps(s) for s in seconds], np.int64)
