"""What each pass of a step costs: the only place where work meets hardware."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wse_sim.schedule.block import Block
from wse_sim.schedule.placement import Placement
from wse_sim.schedule.rates import Rates, transposed
from wse_sim.spec.cluster import Csx
from wse_sim.spec.run import Run
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.transformer import Matrix

# What time on the wafer is spent on: the multiplications of the non-zeros; columns that wait for the fullest one;
# weights on their way to the cores, and partial sums, beyond the multiplications; lanes and columns that are not full;
# attention; the output layer.
WORK = ("linear", "imbalance", "broadcast", "reduction", "rounding", "attention", "logits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One part of one layer's work, for one micro-batch on one system.

    Parameters
    ----------
    parts_s :
        Time on the wafer, by what it is spent on, by names of `WORK`.
    follows, latency_s :
        The pass whose end this one waits for, and how long after it this one may start; "" for none.
    weight_bytes, gradient_bytes :
        Streamed in, and out.
    updated_weights :
        Weights whose gradient this pass completes, so that the optimizer works on them.
    scored_weights :
        Weights among which MemoryX chooses those that the masks of the next step keep.
    summed_weights :
        Weights whose gradient is only added up, for another pass to complete (the output layer's, where it is tied).
    waits_for :
        The pass whose update, in the step before, these weights need; "" for none.
    n_input_tokens :
        That the input workers must have ready.
    stored_bytes, fetched_bytes :
        To the activation servers, and back from them.
    fetches :
        The pass that stored what this one fetches; "" for none.
    sparse_flops, dense_flops :
        That the model needs, attention and output layer included: masked weights not counted, and counted.
    """

    name: str
    parts_s: Mapping[str, float] = field(default_factory=dict)
    follows: str = ""
    latency_s: float = 0.0
    weight_bytes: float = 0.0
    gradient_bytes: float = 0.0
    updated_weights: float = 0.0
    summed_weights: float = 0.0
    scored_weights: float = 0.0
    waits_for: str = ""
    n_input_tokens: int = 0
    stored_bytes: float = 0.0
    fetched_bytes: float = 0.0
    fetches: str = ""
    sparse_flops: float = 0.0
    dense_flops: float = 0.0

    @property
    def work_s(self) -> float:
        """Time on the wafer."""
        return sum(self.parts_s.values())


class StepCosts:
    """A step's layers, priced for one run on one system.

    Parameters
    ----------
    masks :
        Of a trained run, in place of random ones of the run's density.
    is_mask_update :
        The step also changes the masks, as `run.mask_updates` says.
    """

    def __init__(
        self,
        run: Run,
        csx: Csx,
        placement: Placement,
        microbatch: int,
        *,
        masks: RunMasks | None = None,
        is_mask_update: bool = False,
    ) -> None:
        self.shape, self.placement, self.masks, self.is_mask_update = run.shape, placement, masks, is_mask_update
        self.latency_s = csx.layer_latency_s
        self.rates = Rates(run, csx, microbatch * run.seq_len)
        self.table = Matrix(name="output", n_out=self.shape.vocab_size, n_in=self.shape.d_model)
        positions = self.shape.seq_len * self.shape.d_model if self.shape.positions == "learned" else 0
        self.embedding_weights = float(self.table.n_weights + positions)
        self._blocks: dict[int, Block] = {}

    def passes(self) -> list[Pass]:
        """The passes of one micro-batch, in the order in which the wafer works on them.

        Embedding, blocks, output layer; then backwards: the output layer, whose weights are still there, the blocks,
        and the embedding, which needs no weights for its gradient. Backwards, a layer first hands the error on to the
        layer below (*delta*), then takes the gradient of its own weights, which nothing on the wafer waits for.
        """
        layers = range(self.shape.n_layers)
        backward = [self.output_delta(), self.output_gradient()]
        for layer in reversed(layers):
            backward += [self.block_delta(layer), self.block_gradient(layer)]
        return [
            self.embedding_forward(),
            *(self.block_forward(layer) for layer in layers),
            self.output_forward(),
            *backward,
            self.embedding_gradient(),
        ]

    def block(self, layer: int) -> Block:
        """Blocks whose masks are drawn are alike; those of a trained run differ."""
        trained = self.masks.trained_block(layer, self.shape.n_layers) if self.masks else 0
        if trained not in self._blocks:
            self._blocks[trained] = Block(self.rates, self.masks, trained, is_mask_update=self.is_mask_update)
        return self._blocks[trained]

    def embedding_forward(self) -> Pass:
        return Pass(
            name="embedding forward",
            weight_bytes=self.rates.weight_bytes(self.embedding_weights),
            waits_for="embedding gradient",
            n_input_tokens=self.rates.n_tokens,
        )

    def embedding_gradient(self) -> Pass:
        return Pass(
            name="embedding gradient",
            gradient_bytes=self.rates.gradient_bytes(self.embedding_weights),
            updated_weights=self.embedding_weights,
        )

    def block_forward(self, layer: int) -> Pass:
        block = self.block(layer)
        return Pass(
            name=f"block {layer} forward",
            parts_s={**block.forward_s, "attention": self.rates.attention_s},
            weight_bytes=block.weight_bytes,
            waits_for=f"block {layer} gradient",
            stored_bytes=self._offloaded_bytes(layer),
            sparse_flops=block.sparse_flops + self.rates.attention_flops,
            dense_flops=block.dense_flops + self.rates.attention_flops,
        )

    def block_delta(self, layer: int) -> Pass:
        block, offloaded_bytes = self.block(layer), self._offloaded_bytes(layer)
        is_last = layer == self.shape.n_layers - 1
        return Pass(
            name=f"block {layer} delta",
            parts_s={**block.delta_s, "attention": 2 * self.rates.attention_s},
            follows="output delta" if is_last else f"block {layer + 1} delta",
            latency_s=self.latency_s,
            weight_bytes=block.weight_bytes,
            fetched_bytes=offloaded_bytes,
            fetches=f"block {layer} forward" if offloaded_bytes else "",
            sparse_flops=block.sparse_flops + 2 * self.rates.attention_flops,
            dense_flops=block.dense_flops + 2 * self.rates.attention_flops,
        )

    def block_gradient(self, layer: int) -> Pass:
        block = self.block(layer)
        return Pass(
            name=f"block {layer} gradient",
            parts_s=block.gradient_s,
            gradient_bytes=self.rates.gradient_bytes(block.returned_weights),
            updated_weights=block.updated_weights,
            scored_weights=block.scored_weights,
            sparse_flops=block.gradient_flops,
            dense_flops=block.dense_flops,
        )

    def output_forward(self) -> Pass:
        return Pass(
            name="output forward",
            parts_s={"logits": self._logits_s(self.table)},
            weight_bytes=self.rates.weight_bytes(self.table.n_weights),
            waits_for="embedding gradient" if self.shape.is_tied else "output gradient",
            sparse_flops=self._logits_flops,
            dense_flops=self._logits_flops,
        )

    def output_delta(self) -> Pass:
        return Pass(
            name="output delta",
            parts_s={"logits": self._logits_s(transposed(self.table))},
            sparse_flops=self._logits_flops,
            dense_flops=self._logits_flops,
        )

    def output_gradient(self) -> Pass:
        n_weights = self.table.n_weights
        return Pass(
            name="output gradient",
            parts_s={"logits": self._logits_s(self.table)},
            gradient_bytes=self.rates.gradient_bytes(n_weights),
            updated_weights=0.0 if self.shape.is_tied else n_weights,
            summed_weights=n_weights if self.shape.is_tied else 0.0,
            sparse_flops=self._logits_flops,
            dense_flops=self._logits_flops,
        )

    def _logits_s(self, table: Matrix) -> float:
        return self.rates.full_lanes_s(table) * self.rates.rounding(table) * self.shape.logits_fraction

    @property
    def _logits_flops(self) -> float:
        return self.rates.product_flops(self.table.n_weights) * self.shape.logits_fraction

    def _offloaded_bytes(self, layer: int) -> float:
        is_resident = layer >= self.shape.n_layers - self.placement.resident_layers
        return 0.0 if is_resident else self.placement.block_bytes
