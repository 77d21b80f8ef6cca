"""Files that are there whole or not at all."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wse_sim.errors import FileError, SpecError


def user_cache() -> Path:
    """The folder in which this program keeps what it can make again: $XDG_CACHE_HOME/wse-sim, or ~/.cache/wse-sim."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wse-sim"


def write_atomically(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    Parameters
    ----------
    content :
        All of it, or its pieces in order.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if not isinstance(error, NotADirectoryError):
            part.unlink(missing_ok=True)
        raise FileError(f"{path}: cannot be written: {error.strerror or error}") from None


def json_text(content: Mapping[str, Any]) -> str:
    """The lines of a JSON object, as it is printed and written; what has no JSON form is our mistake and fails."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    write_atomically(path, json_text(content).encode())


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, unless it is there.

    Raises
    ------
    SpecError
        When it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"{path}: the folder cannot be made: {error.strerror}") from None
