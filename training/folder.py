"""Folders that results go into."""

from pathlib import Path

from wse_sim.errors import SpecError


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
