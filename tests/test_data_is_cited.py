"""Every number in wse_sim/data says where it comes from."""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

DATA = Path(str(files("wse_sim") / "data"))
KINDS = {"published", "derived", "calibrated", "assumed"}


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def holds_number(value: object) -> bool:
    return any(map(holds_number, value)) if isinstance(value, list) else is_number(value)


def uncited(content: dict[str, Any], path: str = "") -> Iterator[str]:
    """The keys of the numbers that do not sit directly in a table with a source and a known kind."""
    is_cited = bool(str(content.get("source", "")).strip()) and content.get("kind") in KINDS
    for key, value in content.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from uncited(value, here)
        elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            for index, entry in enumerate(value):
                yield from uncited(entry, f"{here}[{index}]")
        elif holds_number(value) and not is_cited:
            yield here


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.toml")), ids=lambda path: str(path.relative_to(DATA)))
def test_every_number_is_cited(path: Path) -> None:
    assert list(uncited(tomllib.loads(path.read_text(encoding="utf-8")))) == []


def test_there_is_data_to_check() -> None:
    assert len(list(DATA.rglob("*.toml"))) >= 10


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = 1", ["a"]),
        ("[t]\nvalue = 1.5\nsource = 'x'", ["t.value"]),
        ("[t]\nvalue = 1.5\nsource = ' '\nkind = 'published'", ["t.value"]),
        ("[t]\nvalue = 1.5\nsource = 'x'\nkind = 'guessed'", ["t.value"]),
        ("[t]\nsource = 'x'\nkind = 'derived'\nvalue = 2\n[t.inner]\nvalue = 3", ["t.inner.value"]),
        ("[[row]]\nid = 'a'\nvalues = [1, 2]", ["row[0].values"]),
        ("[[row]]\nsource = 'x'\nkind = 'assumed'\nvalues = [1, 2]\nname = 'n'\nis_open = true", []),
    ],
)
def test_the_checker_finds_numbers_without_source_or_kind(text: str, found: list[str]) -> None:
    assert list(uncited(tomllib.loads(text))) == found
