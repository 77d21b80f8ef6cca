"""What became of each key of a configuration: understood, ignored with the reason, or assumed where it is not there."""

import json
from difflib import get_close_matches
from typing import Any, Literal, NoReturn

import msgspec

from wse_sim.errors import SpecError, choose, errors_at
from wse_sim.spec.model_zoo.reasons import Affects, reason_for
from wse_sim.spec.model_zoo.yaml_text import KeyPath, YamlDocument, dotted

_MOST_LETTERS = 48
_UNKNOWN = "not a key of the published form that wse-sim knows"


class UnderstoodKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a configuration that was understood, or one that is not there and has a default.

    Parameters
    ----------
    key :
        With the keys above it.
    value :
        As it is written, or the default.
    became :
        What it is here.
    line :
        Of the file; None where the key is not there.
    """

    key: str
    value: str
    became: str
    line: int | None


class IgnoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a configuration that changes nothing here.

    Parameters
    ----------
    key, value :
        As it is written.
    why :
        The reason.
    affects :
        Whose result would be another one if it were followed.
    line :
        Of the file; None where the key is not there.
    """

    key: str
    value: str
    why: str
    affects: Affects
    line: int | None


class Ledger:
    """Fills while a configuration is read.

    Parameters
    ----------
    file :
        Named before each key, where there are several.
    """

    def __init__(self, file: str = "") -> None:
        self.understood: list[UnderstoodKey] = []
        self.ignored: list[IgnoredKey] = []
        self.assumed: list[UnderstoodKey] = []
        self.file = file

    def key(self, path: KeyPath) -> str:
        """A key as it is noted."""
        return f"{self.file}: {dotted(path)}" if self.file else dotted(path)

    def take(self, other: "Ledger") -> None:
        """Add the entries of another file, in the order of its lines."""
        for own, more in ((self.understood, other.understood), (self.assumed, other.assumed)):
            own += sorted(more, key=lambda entry: entry.line or 0)
        self.ignored += sorted(other.ignored, key=lambda entry: entry.line or 0)

    def differences(self, of: Literal["training", "simulation"]) -> tuple[str, ...]:
        """What is asked for and not done, as sentences."""
        found = (entry for entry in self.ignored if entry.affects in (of, "both"))
        return tuple(f"{entry.key} {shortened(entry.value)}: {entry.why}" for entry in found)


REQUIRED: Any = object()


class Section:
    """One mapping of a document; each key that is taken from it is noted, and at the end what was not.

    Parameters
    ----------
    path :
        The keys that lead to it.
    """

    def __init__(self, table: dict[str, Any], path: KeyPath, document: YamlDocument, ledger: Ledger) -> None:
        self._left = {key: value for key, value in table.items() if value is not None}
        self._said = frozenset(self._left)
        self._asked: set[str] = set()
        self._nothing = [key for key, value in table.items() if value is None]
        self.path, self.document, self.ledger = path, document, ledger

    def __contains__(self, key: str) -> bool:
        return key in self._left

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that are left."""
        return tuple(self._left)

    def integer(self, key: str, became: str, default: Any = REQUIRED, *, at_least: int = 1) -> Any:
        """A whole number, which may be written as 8.0."""
        value = self._take(key, became, default)
        if value is default:
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            self.wrong(key, value, f"a whole number, at least {at_least}")
        return value

    def number(self, key: str, became: str, default: Any = REQUIRED, *, at_least: float = 0.0) -> Any:
        """A number, which may stand in quotes."""
        value = self._take(key, became, default)
        if value is default:
            return value
        try:
            number = float(value) if not isinstance(value, bool | list | dict) else float("nan")
        except ValueError:
            number = float("nan")
        if not at_least <= number < float("inf"):
            self.wrong(key, value, f"a number, at least {at_least:g}")
        return number

    def flag(self, key: str, became: str, default: Any = REQUIRED) -> Any:
        """True or false."""
        value = self._take(key, became, default)
        if value is not default and not isinstance(value, bool):
            self.wrong(key, value, "true or false")
        return value

    def word(self, key: str, became: str, default: Any = REQUIRED, *, options: tuple[str, ...] = ()) -> Any:
        """A text, one of `options` where there are any."""
        value = self._take(key, became, default)
        if value is default:
            return value
        if not isinstance(value, str):
            self.wrong(key, value, "a word")
        return self.one_of(key, value, options) if options else value

    def one_of(self, key: str, value: str, options: tuple[str, ...], what: str = "") -> str:
        """`value`, which must be one of `options`; messages call it `what`, or as its key is called."""
        with errors_at(self.place(key)):
            return choose(value, options, what or key)

    def value(self, key: str, became: str, default: Any = REQUIRED) -> Any:
        """Whatever is there."""
        return self._take(key, became, default)

    def section(self, key: str, *, needed: bool = True) -> "Section":
        """The mapping below a key; an empty one where it need not be there."""
        self._asked.add(key)
        if key not in self._left and needed:
            raise SpecError(f"{self.place()}: there is no {key}, and a configuration needs one")
        table = self._left.pop(key, {})
        if not isinstance(table, dict):
            self.wrong(key, table, "a mapping")
        return self.at(table, key)

    def at(self, table: dict[str, Any], *steps: str | int) -> "Section":
        """A mapping that these steps lead to."""
        return Section(table, (*self.path, *steps), self.document, self.ledger)

    def ignore(self, key: str, why: str, affects: Affects = "nothing") -> None:
        """Note that a key, if it is there, is not followed."""
        self._asked.add(key)
        if key in self._left:
            self.note(key, self._left.pop(key), why, affects)

    def switch(self, key: str, harmless: object, why: str, affects: Affects) -> None:
        """Note a key that is followed only where its value is `harmless`."""
        if key in self._left and self._left[key] == harmless:
            self.understand(key, self._left.pop(key), "as here")
        self.ignore(key, why, affects)

    def one_way(self, key: str, value: object, ours: object, why: str, affects: Affects) -> None:
        """Note a value that was taken, where there is one way alone here."""
        if value == ours:
            self.understand(key, value, "as here")
        else:
            self.note(key, value, why, affects)

    def note(self, key: str, value: object, why: str, affects: Affects) -> None:
        """Note that a key's value, said or by default, is followed in part at most."""
        value = value if key in (*self._said, *self._nothing) or "[" in key else f"{_written(value)} (default)"
        self.ledger.ignored.append(IgnoredKey(**self._entry(key, value), why=why, affects=affects))

    def understand(self, key: str, value: object, became: str) -> None:
        """Note what a key became, said or by default."""
        if key not in self._said:
            self.assume(key, value, became)
            return
        self.ledger.understood.append(UnderstoodKey(**self._entry(key, value), became=became))

    def ignore_all(self, why: str, affects: Affects) -> None:
        """Note that nothing that is left is followed."""
        for key in self.keys:
            self.ignore(key, why, affects)

    def wrong_block(self, right: str) -> NoReturn:
        """Refuse the mapping as a whole."""
        there = ", ".join(self.keys) or "nothing"
        raise SpecError(f"{self.place()} holds {there}, it must hold {right}")

    def finish(self) -> None:
        """Note every key that nothing has taken."""
        for key in self.keys:
            known = reason_for((*self.path, key))
            self.ignore(key, *(known or (self._unknown(key), "both")))
        for key in self._nothing:
            self.note(key, None, "says nothing", "nothing")

    def assume(self, key: str, value: object, became: str) -> None:
        """Note a default."""
        self.ledger.assumed.append(UnderstoodKey(**self._entry(key, value), became=became))

    def _entry(self, key: str, value: object) -> dict[str, Any]:
        path = (*self.path, key)
        return {"key": self.ledger.key(path), "value": _written(value), "line": self.document.lines.get(path)}

    def place(self, *steps: str | int) -> str:
        """File, line and key of what these steps lead to, for a message."""
        return self.document.place((*self.path, *steps))

    def wrong(self, key: str, value: object, right: str) -> NoReturn:
        """Refuse a value."""
        raise SpecError(f"{self.place(key)} is {_written(value)}, it must be {right}")

    def _unknown(self, key: str) -> str:
        """Why a key is not followed that nothing has asked for: perhaps it is another one, misspelt."""
        near = get_close_matches(key, sorted(self._asked - self._said), n=1)
        if not near:
            return _UNKNOWN
        meant = self.ledger.key((*self.path, near[0]))
        taken = [f", of which the default {e.value} was taken" for e in self.ledger.assumed if e.key == meant]
        return f"{_UNKNOWN}: did you mean {near[0]}{''.join(taken)}?"

    def _take(self, key: str, became: str, default: Any) -> Any:
        self._asked.add(key)
        if key not in self._left:
            if default is REQUIRED:
                raise SpecError(f"{self.place()}: there is no {key}, and a configuration needs one")
            if default is not None and became:
                self.assume(key, default, became)
            return default
        value = self._left.pop(key)
        if became:
            self.understand(key, value, became.format(value=value))
        return value


def shortened(value: str) -> str:
    """A value, or its beginning where it is long."""
    return value if len(value) <= _MOST_LETTERS else f"{value[: _MOST_LETTERS - 1]}…"


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
