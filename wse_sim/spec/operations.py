"""What a whole run needs beside its steps: start, checkpoints, stragglers, failures, restarts."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

from wse_sim.errors import SpecError, choose, errors_at
from wse_sim.spec.load import convert, data_path, read_toml
from wse_sim.spec.ranges import check_range
from wse_sim.spec.sourced import Sourced

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Number = TypeVar("Number", float, "npt.NDArray[np.float64]")

_MAY_NEVER_COME = ("system_mtbf_s", "cluster_mtbf_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """How a cluster is run; `math.inf` for both mean times between failures is a run without failures.

    A *system* is what fails on its own: a CS system, or a server with eight GPUs.

    Parameters
    ----------
    compile_s :
        Of the first start; a restart finds the compiled program.
    scheduling_s :
        From the submission of a job until all its servers are up.
    programming_s :
        Loading the program onto all wafers; on GPUs, from the start of the processes until they are connected.
    weights_s_per_parameter :
        Sending the weights for the first time; on GPUs, reading the checkpoint.
    first_checkpoint_s :
        Checkpoint of step 0.
    checkpoint_s_per_parameter, system_checkpoint_s_per_parameter :
        Any later checkpoint, as long as training stands still: what is written in one place however many systems there
        are, and what the systems write side by side, each its share.
    detection_s :
        From a failure until the job is submitted again.
    system_mtbf_s, cluster_mtbf_s :
        Mean time between failures that stop the run: of one system, and of what all systems share.
    stragglers_per_system_day :
        Episodes in which a system is slow, per system and day.
    straggler_duration_s :
        Mean time that such an episode lasts.
    straggler_slowdown :
        Factor on the time of a step while any system is slow: all wait for it.
    constants :
        Every number above, by name, with its source.
    checkpoint_interval_s, checkpoint_steps :
        Work between two checkpoints, as a time or in steps; without either the best interval is taken.
    said :
        Names of the constants that the user gave one by one: these are no assumptions of ours.

    Raises
    ------
    SpecError
        When a number is out of its range, or the interval is given twice.
    """

    compile_s: float
    scheduling_s: float
    programming_s: float
    weights_s_per_parameter: float
    first_checkpoint_s: float
    checkpoint_s_per_parameter: float
    system_checkpoint_s_per_parameter: float
    detection_s: float
    system_mtbf_s: float
    cluster_mtbf_s: float
    stragglers_per_system_day: float
    straggler_duration_s: float
    straggler_slowdown: float
    constants: dict[str, Sourced]
    checkpoint_interval_s: float | None = None
    checkpoint_steps: int | None = None
    said: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in _constant_names():
            value = getattr(self, name)
            if name in _MAY_NEVER_COME:
                if not value > 0:
                    raise SpecError(f"{name} is {value}: it must be above 0 (inf = never)")
            else:
                check_range(name, value, least=_least(name), may_be_least=True)
        if self.checkpoint_interval_s is not None and self.checkpoint_steps is not None:
            raise SpecError("checkpoint_interval_s and checkpoint_steps are both given: use one of them")
        if self.checkpoint_interval_s is not None and not self.checkpoint_interval_s > 0:
            raise SpecError(f"checkpoint_interval_s is {self.checkpoint_interval_s}: it must be above 0")
        if self.checkpoint_steps is not None and self.checkpoint_steps < 1:
            raise SpecError(f"checkpoint_steps is {self.checkpoint_steps}: it must be at least 1")

    @property
    def assumed(self) -> list[str]:
        """Names of the constants for which nothing better than an assumption is known, of those that are used."""
        unused = () if self.stragglers_per_system_day else ("straggler_duration_s", "straggler_slowdown")
        return [name for name in self.named("assumed") if name not in self.said.union(unused)]

    @property
    def assumed_constants(self) -> dict[str, Sourced]:
        """The same with their sources, but for a time between failures that never come: no JSON holds it."""
        found = {name: self.constants[name] for name in self.assumed}
        return {name: constant for name, constant in found.items() if constant.value < float("inf")}

    def failures_per_s(self, n_systems: Number) -> Number:
        """Rate at which a run on `n_systems` systems is stopped: any part stops the whole, so the rates add."""
        return n_systems / self.system_mtbf_s + 1 / self.cluster_mtbf_s

    def bring_up_s(self, n_parameters: Number) -> Number:
        """From the submission of a compiled job to its first step."""
        return self.scheduling_s + self.programming_s + self.weights_s_per_parameter * n_parameters

    def checkpoint_s(self, n_parameters: Number, n_systems: Number) -> Number:
        """Time that training stands still for any checkpoint but the first."""
        per_parameter_s = self.checkpoint_s_per_parameter + self.system_checkpoint_s_per_parameter / n_systems
        return per_parameter_s * n_parameters

    def named(self, *kinds: str) -> list[str]:
        """Names of the constants whose kind is one of `kinds`."""
        return sorted(name for name, constant in self.constants.items() if constant.kind in kinds)

    def with_constants(self, given: dict[str, Sourced], where: str) -> "Operations":
        """The same with the constants `given`, by their names, in place of its own.

        Parameters
        ----------
        where :
            They come from, for messages.

        Raises
        ------
        SpecError
            When a value is out of range.
        """
        values = {name: constant.value for name, constant in given.items()}
        with errors_at(where):
            return replace(self, **values, constants={**self.constants, **given})  # type: ignore[arg-type]

    def with_values(self, where: str, **values: float) -> "Operations":
        """The same with other values of constants, by name: assumptions of who gave them, `where` says how."""
        given = {name: Sourced(value=value, kind="assumed", source=where) for name, value in values.items()}
        return self.with_constants(given, where)


def load_operations() -> Operations:
    """How a cluster of wafers is run, by the constants of the data file."""
    return _load("operations.toml")


def load_gpu_operations() -> Operations:
    """How a cluster of GPUs is run, by the constants of the data file; a system is a server with eight of them."""
    return _load("gpu_operations.toml")


def read_operations(path: str, base: Operations) -> Operations:
    """`base` with the constants that the TOML file at `path` gives: tables of the data file's form.

    Raises
    ------
    SpecError
        When it cannot be read, a constant is unknown, or a value is wrong; the message names those there are.
    """
    given = {
        choose(name, base.constants, f"constant in {path}:"): convert(table, Sourced, f"{path}: [{name}]")
        for name, table in read_toml(path).items()
    }
    return base.with_constants(given, path)


def _load(file: str) -> Operations:
    where = f"data/{file}"
    constants = convert(read_toml(data_path(file)), dict[str, Sourced], where)
    expected = set(_constant_names())
    if set(constants) != expected:
        raise SpecError(
            f"{where}: missing {sorted(expected - set(constants))}, unknown {sorted(set(constants) - expected)}"
        )
    values = {name: constant.value for name, constant in constants.items()}
    return Operations(**values, constants=constants)  # type: ignore[arg-type]  # the names are those of the floats


def _constant_names() -> list[str]:
    return [field.name for field in fields(Operations) if field.type is float]


def _least(name: str) -> int:
    return 1 if name == "straggler_slowdown" else 0
