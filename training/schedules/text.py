"""Schedules as users write them: a name, or a name with parameters, `wsd(cooldown=0.1,shape=1-sqrt)`.

A list is written in brackets, `step(at=[0.5,0.8],by=0.3)`; the pieces of `sequential` are schedules themselves.
"""

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec

from training.schedules.kinds import (
    Constant,
    Cooldown,
    Cosine,
    Cyclic,
    Exponential,
    Linear,
    Piecewise,
    Place,
    Polynomial,
    Power,
    Segments,
    Share,
    Step,
    Wsd,
    WsdS,
)
from wse_sim.errors import SpecError, choose
from wse_sim.spec.written import plain, split_at_commas


class Sequential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Schedules one after the other: the k-th runs from x = until[k-1] (0 for the first) to until[k].

    Each piece sees its own span as if it were the whole: in it, x runs from 0 to 1. Its values stay fractions of the
    peak. A piece that counts steps (inverse_sqrt, power, cooldown) counts those of the run.
    """

    pieces: tuple[str, ...] = ("constant", "linear")
    until: tuple[Share, ...] = (0.5, 1.0)

    def __post_init__(self) -> None:
        if len(self.pieces) != len(self.until):
            raise SpecError(f"{len(self.pieces)} pieces for {len(self.until)} fractions in until")
        if self.until[-1:] != (1.0,) or list(self.until) != sorted(set(self.until)):
            raise SpecError("until must rise and end with 1")
        msgspec.structs.force_setattr(self, "pieces", tuple(map(canonical, self.pieces)))

    def factor(self, at: Place) -> float:
        k = next((k for k, end in enumerate(self.until) if at.x < end), len(self.until) - 1)
        span = at.last - at.first
        first = _whole(at.first + span * (self.until[k - 1] if k else 0.0))
        last = _whole(at.first + span * self.until[k])
        return parse_schedule(self.pieces[k]).factor(at._replace(first=first, last=last))


Schedule: TypeAlias = (
    Constant
    | Linear
    | Cosine
    | Polynomial
    | Exponential
    | Power
    | Wsd
    | WsdS
    | Step
    | Piecewise
    | Cyclic
    | Sequential
    | Cooldown
    | Segments
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A name: what kind of schedule it stands for, in one line, and the parameters that differ from the kind's own."""

    kind: type[Schedule]
    line: str
    preset: Mapping[str, Any]


def _whole(step: float) -> float:
    """The step, a whole one where rounding alone keeps it from that: a piece may jump within a hair of its ends."""
    return float(round(step)) if abs(step - round(step)) < _SAME_STEP else step


def _entry(kind: type[Schedule], line: str, **preset: Any) -> _Entry:
    return _Entry(kind=kind, line=line, preset=preset)


# The name with which a kind is written by preference comes first among its names.
_NAMES: Mapping[str, _Entry] = {
    "constant": _entry(Constant, "flat at the peak"),
    "linear": _entry(Linear, "straight to zero (D2Z)"),
    "linear_10x": _entry(Linear, "straight to a tenth of the peak", floor=0.1),
    "cosine": _entry(Cosine, "half a cosine to zero"),
    "cosine_to_zero": _entry(Cosine, "the same as cosine"),
    "cosine_10x": _entry(Cosine, "half a cosine to a tenth of the peak", floor=0.1),
    "wsd": _entry(Wsd, "warm-up, stable, decay: flat, then straight to zero over the last fifth"),
    "wsd_s": _entry(WsdS, "flat with several cooldowns, each followed by the peak again (WSD-S)"),
    "power": _entry(Power, "falls as step^-exponent after warm-up (PowerLR)"),
    "inverse_sqrt": _entry(Power, "falls as 1/sqrt(step) after warm-up", exponent=0.5),
    "polynomial": _entry(Polynomial, "(1 - x)^degree, to zero"),
    "exponential": _entry(Exponential, "the same ratio from step to step, to a tenth of the peak"),
    "step": _entry(Step, "flat, then a tenth of the peak for the last tenth"),
    # DeepSeek LLM, arXiv 2401.02954, Section 2.3: 31.6 % of the peak after 80 % of the tokens, 10 % after 90 %.
    "multistep": _entry(Step, "drops at several fractions of the run", at=(0.8, 0.9), by=0.316),
    "piecewise": _entry(Piecewise, "through given values at given fractions of the run"),
    "cyclic": _entry(Cyclic, "decays to zero again and again, with a short rise before each decay"),
    "sequential": _entry(Sequential, "other schedules one after the other"),
    "cooldown": _entry(Cooldown, "flat until a given step, then to zero: branches off a stable run"),
    "segments": _entry(Segments, "given pieces in steps, stretched with the run (Cerebras ModelZoo)"),
}
SCHEDULES: Mapping[str, str] = {name: entry.line for name, entry in _NAMES.items()}

_SAME_STEP = 1e-9
_TEXT = re.compile(r"\s*(?P<name>[^()\[\],=\s]+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)


@lru_cache(maxsize=1024)
def parse_schedule(text: str) -> Schedule:
    """The schedule that `text` writes; two texts that mean the same give equal schedules.

    Raises
    ------
    SpecError
        For an unknown name or parameter, or a value out of range; the message says what the schedule takes.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise SpecError(f"schedule {text!r}: write a name, or a name with parameters such as wsd(cooldown=0.1)")
    name = choose(match["name"], SCHEDULES, "schedule")
    given = _arguments(match["arguments"] or "", name)
    try:
        return msgspec.convert({**_NAMES[name].preset, **given}, _NAMES[name].kind)
    except (msgspec.ValidationError, SpecError) as error:
        raise SpecError(f"schedule {text!r}: {_explained(str(error))}; it takes {signature(name)}") from None


def split_schedules(text: str) -> list[str]:
    """The schedules of a list with commas between them; commas inside parentheses or brackets do not count.

    Raises
    ------
    SpecError
        When a parenthesis or bracket has no partner.
    """
    return split_at_commas(text, "schedule")


def canonical(text: str) -> str:
    """The shortest way to write the same schedule: parameters that have their default are left out.

    Raises
    ------
    SpecError
        As `parse_schedule`.
    """
    schedule = parse_schedule(text)
    ways = [_written(name, schedule) for name, entry in _NAMES.items() if entry.kind is type(schedule)]
    return min(ways, key=lambda way: (way.count("="), "=" in way))  # the first of equals


def signature(name: str) -> str:
    """A schedule with all its parameters and their defaults: `wsd(cooldown=0.2,shape=linear,floor=0)`."""
    entry = _NAMES[name]
    fields = msgspec.structs.fields(entry.kind)
    words = [f.name if f.required else f"{f.name}={_value(entry.preset.get(f.name, f.default))}" for f in fields]
    return f"{name}({','.join(words)})" if words else name


def _arguments(text: str, name: str) -> dict[str, Any]:
    kind = _NAMES[name].kind
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    given: dict[str, Any] = {}
    for part in split_schedules(text) if text.strip() else []:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise SpecError(
                f"schedule {name!r}: {part!r} is not of the form parameter=value; it takes {signature(name)}"
            )
        choose(key, types, f"parameter of {name}")
        if key in given:
            raise SpecError(f"schedule {name!r}: {key} is given twice")
        form = typing.get_origin(types[key])
        if form is Literal:
            choose(value, typing.get_args(types[key]), f"{key} of {name}")
        given[key] = _items(value) if form is tuple else _number_or_word(value)
    return given


def _items(text: str) -> list[float | str]:
    """The items of `[a,b]`; of a bare `a`, that one."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return [_number_or_word(item) for item in split_schedules(inner)]


def _number_or_word(text: str) -> float | str:
    try:
        number = float(plain(text))
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _written(name: str, schedule: Schedule) -> str:
    preset = _NAMES[name].preset
    words = []
    for field in msgspec.structs.fields(schedule):
        value = getattr(schedule, field.name)
        if field.required or value != preset.get(field.name, field.default):
            words.append(f"{field.name}={_value(value)}")
    return f"{name}({','.join(words)})" if words else name


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(map(_value, value))}]"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _explained(message: str) -> str:
    """msgspec's message with the parameter first, without its notation."""
    said, _, path = message.partition(" - at ")
    said = said.replace("`", "").replace("Object missing required field", "there is no")
    return f"{path.strip('`').removeprefix('$.')}: {said}" if path else said
