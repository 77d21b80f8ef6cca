"""What each number of a run may be, whatever its other numbers are."""

import math
from collections.abc import Callable, Mapping

from wse_sim.errors import SpecError

Allowed = tuple[Callable[[float], bool], str]  # a number that is none (NaN) is never allowed


def _count(most: int) -> Allowed:
    return lambda n: 1 <= n <= most, f"at least 1 and at most {most:,}"


def _amount(most: float) -> Allowed:
    return lambda x: 0 < x <= most, f"a positive number, at most {most:g}"


_POSITIVE: Allowed = (lambda x: 0 < x < math.inf, "a positive number")
_STEPS = ("mask_update_steps", "steps", "n_steps")
_COUNTS_OF_GPUS = ("num_gpus", "dp", "tp", "cp", "pp", "interleave")
# Ends that no run comes near: beyond them figures overflow, or take hours and all memory to find.
_ALLOWED: Mapping[str, Allowed] = {
    **dict.fromkeys(("num_csx", "batch_size", "microbatch", *_COUNTS_OF_GPUS), _count(1_000_000)),
    **dict.fromkeys(_STEPS, _count(1_000_000_000)),
    "seq_len": _count(100_000_000),
    "n_layers": _count(10_000),
    **dict.fromkeys(("d_model", "n_heads", "n_kv_heads"), _count(1_000_000)),
    **dict.fromkeys(("d_ff", "vocab_size"), _count(10_000_000)),
    "tokens": _amount(1e21),
    "tokens_per_parameter": _amount(1e9),
    **dict.fromkeys(("peak_lr", "clip", "budget_s"), _POSITIVE),
    "density": (lambda rho: 0 < rho <= 1, "above 0 and at most 1 (0.25 keeps 1 of 4 weights; density = 1 - sparsity)"),
    "sparsity": (lambda s: 0 <= s < 1, "at least 0 and below 1 (0.75 masks 3 of 4 weights)"),
    "jitter": (lambda share: 0 <= share < math.inf, "at least 0 (0.05 = passes take up to 5 % longer)"),
    "straggler": (lambda times: 1 <= times < math.inf, "at least 1 (1.2 = one system is 20 % slower)"),
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
    most: float = math.inf,
    is_whole: bool = False,
) -> None:
    """Raises SpecError unless the constant called `name` is finite, above `least` (or at it) and at most `most`."""
    is_in_range = (value >= least if may_be_least else value > least) and value <= most and value < math.inf
    if not is_in_range or (is_whole and value % 1):
        kind = "a whole number" if is_whole else "a number"
        low = f"at least {least:g}" if may_be_least else f"above {least:g}"
        high = f", at most {most:g}" if most < math.inf else ""
        raise SpecError(f"{name} is {value:g}: it must be {kind} {low}{high}")
