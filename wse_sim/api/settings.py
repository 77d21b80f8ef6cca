"""What parameters describe: a run, how it is paid for, and how a cluster is operated.

Each function takes what it needs out of `given`.
"""

import re
from dataclasses import replace
from typing import Any

from wse_sim.api.configured import Configured
from wse_sim.api.values import read_all, read_number, read_parsed, read_whole
from wse_sim.errors import SpecError
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.runs import run_from, run_from_configuration
from wse_sim.spec.economics import Economics, load_economics
from wse_sim.spec.load import NO_MODEL, ModelLike
from wse_sim.spec.operations import Operations, load_operations, read_operations
from wse_sim.spec.run import Run
from wse_sim.spec.written import parse_count, parse_seconds

_WHOLE = ("num_csx", "batch_size", "microbatch", "seq_len", "seed", "mask_update_steps")
_NUMBERS = ("density", "sparsity", "jitter", "straggler")
_STEPS = re.compile(r"(?P<number>[0-9]+)\s*steps?", re.IGNORECASE)


def run_of(model: ModelLike | None, given: dict[str, Any], watch: Watch = UNWATCHED) -> Run:
    """The run that is described.

    Parameters
    ----------
    watch :
        Hears what the simulator does not do of a configuration.

    Raises
    ------
    SpecError
        As `wse_sim.runs.run_from` and `run_from_configuration`.
    """
    config: Configured | None = given.pop("config")
    given |= read_all(given, read_whole, *_WHOLE) | read_all(given, read_number, *_NUMBERS)
    given["tokens"] = read_parsed("tokens", given.get("tokens"), parse_count)
    given["system"] = str(given["system"])
    said = given if config is None else config.said(given)
    said["is_sparse_wide"] = said.pop("sparse_wide", False)
    if config is not None:
        configuration = config.read(model)
        for line in configuration.run.differs:
            watch.say(f"note: {line}")
        return run_from_configuration(configuration, **said)
    if model is None:
        raise SpecError(NO_MODEL)
    return run_from(model=model, **said)


def economics_of(given: dict[str, Any]) -> Economics:
    """How energy, carbon and money are counted.

    Raises
    ------
    SpecError
        When a value is out of its range, a grid unknown, the file wrong, or a price given that nobody pays.
    """
    basis, written = given.pop("price_basis"), given.pop("economics")
    usd_per_kwh = read_number("electricity_usd_per_kwh", given.pop("electricity_usd_per_kwh"))
    if usd_per_kwh is not None and basis == "rental":
        raise SpecError(
            "--electricity-usd-per-kwh is given, but rent has electricity in it: use --price-basis purchase"
        )
    grid, pue = given.pop("grid"), read_number("pue", given.pop("pue"))
    economics = written if isinstance(written, Economics) else load_economics(None if written is None else str(written))
    return economics.with_choices(
        price_basis=basis, grid=None if grid is None else str(grid), usd_per_kwh=usd_per_kwh, pue=pue
    )


def operations_of(given: dict[str, Any], base: Operations | None = None) -> Operations:
    """How the cluster is run.

    Parameters
    ----------
    base :
        What the parameters change; None = the constants of the data for wafers.

    Raises
    ------
    SpecError
        When a value is wrong, or a mean time between failures is given for what never fails.
    """
    operations = load_operations() if base is None else base
    written, never_fails = given.pop("operations"), given.pop("no_failures")
    if written is not None:
        operations = written if isinstance(written, Operations) else read_operations(str(written), operations)
    for name in ("system_mtbf", "cluster_mtbf"):
        flag, mtbf_s = "--" + name.replace("_", "-"), read_parsed(name, given.pop(name), parse_seconds)
        if never_fails and mtbf_s is not None:
            raise SpecError(f"{flag} and --no-failures are both given: use one of them")
        if never_fails:
            flag, mtbf_s = "--no-failures", float("inf")
        if mtbf_s is not None:
            operations = operations.with_values(flag, **{f"{name}_s": mtbf_s})
            operations = replace(operations, said=operations.said | {f"{name}_s"})
    interval = given.pop("checkpoint_interval")
    return operations if interval is None else _with_interval(operations, str(interval))


def _with_interval(operations: Operations, text: str) -> Operations:
    steps = _STEPS.fullmatch(text.strip())
    if steps is not None:
        return replace(operations, checkpoint_steps=int(steps["number"]))
    try:
        return replace(operations, checkpoint_interval_s=parse_seconds(text, "checkpoint_interval"))
    except SpecError as error:
        raise SpecError(f"{error}, or steps such as '500 steps'") from None
