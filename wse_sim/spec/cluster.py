"""The cluster: systems with their wafers, MemoryX, SwarmX, and every constant's provenance."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from wse_sim.errors import SpecError, choose
from wse_sim.spec.load import convert, is_file, load_named, read_toml
from wse_sim.spec.ranges import MOST, check_range
from wse_sim.spec.sourced import Sourced, assumed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Csx:
    """One system and its wafer.

    Parameters
    ----------
    name :
        Kind of system.
    cores :
        Working cores; the peak rate counts these.
    mesh_width, mesh_height :
        Cores per row and per column that a program can use; hidden channels lie along the width, tokens along the
        height.
    clock_hz :
        Of the cores.
    fp16_fmac_per_cycle :
        Lanes of a core's multiply-accumulate unit: an AXPY works in whole multiples of it.
    sram_bytes :
        Memory on the wafer.
    io_bytes_per_s :
        Line rate onto the wafer, and as much off it.
    working_bytes_per_activation :
        On-wafer bytes per token and channel while one layer trains; sets the largest micro-batch.
    saved_bytes_per_activation :
        Bytes per token and channel that a block keeps for its backward pass; it rebuilds the rest from them.
    dense_weight_bytes, nonzero_bytes, gradient_bytes :
        On the wire: a weight of a dense layer, a non-zero with its index, a gradient.
    weight_buffer_layers :
        Layers whose weights fit into the wafer's stream buffer.
    linear_efficiency, attention_efficiency :
        Sustained rate of linear layers, and of attention, as a fraction of the dense FP16 peak.
    layer_latency_s :
        From the end of one block's backward pass to the start of the next one's: phase switch, pipeline drain and fill.
        Weight gradients may fill it, since nothing waits for them.
    unfilled_channels :
        Channels by which the fullest column of cores exceeds the mean one, since a column holds whole channels.
    skew_window_rows :
        Weight rows over which differences between the columns of cores average out, because cores buffer partial sums.
    sums_per_cycle, row_issue_cycles :
        Partial sums that a core hands on per cycle, and the cycles for which each weight row holds it up.
    activation_link_bytes_per_s :
        Between a system and its activation servers, each way.
    activation_server_bytes :
        Memory of a system's activation servers.
    input_tokens_per_s :
        That a system's input workers prepare.
    power_w :
        Of one system alone; the upper end of its range has its share of MemoryX, SwarmX and hosts.
    usd_per_hour, purchase_usd :
        Of one system with that share: rented, and bought.
    max_systems :
        Most systems of a cluster.
    """

    name: str
    cores: float
    mesh_width: float
    mesh_height: float
    clock_hz: float
    fp16_fmac_per_cycle: float
    sram_bytes: float
    io_bytes_per_s: float
    working_bytes_per_activation: float
    saved_bytes_per_activation: float
    dense_weight_bytes: float
    nonzero_bytes: float
    gradient_bytes: float
    weight_buffer_layers: float
    linear_efficiency: float
    attention_efficiency: float
    layer_latency_s: float
    unfilled_channels: float
    skew_window_rows: float
    sums_per_cycle: float
    row_issue_cycles: float
    activation_link_bytes_per_s: float
    activation_server_bytes: float
    input_tokens_per_s: float
    power_w: float
    usd_per_hour: float
    purchase_usd: float
    max_systems: float

    @property
    def peak_flops_per_s(self) -> float:
        """Dense FP16 peak: a multiply-accumulate is two operations."""
        return self.cores * self.fp16_fmac_per_cycle * 2 * self.clock_hz


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryX:
    """The parameter store: it streams weights, receives summed gradients, and runs the optimizer.

    Parameters
    ----------
    servers :
        Weight servers, among which the weights are dealt; each has its share of the bandwidths below.
    egress_bytes_per_s, ingress_bytes_per_s :
        Of all its servers together: weights out, and gradients in.
    optimizer_bytes_per_s :
        Memory bandwidth of all its servers together, which bounds the update.
    update_bytes_per_weight :
        Bytes that one AdamW update reads and writes.
    accumulate_bytes_per_weight :
        Bytes that adding a micro-batch's gradient reads and writes.
    score_bytes_per_weight :
        Bytes that choosing a weight's place in a new mask reads and writes.
    state_bytes_per_weight :
        Master weight and both moments, at rest.
    capacity_bytes :
        For what is at rest.
    """

    servers: float
    egress_bytes_per_s: float
    ingress_bytes_per_s: float
    optimizer_bytes_per_s: float
    update_bytes_per_weight: float
    accumulate_bytes_per_weight: float
    score_bytes_per_weight: float
    state_bytes_per_weight: float
    capacity_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmX:
    """The tree between MemoryX and the systems: broadcast on the way down, sum on the way up.

    Parameters
    ----------
    fan_out :
        Children of a node.
    link_bytes_per_s :
        Of one link, each way.
    hop_latency_s :
        Over one link.
    reduce_bytes_per_s :
        Rate at which a node sums, in bytes of result.
    buffer_layers :
        Layers whose weights, or gradients, fit into a node's buffer.
    """

    fan_out: float
    link_bytes_per_s: float
    hop_latency_s: float
    reduce_bytes_per_s: float
    buffer_layers: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`num_csx` systems of one kind, a MemoryX and a SwarmX.

    Parameters
    ----------
    constants :
        Every number in it, by part and name ("csx.clock_hz"), with its source; nobody writes to it.
    """

    csx: Csx
    memoryx: MemoryX
    swarmx: SwarmX
    num_csx: int
    constants: dict[str, Sourced]

    def with_constant(self, name: str, value: float) -> "Cluster":
        """The same cluster with the constant called `name` ("csx.clock_hz") at `value`."""
        part, field = name.split(".")
        changed = replace(getattr(self, part), **{field: value})
        return replace(self, **{part: changed})

    @property
    def unit_constants(self) -> dict[str, Sourced]:
        """Power and prices of one system, by argument of `spec.bill.bill`."""
        return {argument: self.constants[name] for argument, name in OF_BILL.items()}

    @property
    def assumed_constants(self) -> dict[str, Sourced]:
        """Constants for which nothing better than an assumption is known, by name."""
        return dict(sorted(assumed_of(self.constants).items()))

    def named(self, *kinds: str) -> list[str]:
        """Names of the constants whose kind is one of `kinds`."""
        return sorted(name for name, constant in self.constants.items() if constant.kind in kinds)


Part = TypeVar("Part", Csx, MemoryX, SwarmX)
Table = dict[str, Any]

SYSTEMS = ("cs1", "cs2", "cs3")
# What a bill is made of, as `spec.bill.bill` calls it.
OF_BILL = {"power_w": "csx.power_w", "rental_usd_per_h": "csx.usd_per_hour", "purchase_usd": "csx.purchase_usd"}

# What else than positive a constant may be, or must be. A field of one of the parts, whatever the part.
_MAY_BE_ZERO = {
    "layer_latency_s",
    "hop_latency_s",
    "unfilled_channels",
    "row_issue_cycles",
    "power_w",
    "usd_per_hour",
    "purchase_usd",
}
_WHOLE = {"mesh_width", "mesh_height", "fp16_fmac_per_cycle", "skew_window_rows", "max_systems", "servers", "fan_out"}
_AT_LEAST = {"fan_out": 2.0}
# Of the last two: beyond, nothing changes any more but the memory that it takes to simulate.
_AT_MOST = {"linear_efficiency": 1.0, "attention_efficiency": 1.0, "buffer_layers": 1000.0, "servers": 1000.0}


def check_constant(name: str, value: float) -> None:
    """Raises SpecError unless the constant called `name` ("csx.clock_hz") can have this value at all."""
    field = name.rpartition(".")[2]
    check_range(
        name,
        value,
        least=_AT_LEAST.get(field, 0.0),
        may_be_least=field in _AT_LEAST or field in _MAY_BE_ZERO,
        most=_AT_MOST.get(field, MOST),
        is_whole=field in _WHOLE,
    )


def load_cluster(system: str, num_csx: int, constants: Mapping[str, float] | None = None) -> Cluster:
    """The cluster of `num_csx` systems called `system`.

    Parameters
    ----------
    system :
        A name in the data, or a file `*.toml` of the same form; tables [memoryx.NAME] and [swarmx.NAME] in it hold what
        is not as in the data.
    constants :
        Other values for some of them, by part and name: what if?

    Raises
    ------
    SpecError
        When the system is unknown, its file wrong, the cluster larger than its maker connects, or a constant cannot
        have its value.
    """
    cluster = _cluster_of_file(system) if is_file(system) else _cluster_of_data(system.lower())
    for name, value in (constants or {}).items():
        check_constant(choose(name, cluster.constants, "constant"), value)
        cluster = cluster.with_constant(name, value)
    largest = int(cluster.csx.max_systems)
    if not 1 <= num_csx <= largest:
        raise SpecError(f"num_csx is {num_csx}: {cluster.csx.name} clusters have 1 to {largest} systems")
    return replace(cluster, num_csx=num_csx)


@cache
def _cluster_of_data(system: str) -> Cluster:
    choose(system, SYSTEMS, "system")
    return _cluster(load_named("hardware", system, "system"), {}, {}, name=system, where=f"data/hardware/{system}.toml")


def _cluster_of_file(file: str) -> Cluster:
    content = read_toml(file)
    name = content.pop("name", Path(file).stem)
    if not isinstance(name, str) or not name:
        raise SpecError(f"{file}: name must be a text")
    if name in SYSTEMS:
        raise SpecError(f"{file}: name {name!r} is that of a system in the data: give yours another")
    memoryx, swarmx = (convert(content.pop(part, {}), Table, f"{file} [{part}]") for part in ("memoryx", "swarmx"))
    cluster = _cluster(content, memoryx, swarmx, name=name, where=file)
    for constant, sourced in cluster.constants.items():
        check_constant(f"{file}: {constant}", sourced.value)
    return cluster


def _cluster(csx: Table, memoryx: Table, swarmx: Table, *, name: str, where: str) -> Cluster:
    """One system of it; `memoryx` and `swarmx` hold what is not as in the data."""
    constants: dict[str, Sourced] = {}
    return Cluster(
        csx=_part(Csx, "csx", csx, constants, where, name=name),
        memoryx=_part(MemoryX, "memoryx", load_named("hardware", "memoryx", "part") | memoryx, constants, where),
        swarmx=_part(SwarmX, "swarmx", load_named("hardware", "swarmx", "part") | swarmx, constants, where),
        num_csx=1,
        constants=constants,
    )


def _part(part: type[Part], prefix: str, table: Table, constants: dict[str, Sourced], where: str, **given: str) -> Part:
    expected = {field.name for field in fields(part)} - set(given)
    for name in table:
        choose(name, expected, f"constant of {prefix} in {where}:")
    said = {name: convert(constant, Sourced, f"{where} [{name}]") for name, constant in table.items()}
    if missing := sorted(expected - set(said)):
        raise SpecError(f"{where}: constants of {prefix} are missing: {', '.join(missing)}")
    constants.update({f"{prefix}.{name}": constant for name, constant in said.items()})
    values: dict[str, Any] = {**given, **{name: constant.value for name, constant in said.items()}}
    return part(**values)
