"""Learning rates of the published form: absolute values over steps, one scheduler after the other.

Source: Cerebras PyTorch 2.10, optim/scheduler.py: at step i of a scheduler of n, `LinearLR` has end + (initial - end)
(1 - i/n), `CosineDecayLR` end + (initial - end) (1 + cos(pi i/n))/2, both `end` from step n on. ModelZoo 2.10,
trainer/utils.py: milestones that are not said are the sums of total_iters.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from wse_sim.errors import SpecError
from wse_sim.spec.model_zoo.ledger import Section

_DIGITS = 12
_ROUNDING = 1e-15  # 6e-5 / 6e-4 is to be 0.1
_KNOWN = ("SequentialLR", "LinearLR", "CosineDecayLR", "ConstantLR", "PiecewiseConstantLR")
Curve = Literal["linear", "cosine"]


class Piece(NamedTuple):
    """A stretch of a schedule.

    Parameters
    ----------
    n_steps :
        Over which it goes from `first` to `last`; None = to the end of the run.
    """

    first: float
    last: float
    n_steps: int | None
    curve: Curve


class LearningRate(NamedTuple):
    """A whole schedule.

    Parameters
    ----------
    until :
        Step at which each piece but the last makes room for the next.
    """

    pieces: tuple[Piece, ...]
    until: tuple[int, ...]

    @property
    def peak(self) -> float:
        return max(max(piece.first, piece.last) for piece in self.pieces)

    @property
    def n_warmup_steps(self) -> int:
        """Steps until the peak is reached for the first time."""
        for start, piece in zip((0, *self.until), self.pieces, strict=True):
            if piece.first == self.peak:
                return start
            if piece.last == self.peak:
                return start + (piece.n_steps or 0)
        raise AssertionError("one of the pieces reaches the peak")

    @property
    def end(self) -> float:
        """Value that the schedule ends on."""
        return self.pieces[-1].last

    @property
    def n_steps(self) -> int | None:
        """Steps over which it changes; None = it is constant in the end."""
        last = self.pieces[-1].n_steps
        return None if last is None else (self.until[-1] if self.until else 0) + last

    @property
    def decay(self) -> Curve:
        """Of the longest piece that falls."""
        falling = [piece for piece in self.pieces if piece.last < piece.first]
        return max(falling, key=lambda piece: piece.n_steps or 0).curve if falling else "linear"

    @property
    def end_fraction(self) -> float:
        return share(self.end, self.peak)


class Written(NamedTuple):
    """A schedule as `training.schedules` reads it: its text, the warm-up, and whether that begins with zero."""

    schedule: str
    warmup: str
    first_step_lr: Literal["first_increment", "zero"]


def share(value: float, peak: float) -> float:
    """`value` as a fraction of the peak, without the last digit where division alone made it."""
    fraction = value / peak
    short = round(fraction, _DIGITS)
    return short if math.isclose(short, fraction, rel_tol=_ROUNDING) else fraction


def written(rate: LearningRate, n_steps: int) -> Written:
    """The same schedule in a run of `n_steps`, as fractions of the peak.

    A warm-up from zero and one decay that ends with the run are written as such, so that they fit a run of any length;
    everything else piece by piece, stretched with the run.
    """
    first, *others = rate.pieces
    if len(others) == 1 and _is_warmup(rate) and rate.n_steps == n_steps and others[0].first == rate.peak:
        decay, end = others[0], rate.end_fraction
        name = "constant" if decay.first == decay.last else decay.curve
        text = {0.0: name, 1.0: name, 0.1: f"{name}_10x"}.get(end, f"{name}(floor={end!r})")
        return Written(text, f"{first.n_steps}/{n_steps}", "zero")
    if not others and first.first == first.last:
        return Written("constant", "0 steps", "zero")
    return Written(_by_pieces(rate, n_steps), "0 steps", "zero")


def learning_rate(schedulers: object, section: Section, constant: float | None) -> LearningRate:
    """The schedule that `schedulers:` describes.

    Parameters
    ----------
    section :
        In which it stands, for messages and the ledger.
    constant :
        Learning rate of the optimizer, where there is no scheduler.

    Raises
    ------
    SpecError
        When there is none, more than one, one that is not known, or one that never rises above zero.
    """
    found = [schedulers] if isinstance(schedulers, dict) else schedulers
    if not isinstance(found, list) or not all(isinstance(each, dict) and len(each) == 1 for each in found):
        section.wrong("schedulers", schedulers, "a list with one scheduler, such as SequentialLR")
    if not found:
        if constant is None:
            raise SpecError(f"{section.place('schedulers')}: there is none, and the optimizer has no learning_rate")
        return _checked(LearningRate((Piece(constant, constant, None, "linear"),), ()), section)
    if len(found) > 1:
        names = ", ".join(name for each in found for name in each)
        raise SpecError(f"{section.place('schedulers')}: there are {len(found)} ({names}); one, for the learning rate, "
                        "is understood")  # fmt: skip
    return _checked(_scheduler(section.at(found[0], "schedulers", 0)), section)


def join(rates: Sequence[tuple[LearningRate, int]]) -> LearningRate:
    """Schedules one after the other, each with the steps that it is followed for."""
    pieces: list[Piece] = []
    until: list[int] = []
    start = 0
    for rate, n_steps in rates:
        for begins, piece in zip((0, *rate.until), rate.pieces, strict=True):
            if begins < n_steps:
                until.append(start + begins)
                pieces.append(piece)
        start += n_steps
    return LearningRate(tuple(pieces), tuple(until[1:]))


def _is_warmup(rate: LearningRate) -> bool:
    first = rate.pieces[0]
    return first.first == 0 and first.last == rate.peak and first.curve == "linear" and rate.until[0] == first.n_steps


def _by_pieces(rate: LearningRate, n_steps: int) -> str:
    lists = {
        "starts": (0, *rate.until),
        "over": [piece.n_steps or 1 for piece in rate.pieces],
        "first": [share(piece.first, rate.peak) for piece in rate.pieces],
        "last": [share(piece.last, rate.peak) for piece in rate.pieces],
        "shapes": [piece.curve for piece in rate.pieces],
    }
    words = [f"{name}=[{','.join(map(_number, items))}]" for name, items in lists.items()]
    return f"segments(of={n_steps},{','.join(words)})"


def _number(value: float | str) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _scheduler(entry: Section) -> LearningRate:
    if len(entry.keys) != 1:
        entry.wrong_block("one scheduler with its arguments")
    (name,) = entry.keys
    entry.one_of(name, name, _KNOWN, "scheduler")
    scheduler = entry.section(name)
    if name == "SequentialLR":
        return _sequential(scheduler)
    if name == "PiecewiseConstantLR":
        return _piecewise(scheduler)
    piece = _constant(scheduler) if name == "ConstantLR" else _slope(scheduler, name)
    scheduler.finish()
    return LearningRate((piece,), ())


def _constant(scheduler: Section) -> Piece:
    value = scheduler.number("learning_rate", "constant at {value}")
    return Piece(value, value, scheduler.integer("total_iters", "for {value} steps", None), "linear")


def _slope(scheduler: Section, name: str) -> Piece:
    scheduler.switch("cycle", False, "schedules are followed once here", "training")
    return Piece(
        scheduler.number("initial_learning_rate", "from {value}"),
        scheduler.number("end_learning_rate", "to {value}"),
        scheduler.integer("total_iters", "over {value} steps"),
        "linear" if name == "LinearLR" else "cosine",
    )


def _sequential(scheduler: Section) -> LearningRate:
    entries = scheduler.value("schedulers", "")
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) and len(e) == 1 for e in entries):
        scheduler.wrong("schedulers", entries, "a list of schedulers")
    found = [_scheduler(scheduler.at(entry, "schedulers", k)) for k, entry in enumerate(entries)]
    if any(len(each.pieces) > 1 for each in found):
        scheduler.wrong("schedulers", entries, "schedulers that have no others in them")
    pieces = tuple(each.pieces[0] for each in found)
    milestones = scheduler.value("milestones", "pieces begin at {value}", None)
    scheduler.finish()
    if milestones is None:
        if any(piece.n_steps is None for piece in pieces[:-1]):
            scheduler.wrong("schedulers", entries, "schedulers with total_iters, all but the last")
        milestones = list(accumulate(piece.n_steps or 0 for piece in pieces[:-1]))
    return LearningRate(pieces, _rising(scheduler, milestones, len(pieces) - 1))


def _piecewise(scheduler: Section) -> LearningRate:
    values = scheduler.value("learning_rates", "one after the other")
    milestones = scheduler.value("milestones", "each begins at its step")
    scheduler.finish()
    if not isinstance(values, list) or not values or not all(isinstance(v, int | float) and v >= 0 for v in values):
        scheduler.wrong("learning_rates", values, "a list of learning rates")
    pieces = tuple(Piece(float(value), float(value), None, "linear") for value in values)
    return LearningRate(pieces, _rising(scheduler, milestones, len(values) - 1))


def _rising(scheduler: Section, milestones: object, n: int) -> tuple[int, ...]:
    steps = [each for each in milestones if isinstance(each, int)] if isinstance(milestones, list) else []
    if steps != milestones or len(steps) != n or steps != sorted(set(steps)) or min(steps, default=1) < 1:
        scheduler.wrong("milestones", milestones, "rising steps, one for each scheduler but the first")
    return tuple(steps)


def _checked(rate: LearningRate, section: Section) -> LearningRate:
    if not rate.peak > 0:
        raise SpecError(f"{section.place('schedulers')}: the learning rate never rises above zero")
    return rate
