"""Records as TOML."""

from collections.abc import Mapping
from typing import Any

import msgspec
import tomli_w


def toml_text(record: msgspec.Struct | Mapping[str, Any]) -> str:
    """The record as TOML, every default written out; TOML has no null, so what is None is left out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(record)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value
