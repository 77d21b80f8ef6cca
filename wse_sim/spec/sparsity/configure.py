"""What users write about sparsity, checked and made into algorithms."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from wse_sim.errors import SpecError, choose
from wse_sim.spec.reading import convert
from wse_sim.spec.sparsity.algorithms import ALGORITHMS, SET, Algorithm, RigL
from wse_sim.spec.sparsity.hyper import Cosine
from wse_sim.spec.sparsity.updates import Update

Written: TypeAlias = float | Mapping[str, Any] | Sequence[Mapping[str, Any]]

WRAPPERS = ("groups", "params")
UPDATE_FREQ = 100  # steps, and
UPDATE_STOP = (
    0.75  # of the run: the RigL and SET recipes of the Cerebras Model Zoo; SμPar Section 4.4 has the first too
)


def configure(config: Written, where: str = "sparsity") -> tuple[Algorithm, ...]:
    """The algorithms that a number, a table or a list of tables describes; in a list, the first match wins.

    A number is static sparsity. A table has `algorithm` (static without it), `sparsity` or its alias `schedule`, and
    the algorithm's own arguments.

    Parameters
    ----------
    where :
        Named in messages.

    Raises
    ------
    SpecError
        When a key or a value is wrong.

    Source: `cerebras_pytorch.sparse.configure`.
    """
    if isinstance(config, int | float) and not isinstance(config, bool):
        return (_algorithm({"sparsity": float(config)}, where),)
    if isinstance(config, list | tuple):
        return tuple(algorithm for table in config for algorithm in configure(table, where))
    if not isinstance(config, Mapping):
        raise SpecError(f"{where} is {config!r}: it must be a number, a table or a list of tables")
    wrapper = next((key for key in WRAPPERS if key in config), None)
    if wrapper is None:
        return (_algorithm(config, where),)
    if beside := [key for key in config if key != wrapper]:
        raise SpecError(f"{where}: {beside[0]} stands beside {wrapper}: it belongs to one of the {wrapper}")
    return configure(config[wrapper], f"{where}.{wrapper}")


def make_algorithm(
    name: str,
    *,
    drop_fraction: float | None = None,
    update_freq: int | None = None,
    update_stop: int | float | None = None,
    **arguments: Any,
) -> Algorithm:
    """An algorithm from the few arguments that flags have; what is left out is as in the published recipes.

    The fraction that SET and RigL drop falls along half a cosine from `drop_fraction` to 0 at `update_stop`.

    Parameters
    ----------
    name :
        A key of `ALGORITHMS`.
    drop_fraction :
        At the start; 0.3 if not given.
    update_freq, update_stop :
        100 steps and 75 % of the run if not given.
    arguments :
        Any other of the algorithm's own; None counts as not given.

    Raises
    ------
    SpecError
        For an unknown name, and an argument that the algorithm does not take.

    Source: RigL (arXiv 1911.11134) Section 3; the sparse GPT-3 125M recipes of the Cerebras Model Zoo.
    """
    kind = ALGORITHMS[choose(name, ALGORITHMS, "sparsity algorithm")]
    table: dict[str, Any] = {key: value for key, value in arguments.items() if value is not None}
    stop = UPDATE_STOP if update_stop is None else update_stop
    if "update" in kind.__struct_fields__:
        table["update"] = Update(freq=update_freq or UPDATE_FREQ, stop=stop)
    elif update_freq is not None or update_stop is not None:
        raise SpecError(f"sparsity: the masks of {name} are not updated, it takes no update_freq and no update_stop")
    if kind in (SET, RigL):
        table["drop_fraction"] = Cosine(init=0.3 if drop_fraction is None else drop_fraction, half_period=stop)
    elif drop_fraction is not None:
        raise SpecError(f"sparsity: {name} does not drop and grow, it takes no drop_fraction")
    return convert({**table, "algorithm": name}, kind, "sparsity")


def _algorithm(table: Mapping[str, Any], where: str) -> Algorithm:
    table = dict(table)
    if "type" in table:
        raise SpecError(f'{where}: key "type" is out of use: algorithm = {table["type"]!r} would be right')
    if "schedule" in table:
        if "sparsity" in table:
            raise SpecError(f"{where}: schedule is another name of sparsity: give one of the two")
        table["sparsity"] = table.pop("schedule")
    name = choose(str(table.setdefault("algorithm", "static")), ALGORITHMS, f"algorithm in {where}")
    return convert(table, ALGORITHMS[name], where)
