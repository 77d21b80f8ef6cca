"""The length of a warm-up as users write it: `10%`, `0.1` or `15/90` of the steps, `346 steps`, `375e6 tokens`."""

import re

from wse_sim.errors import SpecError

_TEXT = re.compile(r"\s*(?P<number>[0-9.]+(?:e[-+]?[0-9]+)?)\s*(?P<unit>%|steps|tokens|)\s*", re.IGNORECASE | re.ASCII)
_RATIO = re.compile(r"\s*(?P<part>[0-9]{1,18})\s*/\s*(?P<whole>[0-9]{1,18})\s*")
_FORMS = "write 10% or 0.1 or 15/90 (of the steps), 346 steps, or 375e6 tokens"


def warmup_steps(text: str, *, n_steps: int, tokens_per_step: int) -> int:
    """Steps of warm-up, rounded to the nearest, in a run of `n_steps`.

    Raises
    ------
    SpecError
        When `text` is none of the forms, or the warm-up would leave no step after it.
    """
    if ratio := _RATIO.fullmatch(text):
        part, whole = int(ratio["part"]), max(1, int(ratio["whole"]))
        return _fitting(text, part * n_steps / whole, n_steps)
    match = _TEXT.fullmatch(text)
    try:
        number = float(match["number"]) if match else float("nan")
    except ValueError:
        number = float("nan")
    match match["unit"].lower() if match else "":
        case "%":
            steps = number / 100 * n_steps
        case "tokens":
            steps = number / tokens_per_step
        case "steps":
            steps = number
        case _ if number < 1:
            steps = number * n_steps
        case _:
            raise SpecError(f"warmup is {text!r}: {_FORMS}")
    return _fitting(text, steps, n_steps)


def _fitting(text: str, steps: float, n_steps: int) -> int:
    if not steps < n_steps or round(steps) == n_steps:
        raise SpecError(f"warmup is {text!r}, {steps:,.10g} steps of {n_steps:,}: it must leave at least one step")
    return round(steps)
