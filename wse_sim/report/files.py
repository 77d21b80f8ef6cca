"""Files written in one piece or not at all."""

import os
from pathlib import Path

from wse_sim.errors import SpecError


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`; a reader sees the old content or the new, never half of it.

    Raises
    ------
    SpecError
        When the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SpecError(f"{path}: cannot be written: {error.strerror or error}") from None
