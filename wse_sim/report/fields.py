"""What a field of a result means, by name; the words are in fields.toml."""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.reading import convert, read_toml

_PLACES = {
    "simulation": ("simulation", ""),
    "breakdown": ("simulation", "breakdown."),
    "engine": ("simulation", "engine."),
    "gpu": ("GPU cluster", ""),
    "comparison": ("comparison", ""),
    "ratios": ("comparison", "ratios."),
    "ratio": ("comparison", "ratio."),
    "gpus_per_csx": ("comparison", "gpus_per_csx."),
    "iso_time": ("comparison", "iso_time."),
    "iso_loss": ("comparison", "iso_loss."),
    "loss_curves": ("comparison", "loss_curves."),
    "layouts": ("comparison", "layouts."),
    "way": ("way of a comparison", ""),
    "memory": ("way of a comparison", "memory."),
    "projection": ("loss projection", ""),
    "plan": ("plan", ""),
    "plan_row": ("configuration of a plan", ""),
    "plan_tornado": ("plan", "tornado."),
    "run_row": ("row of run.jsonl", ""),
}


class _Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    definition: str
    unit: str = ""
    formula: str = ""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One reported field.

    Parameters
    ----------
    where :
        What it is a field of.
    name :
        As in the JSON; keys of an inner object after a point.
    unit :
        "" for none.
    kind :
        `input`, `measured`, `simulated` or `projected`.
    formula :
        "" where the definition says all.
    """

    where: str
    name: str
    unit: str
    kind: str
    definition: str
    formula: str


@cache
def all_fields() -> tuple[Field, ...]:
    """Every field that a result, a comparison, a projection or a row of run.jsonl has."""
    tables = read_toml(files("wse_sim.report") / "fields.toml")
    meanings = convert(tables, dict[str, dict[str, _Meaning]], "report/fields.toml")
    return tuple(
        Field(where=where, name=prefix + name, **msgspec.structs.asdict(meaning))
        for table, (where, prefix) in _PLACES.items()
        for name, meaning in meanings[table].items()
    )


def explained(name: str) -> tuple[Field, ...]:
    """All fields called `name`; a key of an inner object also without the object's name.

    Raises
    ------
    SpecError
        When there is none; the message names the nearest one.
    """
    named = tuple(field for field in all_fields() if field.name == name)
    if not named:
        named = tuple(field for field in all_fields() if field.name.endswith(f".{name}"))
    if not named:
        near = get_close_matches(name, [field.name for field in all_fields()], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SpecError(f"unknown field {name!r}: {hint}`wse-sim explain` lists them all")
    return named
