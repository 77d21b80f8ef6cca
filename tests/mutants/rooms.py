"""The files that hold the formulas, and the tests that must notice when one of them changes."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOMS: Mapping[str, Mapping[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("rooms.toml").read_text(encoding="utf-8")
)
