"""GPUs and what a GPU training program does, as cited data."""

from functools import cache

import msgspec

from wse_sim.spec.load import convert, data_names, data_path, load_named, read_toml
from wse_sim.spec.sourced import Sourced


class GpuSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of GPU in a server.

    Parameters
    ----------
    peak_flops_per_s :
        Dense bfloat16 peak: the denominator of the MFU.
    matmul_flops_per_s :
        Best matmul that was measured.
    sustained_fraction :
        Share of `matmul_flops_per_s` that a training step sustains.
    n_sms :
        Streaming multiprocessors.
    nvlink_bytes_per_s, network_bytes_per_s :
        Per GPU and direction, inside and between servers.
    server_w_per_gpu :
        Power of the whole server over its GPUs; `low` is the GPU alone.
    """

    name: str
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

    @property
    def sustained_flops_per_s(self) -> float:
        return self.matmul_flops_per_s.value * self.sustained_fraction.value


class TrainingConstants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a GPU training program does, the same on every GPU; each constant says in the data file where it is from.

    Parameters
    ----------
    tile_rows, tile_columns :
        Output tile of a matmul kernel that one multiprocessor works on.
    tile_overhead_depth :
        Start and end of a tile, in steps of the inner dimension.
    attention_fraction :
        Rate of fused attention over the sustained matmul rate.
    link_fraction :
        Share of a link's rate that large collectives reach.
    communication_sms :
        Multiprocessors that a collective takes from the computation while it runs.
    state_bytes_per_parameter, optimizer_bytes_per_parameter :
        Memory of weight, gradient and moments; bytes that an optimizer step reads and writes.
    gather_bytes_per_parameter, scatter_bytes_per_parameter :
        On the links, weights out and gradients back.
    logits_bytes_moved, logits_bytes_kept :
        Per token and vocabulary entry, through memory and in memory.
    reserved_bytes :
        Memory of a GPU that no tensor can have.
    """

    tile_rows: Sourced
    tile_columns: Sourced
    tile_overhead_depth: Sourced
    attention_fraction: Sourced
    link_fraction: Sourced
    communication_sms: Sourced
    state_bytes_per_parameter: Sourced
    optimizer_bytes_per_parameter: Sourced
    gather_bytes_per_parameter: Sourced
    scatter_bytes_per_parameter: Sourced
    logits_bytes_moved: Sourced
    logits_bytes_kept: Sourced
    reserved_bytes: Sourced


def assumed_constants(gpu: GpuSpec, constants: TrainingConstants) -> tuple[str, ...]:
    """The names of the numbers in `gpu` and `constants` whose kind is `assumed`."""
    values = {f"{gpu.name}.{name}": value for name, value in msgspec.structs.asdict(gpu).items()}
    values |= {f"gpu_training.{name}": value for name, value in msgspec.structs.asdict(constants).items()}
    return tuple(name for name, value in values.items() if isinstance(value, Sourced) and value.kind == "assumed")


def gpu_names() -> tuple[str, ...]:
    """The names of the known GPUs, sorted."""
    return data_names("gpus")


def load_gpu(name: str) -> GpuSpec:
    """The GPU called `name`, in any case.

    Raises
    ------
    SpecError
        When it is unknown.
    """
    return convert(load_named("gpus", name, "GPU"), GpuSpec, f"data/gpus/{name.lower()}.toml")


@cache
def training_constants() -> TrainingConstants:
    """The constants of the GPU training program."""
    return convert(read_toml(data_path("gpu_training.toml")), TrainingConstants, "data/gpu_training.toml")
