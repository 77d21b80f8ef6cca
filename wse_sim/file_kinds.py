"""What stands where a file should: a pipe would be waited for, and a device has no end."""

import os
import stat
from pathlib import Path

from wse_sim.errors import SpecError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def require_opened_file(number: int, where: str) -> None:
    """Make sure that a descriptor is that of a file; else it is closed.

    Parameters
    ----------
    where :
        What the message begins with.

    Raises
    ------
    SpecError
        When it is of something else.
    """
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise _wrong(mode, where)


def require_file_or_folder(path: Path, where: str) -> None:
    """Make sure that what is at a path, if anything is, is a file or a folder; nothing is opened.

    Parameters
    ----------
    where :
        What the message begins with.

    Raises
    ------
    SpecError
        When it is something else.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # whoever opens it says why that cannot be
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise _wrong(mode, where)


def _wrong(mode: int, where: str) -> SpecError:
    kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")
    return SpecError(f"{where}: it is {kind}, and a file would be right")
