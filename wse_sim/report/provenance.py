"""Where the assumed constants behind a result come from."""

from collections.abc import Iterable

from wse_sim.spec.cluster import SYSTEMS, load_cluster
from wse_sim.spec.load import convert, data_names, data_path, load_named, read_toml
from wse_sim.spec.sourced import Sourced


def wafer_constants(system: str, names: Iterable[str]) -> dict[str, Sourced | None]:
    """The constants called `names` of a system; None for what this version of the data does not know."""
    known = load_cluster(system, 1).constants if system in SYSTEMS else {}
    return {name: known.get(name) for name in names}


def gpu_constants(names: Iterable[str]) -> dict[str, Sourced | None]:
    """The same for GPUs: "h100.price_usd_per_h", "megatron.exposed_tensor_parallel", "gpu_training.link_fraction"."""
    return {name: _gpu_constant(*name.partition(".")[::2]) for name in names}


def _gpu_constant(owner: str, name: str) -> Sourced | None:
    if owner == "gpu_training":
        table = read_toml(data_path("gpu_training.toml"))
    elif owner in data_names("gpus"):
        table = load_named("gpus", owner, "GPU")
    elif owner in data_names("gpu_software"):
        table = load_named("gpu_software", owner, "GPU software")
    else:
        return None
    return convert(table[name], Sourced, f"data of {owner}") if isinstance(table.get(name), dict) else None
