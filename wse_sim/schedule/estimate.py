"""The closed form of a step, for many configurations at once: columns in, columns out.

Where nothing contends it is what the engines come down to; where something does, each phase takes as long as its
slowest stream. Blocks are alike, so that a micro-batch is a formula instead of a list of passes.
"""

from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from wse_sim.schedule.placement import resident_layers
from wse_sim.schedule.rates import Rates, transposed
from wse_sim.schedule.tree import tiles_per_layer
from wse_sim.spec.cluster import Cluster, Csx
from wse_sim.spec.run import Run
from wse_sim.wafer.dataflow import work_ratios
from wse_sim.workload.sparsity import exact_nonzeros
from wse_sim.workload.transformer import Matrix, embedding_weights, linear_matrices, vectors_per_block

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOTHING_CONTENDS = 0.9  # contention below which a step in closed form is the event engine's to 1 %
# Of what lies between MemoryX and the wafers, where that holds; beyond, tiles wait for room, or for an answer.
LEAST_BUFFER_LAYERS, LONGEST_HOP_S = 1.0, 1e-5

STREAMS = ("wafer", "weights", "gradients", "optimizer", "activations", "input")


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrobatchCosts:
    """One micro-batch on one system, for a column of sizes.

    Parameters
    ----------
    microbatch : (n,)
        Sequences.
    forward_block_s, backward_block_s : (n,)
        The wafer's time in one block.
    forward_ends_s, backward_ends_s : (n,)
        In everything else.
    stored_bytes : (n,)
        Of one block that does not keep its activations on the wafer: to the activation servers, and back.
    n_stored : (n,)
        Such blocks.
    n_tokens : (n,)
        That the input workers must have ready.
    block_weight_bytes, ends_weight_bytes, gradient_bytes :
        On the wire: of one block in each phase, of embedding and output layer, and of all gradients.
    updated_weights, embedding_weights :
        Weights that the optimizer updates, and those of the embedding, which come last.
    """

    microbatch: IntArray
    forward_block_s: FloatArray
    backward_block_s: FloatArray
    forward_ends_s: FloatArray
    backward_ends_s: FloatArray
    stored_bytes: FloatArray
    n_stored: FloatArray
    n_tokens: IntArray
    n_blocks: int
    block_weight_bytes: float
    ends_weight_bytes: float
    gradient_bytes: float
    updated_weights: float
    embedding_weights: float

    def __getitem__(self, index: IntArray) -> "MicrobatchCosts":
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen: dict[str, Any] = {n: c[index] if isinstance(c, np.ndarray) else c for n, c in columns.items()}
        return MicrobatchCosts(**chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Steps, estimated; every field (n,).

    Parameters
    ----------
    step_s :
        Time of one optimizer step.
    bound :
        Which of `STREAMS` is busiest, by its place.
    contention :
        Time of the busiest stream beside computation over the computation's, in the phase or block where this is most;
        while it is below `NOTHING_CONTENDS`, `step_s` is the event engine's to 1 %, on a cluster that is known
        (`knows`).
    """

    step_s: FloatArray
    bound: IntArray
    contention: FloatArray

    def __getitem__(self, index: IntArray) -> "Estimate":
        return Estimate(step_s=self.step_s[index], bound=self.bound[index], contention=self.contention[index])


def knows(cluster: Cluster) -> bool:
    """Whether the closed form holds on `cluster`: it has no term for buffers that are too small, nor for long hops."""
    buffer_layers = min(cluster.csx.weight_buffer_layers, cluster.swarmx.buffer_layers)
    return buffer_layers >= LEAST_BUFFER_LAYERS and cluster.swarmx.hop_latency_s <= LONGEST_HOP_S


def microbatch_costs(run: Run, csx: Csx, microbatch: IntArray) -> MicrobatchCosts:
    """What micro-batches of `microbatch` sequences cost, which must fit (`placement.largest_microbatch`).

    Forward: embedding, blocks, output layer. Backward: the output layer's two products, then for each block the error,
    attention twice, and the weights' gradient, which fills the latency before the next block.

    Parameters
    ----------
    run :
        Its masks are drawn; its batch and its number of systems play no part.
    """
    shape, n = run.shape, run.shape.n_layers
    tokens = microbatch * run.seq_len
    rates = Rates(run, csx, cast(int, tokens))  # the arithmetic of one micro-batch is that of a column of them
    forward, delta, gradient = _products_s(rates, run, tokens)
    table = Matrix(name="output", n_out=shape.vocab_size, n_in=shape.d_model)
    logits, logits_delta = (
        np.asarray(rates.full_lanes_s(m) * rates.rounding(m) * shape.logits_fraction)
        for m in (table, transposed(table))
    )
    latency = csx.layer_latency_s
    until_next = np.maximum(gradient, latency)
    matrices, vectors = linear_matrices(shape), vectors_per_block(shape)
    n_weights = sum(m.n_weights for m in matrices)
    nonzeros = sum(exact_nonzeros(m.n_weights, run.density) for m in matrices)
    positions = shape.seq_len * shape.d_model if shape.positions == "learned" else 0
    return MicrobatchCosts(
        microbatch=microbatch,
        forward_block_s=forward + rates.attention_s,
        backward_block_s=delta + 2 * rates.attention_s + until_next,
        forward_ends_s=logits,
        backward_ends_s=logits_delta + np.maximum(logits, latency) + gradient - until_next,
        stored_bytes=np.asarray(csx.saved_bytes_per_activation * float(shape.d_model) * tokens, np.float64),
        n_stored=n - resident_layers(shape, csx, seq_len=run.seq_len, microbatch=microbatch),
        n_tokens=tokens,
        n_blocks=n,
        block_weight_bytes=rates.weight_bytes(n_weights, nonzeros / n_weights) + rates.weight_bytes(vectors),
        ends_weight_bytes=rates.weight_bytes(float(2 * table.n_weights + positions)),
        gradient_bytes=rates.gradient_bytes(n * (nonzeros + vectors) + 2 * table.n_weights + positions),
        updated_weights=float(n * (nonzeros + vectors) + embedding_weights(shape)),
        embedding_weights=float(table.n_weights + positions),
    )


def estimate_steps(costs: MicrobatchCosts, cluster: Cluster, n_microbatches: IntArray) -> Estimate:
    """Steps of `n_microbatches` micro-batches, one number for each entry of `costs`.

    The number of systems plays no part: all of them do the same at the same time, and the tree between them and MemoryX
    has one stream, whatever its size.
    """
    csx = cluster.csx
    block_s = np.array([costs.forward_block_s, costs.backward_block_s])
    compute_s = costs.n_blocks * block_s + np.array([costs.forward_ends_s, costs.backward_ends_s])
    stored_s = np.where(costs.n_stored > 0, costs.stored_bytes / csx.activation_link_bytes_per_s, 0.0)
    # The output layer, and the embedding behind a backward phase, have more weights than the blocks before them; the
    # buffers of a system and of the nodes above it let them be ahead of the wafer.
    layers_ahead = csx.weight_buffer_layers + cluster.swarmx.buffer_layers
    late_s = csx.dense_weight_bytes * costs.embedding_weights / _bytes_per_s(cluster)[0] - layers_ahead * block_s
    wafer_s = compute_s + costs.n_stored * np.maximum(0.0, stored_s - block_s) + np.maximum(0.0, late_s)
    streams_s = _streams_s(costs, cluster, n_microbatches)
    input_s = costs.n_tokens / csx.input_tokens_per_s  # prepared ahead, during both phases
    phases_s = np.maximum(wafer_s, streams_s.max(axis=1)).sum(axis=0)
    both_s = compute_s.sum(axis=0)
    beside = [
        *(streams_s.max(axis=1) / compute_s),
        stored_s / block_s.min(axis=0),
        _output_gradient_s(costs, cluster) / costs.backward_block_s,
        input_s / both_s,
    ]
    return Estimate(
        step_s=n_microbatches * np.maximum(phases_s, input_s) + _turn_s(costs, cluster),
        bound=np.argmax([both_s, *streams_s.sum(axis=0), 2 * costs.n_stored * stored_s, input_s], axis=0),
        contention=np.max(beside, axis=0),
    )


def _streams_s(costs: MicrobatchCosts, cluster: Cluster, n_microbatches: IntArray) -> FloatArray:
    """(2, 3, n): seconds of weights, gradients and optimizer in each phase."""
    memoryx = cluster.memoryx
    down, up = _bytes_per_s(cluster)
    weights_s = costs.n_blocks * costs.block_weight_bytes / down
    sums_s = memoryx.accumulate_bytes_per_weight * costs.updated_weights / memoryx.optimizer_bytes_per_s
    update_s = memoryx.update_bytes_per_weight * costs.updated_weights / memoryx.optimizer_bytes_per_s
    none = np.zeros(len(costs.microbatch))
    return np.array(
        [
            [none + weights_s + costs.ends_weight_bytes / down, none, none],
            [none + weights_s, none + costs.gradient_bytes / up, sums_s + (update_s - sums_s) / n_microbatches],
        ]
    )


def _output_gradient_s(costs: MicrobatchCosts, cluster: Cluster) -> float:
    """Seconds in which the output layer's gradient leaves, or is worked on, beside the last block's backward pass."""
    memoryx = cluster.memoryx
    update_s = memoryx.update_bytes_per_weight / memoryx.optimizer_bytes_per_s
    return costs.embedding_weights * max(cluster.csx.gradient_bytes / _bytes_per_s(cluster)[1], update_s)


def _turn_s(costs: MicrobatchCosts, cluster: Cluster) -> float:
    """Seconds from the end of a step's work until the next one can start.

    The embedding's gradient comes last and its new weights are needed first, with the first block behind them. Its
    tiles are a pipeline: through the tree, over a server's own wire, through its optimizer, over its wire and through
    the tree again. The tree has all tiles; a server has its share of them, and works at that share of the rate. Each
    stage takes its time for its first tile, and the slowest one for the others.
    """
    csx, memoryx, swarmx = cluster.csx, cluster.memoryx, cluster.swarmx
    servers, n_tiles = int(memoryx.servers), tiles_per_layer(int(memoryx.servers))
    wires, tree = servers * swarmx.link_bytes_per_s, min(swarmx.link_bytes_per_s, csx.io_bytes_per_s)
    egress = min(memoryx.egress_bytes_per_s, wires)
    gradient, weights = csx.gradient_bytes, csx.dense_weight_bytes
    stages = np.array(
        [
            (gradient / min(tree, swarmx.reduce_bytes_per_s), 1 / n_tiles),
            (gradient / min(memoryx.ingress_bytes_per_s, wires), servers / n_tiles),
            (memoryx.update_bytes_per_weight / memoryx.optimizer_bytes_per_s, servers / n_tiles),
            (weights / egress, servers / n_tiles),
            (weights / tree, 1 / n_tiles),
        ]
    )
    all_s, first = costs.embedding_weights * stages[:, 0], stages[:, 1]
    return float(all_s @ first + (all_s * (1.0 - first)).max() + servers / n_tiles * costs.block_weight_bytes / egress)


def _bytes_per_s(cluster: Cluster) -> tuple[float, float]:
    """Down to a system, and up from it: the narrowest place on the way."""
    csx, memoryx, swarmx = cluster.csx, cluster.memoryx, cluster.swarmx
    both = min(swarmx.link_bytes_per_s, csx.io_bytes_per_s)
    return min(memoryx.egress_bytes_per_s, both), min(memoryx.ingress_bytes_per_s, both, swarmx.reduce_bytes_per_s)


def _products_s(rates: Rates, run: Run, tokens: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Seconds of the linear layers of one block: forward, the error's products, the weights' gradients."""
    forward, delta, gradient = (np.zeros(len(tokens)) for _ in range(3))
    for matrix in linear_matrices(run.shape):
        flipped = transposed(matrix)
        ratio, multiply_ratio = _ratios(rates, run, matrix, tokens)
        full_s = rates.full_lanes_s(matrix) * rates.rounding(matrix)
        forward += full_s * ratio
        gradient += full_s * multiply_ratio
        delta += rates.full_lanes_s(flipped) * rates.rounding(flipped) * _ratios(rates, run, flipped, tokens)[0]
    return forward, delta, gradient


def _ratios(rates: Rates, run: Run, matrix: Matrix, tokens: IntArray) -> tuple[FloatArray, FloatArray]:
    return work_ratios(matrix.n_out, matrix.n_in, run.density, rates.mesh, tokens, run.seed, matrix.name)
