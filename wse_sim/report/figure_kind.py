"""What a figure's file is to be, which a command can ask without loading what draws."""

from pathlib import Path
from typing import Literal

from wse_sim.errors import SpecError


def figure_kind(path: Path) -> Literal["svg", "png"]:
    """What the name of a figure's file asks for; a command calls it before it computes for long.

    Raises
    ------
    SpecError
        When the name ends in neither .svg nor .png.
    """
    match path.suffix.lower():
        case ".svg":
            return "svg"
        case ".png":
            return "png"
        case suffix:
            raise SpecError(f"{path}: a figure is an .svg or a .png, not {suffix or 'a file without a suffix'!r}")
