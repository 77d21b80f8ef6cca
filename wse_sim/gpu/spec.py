"""GPUs, and the software that trains on them, as cited data."""

from functools import cache
from pathlib import Path
from typing import Literal, TypeVar, get_args

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.load import convert, data_names, data_path, is_file, load_named, read_toml
from wse_sim.spec.ranges import MOST, check_range
from wse_sim.spec.sourced import Sourced

Owner = TypeVar("Owner", "GpuSpec", "Software", "TrainingConstants")
T = TypeVar("T", "GpuSpec", "Software")
TRAINING = "gpu_training"  # what the constants of training on any GPU are called in front of their names

Precision = Literal["bf16", "fp8"]
Sharding = Literal["zero1", "zero3"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# What else than positive a number may be, or must be, whose ever it is.
_MAY_BE_ZERO = {
    "hop_latency_s",
    "overlap_slowdown",
    "exposed_tensor_parallel",
    "tile_overhead_depth",
    "reserved_bytes",
    "tdp_w",
    "server_w_per_gpu",
    "price_usd_per_h",
    "purchase_usd",
}
_SHARES = {"exposed_tensor_parallel"}  # beside those that are called so
_WHOLE = {"n_sms", "gpus_per_node", "tile_rows", "tile_columns"}


class GpuSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of GPU in a server.

    Parameters
    ----------
    name :
        What lists and results call it.
    generation :
        Name of the architecture: `ampere`, `hopper`, ...
    peak_flops_per_s, fp8_peak_flops_per_s :
        Dense peaks without structured sparsity; the bfloat16 one is the denominator of the MFU. None = it has no fp8.
    matmul_flops_per_s, fp8_matmul_flops_per_s :
        Best product of large matrices that was measured.
    sustained_fraction, fp8_sustained_fraction :
        Share of the best measured product that the products of a training step sustain: clocks under load.
    n_sms :
        Multiprocessors (compute units of an AMD GPU).
    memory_bytes, memory_bytes_per_s :
        Of one GPU, and the rate at which it is read and written.
    nvlink_bytes_per_s, network_bytes_per_s :
        Per GPU and direction, inside a server (or rack) whose GPUs are linked directly, and beyond it.
    gpus_per_node :
        GPUs that are linked directly.
    tdp_w :
        Power limit of the GPU alone.
    server_w_per_gpu :
        Power of the whole server over its GPUs; `low` is the GPU alone.
    price_usd_per_h, purchase_usd :
        Of one GPU: rent, and its share of a server that is bought.
    training :
        Constants of `TrainingConstants`, by name, that are others on this cluster than in the data.
    """

    name: str
    generation: str
    peak_flops_per_s: Sourced
    matmul_flops_per_s: Sourced
    sustained_fraction: Sourced
    n_sms: Sourced
    memory_bytes: Sourced
    memory_bytes_per_s: Sourced
    nvlink_bytes_per_s: Sourced
    network_bytes_per_s: Sourced
    gpus_per_node: Sourced
    tdp_w: Sourced
    server_w_per_gpu: Sourced
    price_usd_per_h: Sourced
    purchase_usd: Sourced
    fp8_peak_flops_per_s: Sourced | None = None
    fp8_matmul_flops_per_s: Sourced | None = None
    fp8_sustained_fraction: Sourced | None = None
    training: dict[str, Sourced] = {}

    def __post_init__(self) -> None:
        unknown = set(self.training) - set(TrainingConstants.__struct_fields__)
        if unknown:
            raise ValueError(f"training has {', '.join(sorted(unknown))}, which gpu_training.toml has not")

    def sustained_flops_per_s(self, precision: Precision) -> float:
        """Of the products of a training step, were their matrices large.

        Raises
        ------
        SpecError
            When the GPU does not have the precision.
        """
        if precision == "bf16":
            return self.matmul_flops_per_s.value * self.sustained_fraction.value
        if self.fp8_matmul_flops_per_s is None or self.fp8_sustained_fraction is None:
            raise SpecError(f"{self.name} has no fp8: use precision bf16, or one of {', '.join(_with_fp8())}")
        return self.fp8_matmul_flops_per_s.value * self.fp8_sustained_fraction.value


class Software(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training program: what it fuses, hides and shards.

    Parameters
    ----------
    name, description :
        What lists and results call it, and which program it is.
    source, kind :
        Where it is described, and whether what is said here is `published`, `derived` or `assumed`.
    rate_factor :
        Rate of its products over that of the best program, by generation of GPUs; 1 for a generation not named.
    attention_fraction :
        Rate of fused attention over that of products; None = attention is not fused, scores pass through memory.
    is_fused :
        Norms, biases, residual sums, activations and rotations are one pass each, and the loss is computed in pieces.
    gradient_bytes :
        Of a gradient while it is summed over GPUs.
    exposed_tensor_parallel :
        Share of the tensor-parallel exchanges that no computation hides.
    is_overlapped :
        The data-parallel exchanges run beside the computation.
    shardings, has_parallel_layers, has_interleaving, has_fp8 :
        What it offers: how weights, gradients and moments are sharded; tensor, pipeline and context parallelism; stages
        of several groups of blocks; fp8.
    """

    name: str
    source: str
    kind: str
    description: str
    rate_factor: dict[str, Sourced] = {}
    attention_fraction: Sourced | None = None
    is_fused: bool
    gradient_bytes: Sourced
    exposed_tensor_parallel: Sourced
    is_overlapped: bool
    shardings: tuple[Sharding, ...]
    has_parallel_layers: bool
    has_interleaving: bool
    has_fp8: bool

    def rate_factor_on(self, gpu: GpuSpec) -> float:
        """Of its products on `gpu`, over those of the best program there."""
        return self.rate_factor[gpu.generation].value if gpu.generation in self.rate_factor else 1.0


class TrainingConstants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What training on GPUs takes, with any software; each constant says in the data file where it is from.

    Parameters
    ----------
    tile_rows, tile_columns :
        Output tile of a matmul kernel that one multiprocessor works on.
    tile_overhead_depth :
        Start and end of a tile, in steps of the inner dimension.
    memory_fraction :
        Share of the memory's rate that element-wise kernels reach.
    link_fraction :
        Share of a link's rate that large collectives reach.
    hop_latency_s :
        Of one step of a ring that crosses the network.
    overlap_slowdown :
        Seconds that computation takes longer for each second of a collective that runs beside it, which takes
        multiprocessors and memory bandwidth from it.
    state_bytes_per_parameter, optimizer_bytes_per_parameter :
        Memory of weight, gradient and moments; bytes that an optimizer step reads and writes.
    weight_bytes :
        Of a weight on the links and in a product.
    unfused_logits_bytes, fused_logits_bytes :
        Through memory, per token and vocabulary entry.
    kept_logits_bytes :
        In memory, per token and vocabulary entry.
    score_bytes, score_backward_bytes :
        Through memory between the products of attention that is not fused, per score, forward and backward.
    reserved_bytes :
        Memory of a GPU that no tensor can have.
    two_four_speedup :
        Of a product whose weights have two zeros in every four, over the dense one.
    """

    tile_rows: Sourced
    tile_columns: Sourced
    tile_overhead_depth: Sourced
    memory_fraction: Sourced
    link_fraction: Sourced
    hop_latency_s: Sourced
    overlap_slowdown: Sourced
    state_bytes_per_parameter: Sourced
    optimizer_bytes_per_parameter: Sourced
    weight_bytes: Sourced
    unfused_logits_bytes: Sourced
    fused_logits_bytes: Sourced
    kept_logits_bytes: Sourced
    score_bytes: Sourced
    score_backward_bytes: Sourced
    reserved_bytes: Sourced
    two_four_speedup: Sourced


def gpu_names() -> tuple[str, ...]:
    """The names of the known GPUs, sorted."""
    return data_names("gpus")


def software_names() -> tuple[str, ...]:
    """The names of the known training programs, sorted."""
    return data_names("gpu_software")


def load_gpu(name: str) -> GpuSpec:
    """The GPU called `name`, in any case, or that of a file `*.toml` of the same form.

    Raises
    ------
    SpecError
        When it is unknown, or the file is wrong.
    """
    return _of_file("gpus", name, GpuSpec, "GPU") if is_file(name) else _gpu_of_data(name)


def load_software(name: str) -> Software:
    """The training program called `name`, in any case, or that of a file `*.toml` of the same form.

    Raises
    ------
    SpecError
        When it is unknown, or the file is wrong.
    """
    return _of_file("gpu_software", name, Software, "GPU software") if is_file(name) else _software_of_data(name)


@cache
def training_constants() -> TrainingConstants:
    """The constants of training on GPUs."""
    return convert(read_toml(data_path("gpu_training.toml")), TrainingConstants, "data/gpu_training.toml")


def constants_on(gpu: GpuSpec) -> TrainingConstants:
    """The constants of training on this GPU's cluster: the data's, but for those that it brings along."""
    return msgspec.structs.replace(training_constants(), **gpu.training)


def sourced(owner: GpuSpec | Software | TrainingConstants, prefix: str) -> dict[str, Sourced]:
    """The numbers of `owner` by name, `prefix` before each."""
    found: dict[str, Sourced] = {}
    for name, value in msgspec.structs.asdict(owner).items():
        named = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
        found |= {f"{prefix}.{key}": part for key, part in named.items() if isinstance(part, Sourced)}
    return found


def gpu_constants() -> dict[str, Sourced]:
    """Every number of the data about GPUs and what trains on them: `h100.tdp_w`, `gpu_training.link_fraction`."""
    found: dict[str, Sourced] = {}
    for name in gpu_names():
        found |= sourced(load_gpu(name), name)
    for name in software_names():
        found |= sourced(load_software(name), name)
    return found | sourced(training_constants(), TRAINING)


def check_gpu_constant(name: str, value: float) -> None:
    """Raises SpecError unless the number called `name` ("h100.tdp_w") can have this value at all."""
    field = name.rpartition(".")[2]
    is_share = field.endswith("_fraction") or field in _SHARES
    most = 1.0 if is_share else MOST
    check_range(name, value, may_be_least=field in _MAY_BE_ZERO, most=most, is_whole=field in _WHOLE)


def with_number(owner: Owner, name: str, value: float) -> Owner:
    """`owner` with the number called `name`, as in `sourced`, at `value`, whose range is not known any more."""
    field, _, key = name.partition(".")
    old = getattr(owner, field)
    new = msgspec.structs.replace(old[key] if key else old, value=value, low=None, high=None)
    return msgspec.structs.replace(owner, **{field: {**old, key: new} if key else new})


@cache
def _gpu_of_data(name: str) -> GpuSpec:
    return convert(load_named("gpus", name, "GPU"), GpuSpec, f"data/gpus/{name.lower()}.toml")


@cache
def _software_of_data(name: str) -> Software:
    where = f"data/gpu_software/{name.lower()}.toml"
    return convert(load_named("gpu_software", name, "GPU software"), Software, where)


def _of_file(folder: str, file: str, kind: type[T], what: str) -> T:
    content = read_toml(file)
    content.setdefault("name", Path(file).stem)
    if content["name"] in data_names(folder):
        raise SpecError(f"{file}: name {content['name']!r} is that of a {what} in the data: give yours another")
    owner = convert(content, kind, file)
    for constant, number in sourced(owner, owner.name).items():
        check_gpu_constant(f"{file}: {constant}", number.value)
    return owner


@cache
def _with_fp8() -> tuple[str, ...]:
    return tuple(name for name in gpu_names() if load_gpu(name).fp8_matmul_flops_per_s is not None)
