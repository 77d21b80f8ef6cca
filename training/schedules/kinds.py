"""The kinds of schedule: a record of parameters each, and the closed form of what follows the warm-up.

Notation: i step from 0, W steps of warm-up, T steps in all, x = (i - W)/(T - W) in [0, 1], phi the floor as a fraction
of the peak. s(u) is a cooldown from s(0) = 1 to s(1) = 0: `linear` 1 - u, `1-sqrt` 1 - sqrt(u), `cosine`
(1 + cos(pi u))/2. Defaults that have no source are this project's choice.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import msgspec

from wse_sim.errors import SpecError

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Exponent = Annotated[float, msgspec.Meta(gt=0, le=16)]
Shape = Literal["linear", "1-sqrt", "cosine"]


class Place(NamedTuple):
    """Where a step lies: in a span that starts after the warm-up and ends with the run, or with a piece of it."""

    step: float
    first: float
    last: float
    n_warmup_steps: int

    @property
    def x(self) -> float:
        """Fraction of the span that is over."""
        return min(1.0, max(0.0, (self.step - self.first) / (self.last - self.first)))


class _Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of a schedule, checked; equal ones make equal schedules."""


class Constant(_Kind, frozen=True, kw_only=True):
    """f = level; a level below 1 is for a piece of `sequential`."""

    level: Share = 1.0

    def factor(self, at: Place) -> float:
        return self.level


class Linear(_Kind, frozen=True, kw_only=True):
    """f = 1 - (1 - phi) x. Source: D2Z, arXiv 2502.15938, with phi = 0."""

    floor: Fraction = 0.0

    def factor(self, at: Place) -> float:
        return _to_floor(1.0 - at.x, self.floor)


class Cosine(_Kind, frozen=True, kw_only=True):
    """f = phi + (1 - phi) (1 + cos(pi x))/2. Source: SGDR, arXiv 1608.03983, Equation 5, without restarts."""

    floor: Fraction = 0.0

    def factor(self, at: Place) -> float:
        return _to_floor(cooldown("cosine", at.x), self.floor)


class Polynomial(_Kind, frozen=True, kw_only=True):
    """f = phi + (1 - phi) (1 - x)^degree."""

    degree: Exponent = 2.0
    floor: Fraction = 0.0

    def factor(self, at: Place) -> float:
        return _to_floor((1.0 - at.x) ** self.degree, self.floor)


class Exponential(_Kind, frozen=True, kw_only=True):
    """f = phi^x."""

    floor: Share = 0.1

    def factor(self, at: Place) -> float:
        return float(self.floor**at.x)


class Power(_Kind, frozen=True, kw_only=True):
    """f = (W/i)^exponent, W and i at least 1; over the last `cooldown` of the span f = s(u) f(where that begins).

    Independent of T but for the cooldown, so that a run can be prolonged. Source: exponent 1/2: Vaswani et al., arXiv
    1706.03762, Equation 3; exponent 0.51: Power Scheduler, arXiv 2408.13359, whose law in tokens is scaled here to meet
    the peak at the end of the warm-up.
    """

    exponent: Exponent = 0.51
    cooldown: Fraction = 0.0
    shape: Shape = "linear"

    def factor(self, at: Place) -> float:
        begins = at.last - (at.last - at.first) * self.cooldown
        if at.step <= begins:
            return self._law(at.step, at.n_warmup_steps)
        return self._law(begins, at.n_warmup_steps) * cooldown(self.shape, (at.step - begins) / (at.last - begins))

    def _law(self, step: float, n_warmup_steps: int) -> float:
        return float(min(1.0, max(n_warmup_steps, 1) / max(step, 1.0)) ** self.exponent)


class Wsd(_Kind, frozen=True, kw_only=True):
    """Warm-up, stable, decay: f = 1, then phi + (1 - phi) s(u) with u = 1 - (1 - x)/cooldown over the last part.

    Source: MiniCPM, arXiv 2404.06395; the shape 1-sqrt: Hägele et al., arXiv 2405.18392. Cooldown of a fifth: ours.
    """

    cooldown: Share = 0.2
    shape: Shape = "linear"
    floor: Fraction = 0.0

    def factor(self, at: Place) -> float:
        return _to_floor(cooldown(self.shape, 1.0 - (1.0 - at.x) / self.cooldown), self.floor)


class WsdS(_Kind, frozen=True, kw_only=True):
    """Cooldowns that end at each of `ends`, each but the last followed by the peak at once.

    With e the next end: f = phi + (1 - phi) s(u), u = 1 - (e - x)/(cooldown e), 1 while u < 0. A cooldown takes the
    share `cooldown` of all that was trained until it ends, as it would in a `wsd` run of that length.
    Source: WSD-S of Wen et al., arXiv 2410.05192, whose decay has another shape.
    """

    ends: tuple[Share, ...] = (0.25, 0.5, 1.0)
    cooldown: Share = 0.1
    shape: Shape = "linear"
    floor: Fraction = 0.0

    def __post_init__(self) -> None:
        _require_rising(self.ends, "ends")
        _require(self.ends[-1] == 1, f"the last of ends is {self.ends[-1]:g}, it must be 1")
        for before, end in pairwise(self.ends):  # the first may begin with the span
            _require(
                self.cooldown * end <= end - before + 1e-12,
                f"the cooldown that ends at {end:g} takes {self.cooldown * end:g} of the run and would begin before "
                f"{before:g}, where the one before it ends",
            )

    def factor(self, at: Place) -> float:
        end = self.ends[min(bisect_right(self.ends, at.x), len(self.ends) - 1)]
        return _to_floor(cooldown(self.shape, 1.0 - (end - at.x) / (self.cooldown * end)), self.floor)


class Step(_Kind, frozen=True, kw_only=True):
    """f = by^n, n the number of fractions in `at` that are not above x."""

    at: tuple[Fraction, ...] = (0.9,)
    by: Share = 0.1

    def __post_init__(self) -> None:
        _require_rising(self.at, "at")

    def factor(self, at: Place) -> float:
        return float(self.by ** bisect_right(self.at, at.x))


class Piecewise(_Kind, frozen=True, kw_only=True):
    """f = values[k] at x = at[k]; between two of them on the straight line (`linear`) or as at the first (`flat`)."""

    at: tuple[Fraction, ...] = (0.0, 0.5, 1.0)
    values: tuple[Fraction, ...] = (1.0, 0.25, 0.0)
    join: Literal["linear", "flat"] = "linear"

    def __post_init__(self) -> None:
        _require_rising(self.at, "at")
        _require(self.at[0] == 0, f"at begins with {self.at[0]:g}, it must begin with 0")
        _require(len(self.at) == len(self.values), f"at has {len(self.at)} fractions for {len(self.values)} values")

    def factor(self, at: Place) -> float:
        k = bisect_right(self.at, at.x) - 1
        if self.join == "flat" or k == len(self.at) - 1:
            return self.values[k]
        part = (at.x - self.at[k]) / (self.at[k + 1] - self.at[k])
        return self.values[k] + (self.values[k + 1] - self.values[k]) * part


class Cyclic(_Kind, frozen=True, kw_only=True):
    """`cycles` equal cycles: f = phi + (1 - phi) s(v), v the fraction of the cycle's decay that is over.

    Every cycle but the first begins with a rise from phi to the peak over its share `warmup`; like the run's warm-up it
    starts with its first increment. Source: shape cosine without warm-up is SGDR, arXiv 1608.03983.
    """

    cycles: Annotated[int, msgspec.Meta(ge=1)] = 4
    warmup: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.1
    shape: Shape = "linear"
    floor: Fraction = 0.0

    def factor(self, at: Place) -> float:
        # One division, so that a step on a boundary is not rounded into the cycle before it.
        done = min(float(self.cycles), max(0.0, (at.step - at.first) * self.cycles / (at.last - at.first)))
        cycle = min(int(done), self.cycles - 1)
        u = done - cycle
        warmup = self.warmup if cycle else 0.0
        if u < warmup:
            increment = self.cycles / (at.last - at.first)
            return _to_floor(min(1.0, (u + increment) / warmup), self.floor)
        return _to_floor(cooldown(self.shape, (u - warmup) / (1.0 - warmup)), self.floor)


class Cooldown(_Kind, frozen=True, kw_only=True):
    """f = 1 until step `start`, then phi + (1 - phi) s(u) with u = (i - start)/(T - start).

    For a run that branches off another one at its peak (`constant`, or `wsd` before it decays): the checkpoint after
    `start` steps is shared, and the warm-up is that of the first run.
    """

    start: Annotated[int, msgspec.Meta(ge=0)]
    shape: Shape = "linear"
    floor: Fraction = 0.0

    def factor(self, at: Place) -> float:
        _require(
            at.first <= self.start < at.last,
            f"start is {self.start}: the cooldown must begin after the warm-up and before the end, in steps "
            f"{at.first:g} to {at.last - 1:g}",
        )
        return _to_floor(cooldown(self.shape, (at.step - self.start) / (at.last - self.start)), self.floor)


class Segments(_Kind, frozen=True, kw_only=True):
    """Pieces in steps of a run of `of`, stretched with the run: from step starts[k] until the next one's start
    f = last[k] + (first[k] - last[k]) s(u) with u = (i - starts[k])/over[k].

    Source: the learning-rate schedulers of Cerebras PyTorch 2.10, one after the other.
    """

    of: Annotated[int, msgspec.Meta(ge=1)] = 100
    starts: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = (0, 50)
    over: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = (50, 50)
    first: tuple[Fraction, ...] = (1.0, 1.0)
    last: tuple[Fraction, ...] = (1.0, 0.0)
    shapes: tuple[Shape, ...] = ("linear", "linear")

    def __post_init__(self) -> None:
        _require_rising(self.starts, "starts")
        _require(self.starts[0] == 0, f"starts begins with {self.starts[0]}, it must begin with 0")
        n = {len(items) for items in (self.starts, self.over, self.first, self.last, self.shapes)}
        _require(len(n) == 1, "starts, over, first, last and shapes must be of one length, an item for each piece")

    def factor(self, at: Place) -> float:
        # One division, so that whole steps stay whole where the span is as long as `of`.
        step = (at.step - at.first) * self.of / (at.last - at.first)
        k = bisect_right(self.starts, step) - 1
        first, last = self.first[k], self.last[k]
        return last + (first - last) * cooldown(self.shapes[k], (step - self.starts[k]) / self.over[k])


def cooldown(shape: Shape, u: float) -> float:
    """s(u): 1 for u <= 0, 0 for u >= 1."""
    u = min(1.0, max(0.0, u))
    match shape:
        case "linear":
            return 1.0 - u
        case "1-sqrt":
            return 1.0 - math.sqrt(u)
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * u))


def _to_floor(s: float, floor: float) -> float:
    return floor + (1.0 - floor) * s


def _require_rising(fractions: Sequence[float], what: str) -> None:
    _require(bool(fractions), f"{what} is empty")
    _require(all(a < b for a, b in pairwise(fractions)), f"{what} must rise from one to the next")


def _require(holds: bool, wrong: str) -> None:
    if not holds:
        raise SpecError(wrong)
