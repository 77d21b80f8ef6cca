"""What the keys of the `sparsity:` block of the published form say here, each in a line of the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from wse_sim.spec.model_zoo.ledger import Section
from wse_sim.spec.sparsity import SET, Algorithm, Dynamic, RigL, algorithm_name

_BECAME: Mapping[str, str] = {
    "algorithm": "how masks change",
    "sparsity": "1 - density",
    "schedule": "1 - density",
    "init_method": "which weights live at first",
    "distribution": "how density is shared out among matrices",
    "drop_fraction": "share of the live weights that an update replaces",
    "lift_at": "step from which all weights live",
    "balance_in_groups": "slices of inputs, with as many live weights each",
    "balance_out_groups": "slices of outputs, with as many live weights each",
}
_OF_AN_UPDATE: Mapping[str, str] = {
    "freq": "steps from one change of the masks to the next",
    "start": "step of the first change",
    "stop": "step from which masks stay",
    "steps": "steps at which masks change",
}
_OF_A_CURVE: Mapping[str, str] = {
    "type": "how it changes over the run",
    "value": "at every step",
    "values": "one after the other, at each update the next",
    "init": "at the start",
    "final": "at the end",
    "minimum": "at the lowest",
    "half_period": "steps from the start to the lowest",
    "slope": "added by each step",
    "gamma": "per step, in the exponent",
    "beta": "factor of each step",
    "start": "step on which it begins to change",
    "stop": "step on which it ends",
}
_TAKEN = "entries before it take every matrix that it names"


def note_algorithm(
    table: Section, said: Mapping[str, Any], algorithm: Algorithm, matrices: Sequence[str], *, n_matrices: int
) -> None:
    """Note what each key of an algorithm became.

    Parameters
    ----------
    said :
        Its keys and values.
    matrices :
        Those of ours, of `n_matrices`, that it masks; where there are none, nothing of it is followed.
    """
    if not matrices:
        for key, value in said.items():
            table.note(key, value, _TAKEN, "nothing")
        return
    kinds = dict.fromkeys(name.removesuffix(".weight").split(".", 2)[2] for name in matrices)
    masked = f"{', '.join(kinds)}: {len(matrices)} of {n_matrices} matrices"
    for key, value in said.items():
        if isinstance(value, dict):
            _note_inner(table.at(value, key), _OF_AN_UPDATE if key == "update" else _OF_A_CURVE)
        else:
            table.understand(key, value, masked if key == "param_filter" else _BECAME[key])
    if "param_filter" not in said:
        table.assume("param_filter", "*", masked)
    defaults: dict[str, Any] = {"algorithm": algorithm_name(algorithm), "init_method": algorithm.init_method}
    if isinstance(algorithm, SET | RigL):
        defaults["drop_fraction"] = algorithm.drop_fraction
    for key, value in defaults.items():
        if key not in said:
            table.assume(key, value, _BECAME[key])
    if isinstance(algorithm, Dynamic) and algorithm.update is None:
        table.assume("update", {"freq": 1}, "masks change at every step")


def _note_inner(table: Section, became: Mapping[str, str]) -> None:
    for key in table.keys:
        table.understand(key, table.value(key, ""), became[key])
    table.finish()
