"""Whether a run fits the memory at hand, part by part, before any of it is taken.

The parts are those that grow with the model; what an interpreter and its libraries take was measured, and a few per
cent are added for what passes by: pieces of logits, the workspace of matrix products, pages not filled.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import psutil
import torch

from training.config import TrainConfig
from training.distributed import n_local_processes, n_processes
from training.dtypes import DTYPES
from training.execution import Execution, ExecutorName, Precision
from wse_sim.errors import SpecError
from wse_sim.processes.limits import cgroup_words
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import n_parameters

PIECE_NUMBERS = 2**23  # of an embedding, whose gradient the streaming executor makes at a time

BYTES: Mapping[Precision, int] = {precision: dtype.itemsize for precision, dtype in DTYPES.items()}
_MASK_BYTES_OF_DENSE = 5  # a boolean, and all ones or all zeros in 32 bits (`models.sparse.Masks`)
_INTERPRETER_BYTES = 300e6  # measured: Python, torch, numba and a corpus of 12 MB
_PASSING = 0.04
_WORTH_SAYING_BYTES = 50e6
_LOGITS_AT_ONCE = 2**24
_PIECES_AT_ONCE = 4  # the sum, a summand, the product that it comes from, what the inputs add
_UPDATE_BYTES_PER_WEIGHT = 40  # of the largest matrix: a mask update sorts scores of one tensor at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that a run will take.

    Parameters
    ----------
    parts :
        Of the process's memory, by what they are for.
    device_parts :
        Of a GPU's; empty where there is none.
    """

    parts: Mapping[str, float]
    device_parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_bytes(self) -> float:
        """Of the process, all parts together."""
        return (1.0 + _PASSING) * sum(self.parts.values())

    @property
    def device_bytes(self) -> float:
        """Of the GPU."""
        return (1.0 + _PASSING) * sum(self.device_parts.values())


def memory_need(config: TrainConfig, *, n_kept_blocks: int | None = None) -> MemoryNeed:
    """What a run of this configuration takes at its peak.

    Parameters
    ----------
    n_kept_blocks :
        Whose activations are kept; None = as `execution.recompute` says, of `fitting` none.
    """
    execution = config.execution
    n_layers = config.shape.n_layers
    if n_kept_blocks is None:
        n_kept_blocks = n_layers if execution.recompute == "never" else 0
    make = _streaming if execution.executor == "streaming" else _dense
    model, activations = make(config), _activations(config, n_kept_blocks)
    everything = {"Python and its libraries": _INTERPRETER_BYTES, **model, "activations": activations}
    if execution.device == "cpu":
        return MemoryNeed(parts=everything)
    on_host = {key: everything[key] for key in _ON_HOST[execution.executor]}
    on_device = {key: value for key, value in everything.items() if key not in on_host}
    return MemoryNeed(parts=on_host, device_parts=on_device)


def kept_blocks(config: TrainConfig, available_bytes: float) -> int:
    """Blocks whose activations are kept: all, none, or as many as there is room for."""
    n_layers, recompute = config.shape.n_layers, config.execution.recompute
    if recompute != "fitting":
        return n_layers if recompute == "never" else 0
    needs = [memory_need(config, n_kept_blocks=n_kept) for n_kept in (0, n_layers)]
    none_kept, all_kept = (need.device_bytes if need.device_parts else need.n_bytes for need in needs)
    if all_kept <= available_bytes:
        return n_layers
    return max(0, int(n_layers * (available_bytes - none_kept) / (all_kept - none_kept)))


def require_memory(config: TrainConfig, available_bytes: float) -> MemoryNeed:
    """What the run takes, where that is there.

    Raises
    ------
    SpecError
        When it is not: with the parts, and what would make it fit.
    """
    need = memory_need(config)
    if need.n_bytes > available_bytes:
        raise SpecError(f"the run {memory_line(need, available_bytes)}; {_what_would_fit(config, available_bytes)}")
    if need.device_parts and need.device_bytes > (on_device := available_on_device(config)):
        parts = _listed(need.device_parts)
        raise SpecError(
            f"the run needs {_gb(need.device_bytes)} of the GPU's memory, {_gb(on_device)} are free: {parts}; "
            'recompute "always", a smaller microbatch or executor "streaming" would need less'
        )
    return need


def need_line(need: MemoryNeed) -> str:
    """A sentence: what is needed, and for what. What is free stands in no summary: it is another figure every time."""
    return f"needs {_gb(need.n_bytes)} of memory: {_listed(need.parts)}"


def memory_line(need: MemoryNeed, available_bytes: float) -> str:
    """A sentence: what is needed, for what, and what is there."""
    return f"needs {_gb(need.n_bytes)} of memory, {_gb(available_bytes)} are free: {_listed(need.parts)}"


def available_on_device(config: TrainConfig) -> int:
    """Memory that is free where matrix products run."""
    return available_memory_bytes() if config.execution.device == "cpu" else free_device_bytes()


def free_device_bytes() -> int:
    """Memory of the GPU that nobody has."""
    return int(torch.cuda.mem_get_info()[0])


def available_memory_bytes() -> int:
    """Memory that this process may still take, in the machine or in its container, others of its run beside it."""
    return _free_bytes() // n_local_processes()


def _free_bytes() -> int:
    free = int(psutil.virtual_memory().available)
    try:
        (limit,), (current,), statistics = map(cgroup_words, ("memory.max", "memory.current", "memory.stat"))
        if limit == "max":
            return free
        reclaimable = int(statistics[statistics.index("inactive_file") + 1])
        return min(free, int(limit) - int(current) + reclaimable)
    except ValueError:  # a file is not there, or holds no such number
        return free


def activation_bytes_per_token(shape: ModelShape, precision: Precision) -> float:
    """What one block keeps of a token for the way back.

    The residual stream before attention and before the feed-forward layers, in 32 bits; in the precision of products:
    the inputs of the linear layers, queries, keys and values, what attention gives, and the inner feed-forward layer
    before its nonlinearity.
    """
    d, kv, n_inner = shape.d_model, shape.kv_heads * shape.d_head, shape.d_ff
    n_up = 2 if shape.feed_forward == "swiglu" else 1
    n_products = 4 * d + (d + 2 * kv) + (n_up + 1) * n_inner
    return 2 * d * BYTES["fp32"] + n_products * BYTES[precision]


# Parts that stay here where the rest is on a GPU.
_ON_HOST: Mapping[ExecutorName, tuple[str, ...]] = {
    "streaming": ("Python and its libraries", "non-zeros and their moments", "masks", "gradients of non-zeros"),
    "dense": ("Python and its libraries",),
}


def _streaming(config: TrainConfig) -> dict[str, float]:
    execution = config.execution
    with_moments = BYTES["fp32"] + 2 * BYTES[execution.moments]
    shapes, n_live = hidden_weights(config), most_live_weights(config)
    n_hidden, n_rest = sum(shapes.values()), n_parameters(config.shape) - sum(shapes.values())
    block = [n for name, n in shapes.items() if name.startswith("blocks.0.")]
    is_exact = config.clip != "none"
    is_dynamic = config.sparsity_plan.is_dynamic
    n_output = config.shape.vocab_size * config.shape.d_model
    return {
        "non-zeros and their moments": with_moments * n_live if execution.store is None else 0.0,
        "masks": n_hidden / 8 * (2 if is_dynamic else 1),
        "gradients of non-zeros": BYTES["fp32"] * n_live * (1.0 if is_exact else sum(block) / n_hidden),
        "embeddings, norms and biases": n_rest * (with_moments + (BYTES["fp32"] if is_exact else 0)),
        "one dense block": BYTES[execution.precision] * (sum(block) + max(block)),
        "output layer": _output_bytes(config, n_output)
        + _PIECES_AT_ONCE * BYTES["fp32"] * min(PIECE_NUMBERS, n_output),
        "mask updates": _UPDATE_BYTES_PER_WEIGHT * max(block) if is_dynamic else 0.0,
    }


def _dense(config: TrainConfig) -> dict[str, float]:
    execution = config.execution
    n_params, n_hidden = n_parameters(config.shape), sum(hidden_weights(config).values())
    n_masked = n_hidden if config.sparsity_plan.groups else 0
    n_shards = n_processes() if execution.sharding == "fsdp" else 1
    n_output = config.shape.vocab_size * config.shape.d_model
    return {
        "weights, gradients and moments": 4 * BYTES["fp32"] * n_params / n_shards,
        "masks": _MASK_BYTES_OF_DENSE * n_masked,
        "weights in bf16": BYTES["bf16"] * n_hidden if execution.precision == "bf16" else 0.0,
        "output layer": _output_bytes(config, n_output) + BYTES["fp32"] * n_output,
        "mask updates": _UPDATE_BYTES_PER_WEIGHT * max(hidden_weights(config).values())
        if config.sparsity_plan.is_dynamic
        else 0.0,
    }


def _output_bytes(config: TrainConfig, n_output: int) -> float:
    """Its copy in the precision of products, and a piece of logits with its gradient."""
    precision = config.execution.precision
    copied = BYTES["bf16"] * n_output if precision == "bf16" else 0
    return copied + 2 * BYTES["fp32"] * min(_LOGITS_AT_ONCE, config.shape.vocab_size * _tokens_at_once(config))


def _activations(config: TrainConfig, n_kept: int) -> float:
    """Inputs of all blocks, what the kept ones keep beyond them, and what one needs while it is recomputed.

    All micro-batches of a step are under way at once in the streaming executor, one after the other in the dense one.
    """
    shape, precision = config.shape, config.execution.precision
    n_tokens = _tokens_at_once(config)
    n_under_way = config.tokens_per_step if config.execution.executor == "streaming" else n_tokens
    inputs = BYTES["fp32"] * shape.d_model * n_under_way * shape.n_layers
    per_token = activation_bytes_per_token(shape, precision)
    kept = (per_token - BYTES["fp32"] * shape.d_model) * n_under_way * n_kept
    ends = 3 * BYTES["fp32"] * shape.d_model * n_under_way
    # Inputs and derivatives of a block's linear layers wait for the product that is their weights' gradient.
    waiting = per_token * n_under_way
    return inputs + kept + ends + waiting


def _tokens_at_once(config: TrainConfig) -> int:
    return min(config.execution.microbatch or config.batch_size, config.batch_size) * config.seq_len


def hidden_weights(config: TrainConfig) -> dict[str, int]:
    """Weights of each hidden matrix."""
    return {name: math.prod(shape) for name, shape in config.sparsity_plan.hidden.items()}


def most_live_weights(config: TrainConfig) -> float:
    """Hidden weights that live at the step at which most do."""
    masked, hidden = 0.0, hidden_weights(config)
    for group in config.sparsity_plan.groups:
        steps = [step for step in group.steps if step > 0] + [0]
        highest = 1.0 if group.starts_dense else max(group.density(step) for step in steps)
        masked += (1.0 - highest) * sum(hidden.get(name, 0) for name in group.shapes)
    return sum(hidden.values()) - masked


def _what_would_fit(config: TrainConfig, available_bytes: float) -> str:
    """The first of the knobs, turned one after the other, that makes the run fit, with those before it."""
    turned: list[str] = []
    for name, changed in _knobs(config):
        turned.append(name)
        n_bytes = memory_need(changed).n_bytes
        if n_bytes <= available_bytes:
            return f"it would fit, in {_gb(n_bytes)}, with {' and '.join(turned)}"
    return "a smaller model, a lower density or a shorter sequence would be right"


def _knobs(config: TrainConfig) -> Iterator[tuple[str, TrainConfig]]:
    """Ways to need less, the mildest first, each on top of those before it; and what each is called on both doors."""

    def turn(**execution: object) -> TrainConfig:
        changed = msgspec.structs.replace(config.execution, **execution)
        return msgspec.structs.replace(config, execution=changed)

    if config.execution.executor == "dense" and config.density < 1.0:
        defaults = Execution()
        config = turn(executor="streaming", compile=defaults.compile, sharding=defaults.sharding)
        yield 'executor "streaming" (--mode full)', config
    if config.execution.recompute != "always":
        config = turn(recompute="always")
        yield 'recompute "always" (--recompute always)', config
    if (config.execution.microbatch or config.batch_size) > 1 and config.execution.executor == "dense":
        config = turn(microbatch=1)
        yield "microbatch 1 (--microbatch 1)", config
    if config.execution.executor == "streaming":
        if config.clip != "none":
            config = msgspec.structs.replace(config, clip="none")
            yield 'clip "none" (--clip none)', config
        if config.execution.moments != "bf16":
            config = turn(moments="bf16")
            yield 'moments "bf16" (--moments bf16)', config
        if config.execution.store is None:
            yield "a store on disk (--store DIR)", turn(store="store")


def _listed(parts: Mapping[str, float]) -> str:
    """The parts, the largest first."""
    largest_first = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {_gb(n_bytes)}" for name, n_bytes in largest_first if n_bytes >= _WORTH_SAYING_BYTES)


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
