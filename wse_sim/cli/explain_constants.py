"""The constants that `wse-sim explain` prints: of systems, GPUs, programs, whole runs, carbon and money."""

from dataclasses import dataclass
from typing import Any

from wse_sim.errors import choose
from wse_sim.spec.load import is_file, read_toml
from wse_sim.spec.sourced import Sourced


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Constants by name, and whose they are: in words, and as JSON has it."""

    constants: dict[str, Sourced]
    title: str
    whose: dict[str, Any]


def constants_called(name: str, system: str) -> Constants | None:
    """The constants that `name` stands for, all of an owner or one; None where it stands for none.

    Parameters
    ----------
    system :
        Whose constants `csx.clock_hz` and `constants` are.

    Raises
    ------
    SpecError
        When the owner is known, but not the constant, or a file is wrong.
    """
    if is_file(name):
        return _of_file(name)
    if name in ("operations", "gpu-operations"):
        return _of_operations(name)
    owner = name.partition(".")[0]
    if owner == "economics":
        return _of_economics(name)
    if name == "constants" or owner in ("csx", "memoryx", "swarmx"):
        return _of_system(name, system)
    return _of_gpus(name)


def _of_system(name: str, system: str) -> Constants:
    from wse_sim.spec.cluster import load_cluster

    cluster = load_cluster(system, 1)
    constants = cluster.constants
    if name != "constants":
        constants = {name: constants[choose(name, constants, "constant")]}
    whose = cluster.csx.name
    return Constants(constants=constants, title=f"constants of {whose}", whose={"system": whose})


def _of_gpus(name: str) -> Constants | None:
    from wse_sim.gpu.spec import TRAINING, gpu_constants, gpu_names, software_names

    if name == "gpus":
        title = "constants of GPUs, and of what trains on them"
        return Constants(constants=gpu_constants(), title=title, whose={"gpu": "all"})
    owners = (*gpu_names(), *software_names(), TRAINING)
    owner = next((owner for owner in owners if f"{name}.".startswith(f"{owner}.")), None)
    if owner is None:
        return None
    known = {key: constant for key, constant in gpu_constants().items() if key.startswith(f"{owner}.")}
    found = {key: constant for key, constant in known.items() if f"{key}.".startswith(f"{name}.")}
    if not found:
        choose(name, known, "constant")
    return Constants(constants=found, title=f"constants of {owner}", whose={"gpu": owner})


def _of_file(file: str) -> Constants:
    """Of a user's GPU, program or system, told apart by what only the first two have."""
    from wse_sim.gpu.spec import load_gpu, load_software, sourced
    from wse_sim.spec.cluster import load_cluster

    keys = read_toml(file)
    if "generation" in keys or "is_fused" in keys:
        owner = load_gpu(file) if "generation" in keys else load_software(file)
        constants = sourced(owner, owner.name)
        return Constants(constants=constants, title=f"constants of {owner.name}", whose={"gpu": owner.name})
    cluster = load_cluster(file, 1)
    name = cluster.csx.name
    return Constants(constants=cluster.constants, title=f"constants of {name}", whose={"system": name})


def _of_economics(name: str) -> Constants:
    from wse_sim.spec.economics import load_economics

    constants = dict(load_economics().constants)
    if name != "economics":
        one = choose(name.removeprefix("economics."), constants, "constant of carbon and money")
        constants = {one: constants[one]}
    title = "constants of carbon and money; grids in kg CO2e per kWh"
    return Constants(constants=constants, title=title, whose={"economics": "default"})


def _of_operations(name: str) -> Constants:
    from wse_sim.spec.operations import load_gpu_operations, load_operations

    operations = load_operations() if name == "operations" else load_gpu_operations()
    return Constants(
        constants=dict(operations.constants), title="constants of a whole run", whose={"operations": "default"}
    )
