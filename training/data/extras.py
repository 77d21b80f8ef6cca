"""Libraries that read what the standard library does not: an extra of the installation."""

import importlib
from typing import Any

from wse_sim.errors import SpecError, installs


def extra(module: str, what: str) -> Any:
    """A module of an optional library.

    Parameters
    ----------
    what :
        That is read by it, for the error.

    Raises
    ------
    SpecError
        When it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise SpecError(f"{what}: {library} is not installed, which reads it: {installs(library)}") from None
