"""How the columns of a sweep and their values are written for people."""

from collections.abc import Callable
from functools import cache

from wse_sim.report.quantities import carbon, count, duration, energy, money, percent, significant

CONTENTION = "contention"  # the column that says how far a row in closed form can be trusted

# By the ending of a name, the first that fits.
_READ_AS: dict[str, Callable[[float], str]] = {
    "_per_s": significant,
    "tokens": count,
    "mfu": percent,
    "_s": duration,
    "_j": energy,
    "_kg": carbon,
    "_usd": money,
    "loss": "{:.4f}".format,
    "bits_per_byte": "{:.4f}".format,
    CONTENTION: lambda contention: f"{contention:.2f}",
}
_LESS_IS_BETTER = ("_s", "_j", "_kg", "_usd", "loss", "bits_per_byte", "_bytes_per_gpu", CONTENTION)
_MORE_IS_BETTER = "_per_s"
MAIN_FIGURES = {
    "simulated": ("tokens_per_s", "mfu", "run_time_s", "cost_usd", "energy_j"),
    "measured": ("measured_val_loss", "measured_host_s", "simulated_run_time_s", "simulated_cost_usd"),
}
_GIVEN_AS: dict[str, Callable[[float], str]] = {"budget": lambda seconds: duration(seconds).replace(".0 ", " ")}
MEASURED_UNIT = ("measured_val_loss", "measured_bits_per_byte")  # the two columns that tell the unit of losses
FILLED_IN = ("system", "num_csx", "batch_size")  # to be shown: what the figures are of


@cache
def heading(name: str) -> str:
    """A heading that may be broken between words; values say their unit."""
    name = name.replace("run_time_s", "all_steps")  # a run's wall clock is more
    name = name.replace("host_s", "time_here")
    for ending in ("_s", "_j", "_kg", "_usd"):
        if name.endswith(ending) and not name.endswith("_per_s"):
            name = name.removesuffix(ending)
    return name.replace("_per_s", "/s").replace("_", " ")


def with_unit(name: str, measured_unit: str) -> str:
    """The heading of a figure; a loss says its unit, which of measured ones hangs on what a token is."""
    unit = {"measured": measured_unit, "projected": "nats/token"}.get(name.partition("_")[0], "")
    return f"{heading(name)}, {unit}" if unit and name.endswith("_loss") else heading(name)


def in_words(name: str, value: str | int | float | bool | None, *, is_given: bool) -> str:
    """A value as people read it: as it was given, or by the unit that its name ends in.

    Parameters
    ----------
    is_given :
        It is one of a key.
    """
    if value is None:
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    if is_given and name in _GIVEN_AS:
        return _GIVEN_AS[name](value)
    if (is_given or name in FILLED_IN) and name != "tokens":
        return str(value) if isinstance(value, int) else f"{value:g}"
    for ending, read in _READ_AS.items():
        if name.endswith(ending):
            return read(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def less_is_better(name: str) -> bool:
    """Of times, energies, masses, costs, losses, memory and contention; more is better of everything else."""
    return name.endswith(_LESS_IS_BETTER) and not name.endswith(_MORE_IS_BETTER)
