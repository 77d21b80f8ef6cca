"""TOML and JSON files in, checked structs out: every mistake becomes a SpecError with file and key."""

import json
import logging
import re
import tomllib
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar

import msgspec

from wse_sim.errors import SpecError
from wse_sim.files import read_bytes

T = TypeVar("T")

_log = logging.getLogger(__name__)

_MOST_BYTES = {"TOML": 1 << 20, "JSON": 64 << 20}
_DEEPEST = 32  # words of a TOML key, for each of which all those before it are looked up
_WORD = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')\s*"""
_DEEP_KEY = re.compile(rf"(?:^|[\[{{,])\s*(?:{_WORD}\.\s*){{{_DEEPEST}}}", re.MULTILINE)
_HALF_A_LETTER = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")  # of UTF-16, in JSON
LONGEST_WHOLE = 64  # bits, with a sign or without
_FEW_DIGITS = 18  # of numbers that are never longer
_NAMES = {"name", "_name_or_path"}

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")
_PATH_IN_MESSAGE = re.compile(r" - at `(?P<path>[^`]*)`$")
_PATH_STEP = re.compile(r"\.(?P<key>[^.\[\]]+)|(?P<item>\[[^\]]*\])")


def read_toml(path: Traversable | str) -> dict[str, Any]:
    """The content of the TOML file at `path`.

    Raises
    ------
    SpecError
        When it cannot be read, is not UTF-8 or is not TOML.
    """
    return dict(_read(path, _of_toml, "TOML"))


def read_json(path: Traversable | str) -> dict[str, Any]:
    """The content of the JSON file at `path`, which must hold one object.

    Raises
    ------
    SpecError
        When it cannot be read, is not UTF-8, is not JSON or holds something other than an object.
    """
    content = _read(path, _of_json, "JSON")
    if not isinstance(content, dict):
        raise SpecError(f"{path}: holds a {type(content).__name__}, it must hold one JSON object")
    return content


def read_lines(path: Path, type: type[T]) -> list[T]:
    """The records of a file that has one in each line, as JSON; a last line without an end was cut off and is left out.

    Raises
    ------
    SpecError
        When it cannot be read, or a line is no such record; the message says which.
    """
    return records_of(read_bytes(path).split(b"\n")[:-1], type, path)


def records_of(lines: Iterable[bytes], type: type[T], path: Path) -> list[T]:
    """The records in lines of JSON of a file; SpecError where one is none."""
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(msgspec.json.decode(line, type=type))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SpecError(f"{path}: line {number} cannot be read: {error}") from None
    return records


def convert(obj: object, type: type[T], where: str) -> T:
    """`obj` (what a TOML or JSON file said) as a `type`, checked.

    Parameters
    ----------
    where :
        The file that `obj` came from, for the message.

    Raises
    ------
    SpecError
        When a key is unknown or missing or a value is wrong: names the file, the key and the nearest right key.
    """
    try:
        return msgspec.convert(obj, type, strict=True)
    except msgspec.ValidationError as error:
        raise SpecError(f"{where}: {_explained(str(error), type)}") from None


@contextmanager
def as_written(what: object) -> Iterator[None]:
    """What is done here takes files for what a command of ours left; where they are not, a SpecError says so.

    Parameters
    ----------
    what :
        The file or folder.
    """
    try:
        yield
    except SpecError as error:
        if str(what) not in str(error):
            error.args = (f"{what}: {error}",)
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError, RecursionError) as error:
        said = f"{type(error).__name__}: {error}"
        raise SpecError(f"{what}: is not as a command left it ({said}); the command would make it anew") from error


def text_of(content: bytes, path: object, language: str) -> str:
    """The text in a file of some language, without the byte order mark that spreadsheets and editors may put first.

    Raises
    ------
    SpecError
        When it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not UTF-8 text (byte {error.start}), so it cannot be {language}") from None


def _read(path: Traversable | str, parse: Callable[[str], Any], language: str) -> Any:
    content = read_bytes(Path(path) if isinstance(path, str) else path, most_bytes=_MOST_BYTES[language])
    text = text_of(content, path, language)
    _log.info("read %s", path)
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: is not {language}: {error}") from None


def _of_json(text: str) -> Any:
    content = json.loads(text, parse_int=_whole, object_pairs_hook=_each_once)
    if found := _HALF_A_LETTER.search(text):
        try:
            json.dumps(content, ensure_ascii=False).encode()  # halves that follow one another make a letter
        except UnicodeEncodeError:
            raise ValueError(f"a text has half of a letter, such as {found[0]}") from None
    return content


def _of_toml(text: str) -> dict[str, Any]:
    if found := _DEEP_KEY.search(text):
        raise ValueError(f"a key has more than {_DEEPEST} words (at line {text.count(chr(10), 0, found.end()) + 1})")
    content = tomllib.loads(text)
    _require_meant(content)
    return content


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"it has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    _require_one_line(content)
    return content


def _require_one_line(table: dict[str, Any]) -> None:
    """Raises ValueError where a name would show as several lines of what is printed."""
    for key in _NAMES & table.keys():
        if isinstance(table[key], str) and "\n" in table[key]:
            raise ValueError(f"{key} is {table[key]!r}, and a name has one line")


def _require_meant(value: object) -> None:
    """Raises ValueError where a whole number has more bits, or a text a character, than any that is meant."""
    if isinstance(value, dict):
        _require_one_line(value)
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _require_meant(item)
    elif isinstance(value, str) and "\0" in value:
        raise ValueError(f"the text {value!r} has a NUL character: it would be right without")
    elif isinstance(value, int) and value.bit_length() > LONGEST_WHOLE:
        raise ValueError(f"a whole number has {value.bit_length()} bits, at most {LONGEST_WHOLE} would be right")


def _whole(text: str) -> int:
    value = int(text)
    if len(text) > _FEW_DIGITS:
        _require_meant(value)
    return value


def _explained(message: str, wanted: Any) -> str:
    """msgspec's message with the key in our words, and the nearest right key for an unknown one."""
    at = _PATH_IN_MESSAGE.search(message)
    path = at["path"].removeprefix("$").removeprefix(".") if at else ""
    text = _PATH_IN_MESSAGE.sub("", message)
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown is None:
        return f"key {path!r}: {text}" if path else text
    known = _keys_at(wanted, at["path"] if at else "$")
    near = get_close_matches(unknown["key"], known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    key = f"{path}.{unknown['key']}" if path else unknown["key"]
    return f"unknown key {key!r}: {hint}known are {', '.join(known)}"


def _keys_at(wanted: Any, path: str) -> list[str]:
    """The keys of the struct that `path`, in msgspec's notation, leads to within `wanted`."""
    here = _without_none(wanted)
    for step in _PATH_STEP.finditer(path):
        if step["item"]:
            arguments = [argument for argument in typing.get_args(here) if argument is not Ellipsis]
            here = arguments[-1] if arguments else None
        else:
            here = _field_types(here).get(step["key"])
        here = _without_none(here)
    return list(_field_types(here))


def _field_types(struct: Any) -> dict[str, Any]:
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return {}
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def _without_none(wanted: Any) -> Any:
    """`X` of `X | None`, anything else as it is."""
    if isinstance(wanted, UnionType) or typing.get_origin(wanted) is typing.Union:
        return next(option for option in typing.get_args(wanted) if option is not NoneType)
    return wanted
