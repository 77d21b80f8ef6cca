"""What each number of a run may be, whatever its other numbers are."""

import math
from collections.abc import Callable, Mapping

from wse_sim.errors import SpecError

Allowed = tuple[Callable[[float], bool], str]  # a number that is none (NaN) is never allowed


def _count(most: int) -> Allowed:
    return lambda n: 1 <= n <= most, f"at least 1 and at most {most:,}"


def _amount(most: float) -> Allowed:
    return lambda x: 0 < x <= most, f"a positive number, at most {most:g}"


def _between(least: float, most: float, meaning: str) -> Allowed:
    return lambda x: least <= x <= most, f"at least {least:g} and at most {most:g} ({meaning})"


# Ends of every other number about the world, whatever its unit: products of a few of them are still finite.
LEAST, MOST = 1e-30, 1e30
_POSITIVE: Allowed = (lambda x: 0 < x < math.inf, "a positive number")
_STEPS = ("mask_update_steps", "steps", "n_steps")
_COUNTS_OF_GPUS = ("num_gpus", "dp", "tp", "cp", "pp", "interleave")
# Ends that no run comes near: beyond them figures overflow, or take hours and all memory to find.
_ALLOWED: Mapping[str, Allowed] = {
    **dict.fromkeys(("num_csx", "batch_size", "microbatch", *_COUNTS_OF_GPUS), _count(1_000_000)),
    **dict.fromkeys(_STEPS, _count(1_000_000_000)),
    "steps_shown": _count(1_000_000),  # of a schedule, whose learning rate is worked out step by step
    "steps_checked": _count(10_000),  # of a coordinate check, which keeps what it sees in each
    "n_seeds": _count(1_000),
    "n_runs": (lambda n: n <= 100_000, "at most 100,000"),  # that are trained; none, where all are known
    "seq_len": _count(100_000_000),
    "n_layers": _count(10_000),
    **dict.fromkeys(("d_model", "n_heads", "n_kv_heads"), _count(1_000_000)),
    **dict.fromkeys(("d_ff", "vocab_size"), _count(10_000_000)),
    "tokens": _amount(1e21),
    "tokens_per_parameter": _between(1e-6, 1e9, "20 is compute-optimal"),
    **dict.fromkeys(("peak_lr", "clip", "budget_s"), _POSITIVE),
    "density": (lambda rho: 0 < rho <= 1, "above 0 and at most 1 (0.25 keeps 1 of 4 weights; density = 1 - sparsity)"),
    "sparsity": (lambda s: 0 <= s < 1, "at least 0 and below 1 (0.75 masks 3 of 4 weights)"),
    "jitter": _between(0, MOST, "0.05 = passes take up to 5 % longer"),
    "straggler": _between(1, MOST, "1.2 = one system is 20 % slower"),
    "usd_per_kwh": _between(0, 1e3, "0.1 = 10 cents"),
    "pue": _between(1, 10, "energy of the facility over its computers': 1.1 = a tenth more"),
    # No fuel emits a third of the most: whoever writes 350 means grams.
    "kg_per_kwh": (lambda kg: 0 <= kg <= 10, "0 to 10 kg per kWh, not grams"),
    "amortisation_years": (lambda years: years >= 1e-3, "at least 0.001 (inf leaves the purchase out)"),
    "utilisation": _between(1e-6, 1, "0.5 = at work in every other hour"),
    "upkeep_per_year": _between(0, 100, "of the price: 0.1 = a tenth of it each year"),
}


def check_number(name: str, value: float, what: str = "") -> None:
    """Raises SpecError unless the number of a run called `name` can have this value at all.

    Parameters
    ----------
    what :
        What the message calls it, where the user knows it by another name.
    """
    is_allowed, right = _ALLOWED[name]
    if not is_allowed(value):
        raise SpecError(f"{what or name} is {value}: it must be {right}")


def check_range(
    name: str,
    value: float,
    *,
    least: float = 0.0,
    may_be_least: bool = False,
    most: float = MOST,
    is_whole: bool = False,
) -> None:
    """Raises SpecError unless the constant called `name` is above `least` (or at it) and at most `most`.

    One that is not 0 is no smaller than a number about the world can be.
    """
    is_in_range = (value >= least if may_be_least else value > least) and value <= most
    if not is_in_range or 0 < value < LEAST or (is_whole and value % 1):
        kind = "a whole number" if is_whole else "a number"
        low = f"at least {least:g}" if may_be_least else f"above {least:g}"
        high = f", at most {most:g}" if most < MOST or value > most else ""
        right = f"at least {LEAST:g}" if 0 < value < LEAST else f"{low}{high}"
        raise SpecError(f"{name} is {value:g}: it must be {kind} {right}")
