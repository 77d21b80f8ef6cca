"""What a whole run needs beside its steps: start, checkpoints, failures, restarts."""

from dataclasses import dataclass, fields

from wse_sim.errors import SpecError
from wse_sim.spec.load import convert, data_path, read_toml
from wse_sim.spec.sourced import Sourced

_WHERE = "data/operations.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """How a cluster is run; `math.inf` for both mean times between failures is a run without failures.

    Parameters
    ----------
    compile_s :
        Of the first start; a restart finds the compiled program.
    scheduling_s :
        From the submission of a job until all its servers are up.
    programming_s :
        Loading the program onto all wafers.
    weights_s_per_parameter :
        Sending the weights for the first time.
    first_checkpoint_s :
        Checkpoint of step 0.
    checkpoint_s_per_parameter :
        Any later checkpoint, during which training stands still.
    detection_s :
        From a failure until the job is submitted again.
    system_mtbf_s, cluster_mtbf_s :
        Mean time between failures that stop the run: of one system, and of what all systems share.
    constants :
        Every number in it, by name, with its source.
    """

    compile_s: float
    scheduling_s: float
    programming_s: float
    weights_s_per_parameter: float
    first_checkpoint_s: float
    checkpoint_s_per_parameter: float
    detection_s: float
    system_mtbf_s: float
    cluster_mtbf_s: float
    constants: dict[str, Sourced]

    def failures_per_s(self, num_csx: int) -> float:
        """Rate at which a run on `num_csx` systems is stopped: any part stops the whole, so the rates add."""
        return num_csx / self.system_mtbf_s + 1 / self.cluster_mtbf_s

    def bring_up_s(self, n_parameters: int) -> float:
        """From the submission of a compiled job to its first step."""
        return self.scheduling_s + self.programming_s + self.weights_s_per_parameter * n_parameters

    def checkpoint_s(self, n_parameters: int) -> float:
        return self.checkpoint_s_per_parameter * n_parameters

    def named(self, *kinds: str) -> list[str]:
        """Names of the constants whose kind is one of `kinds`."""
        return sorted(name for name, constant in self.constants.items() if constant.kind in kinds)


def load_operations() -> Operations:
    """How a cluster is run, by the constants of the data file."""
    constants = convert(read_toml(data_path("operations.toml")), dict[str, Sourced], _WHERE)
    expected = {field.name for field in fields(Operations)} - {"constants"}
    if set(constants) != expected:
        raise SpecError(
            f"{_WHERE}: missing {sorted(expected - set(constants))}, unknown {sorted(set(constants) - expected)}"
        )
    return Operations(**{name: constant.value for name, constant in constants.items()}, constants=constants)
