"""What each number of a run may be, whatever its other numbers are."""

import math
from collections.abc import Callable, Mapping

from wse_sim.errors import SpecError

Allowed = tuple[Callable[[float], bool], str]  # a number that is none (NaN) is never allowed

# More is a slip of the pen; and what a number is divided into is found by trying up to its root.
MOST = 10**12
_COUNT: Allowed = (lambda n: 1 <= n <= MOST, "at least 1, and at most 10^12")
_POSITIVE: Allowed = (lambda x: 0 < x < math.inf, "a positive number")
_COUNTS = ("num_csx", "batch_size", "microbatch", "seq_len", "mask_update_steps", "steps", "n_steps")
_COUNTS_OF_GPUS = ("num_gpus", "dp", "tp", "cp", "pp", "interleave")
_ALLOWED: Mapping[str, Allowed] = {
    **dict.fromkeys((*_COUNTS, *_COUNTS_OF_GPUS), _COUNT),
    **dict.fromkeys(("tokens", "tokens_per_parameter", "peak_lr", "clip"), _POSITIVE),
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
