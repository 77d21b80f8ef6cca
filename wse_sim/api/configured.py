"""What describes a run in place of parameters, a file or a run that goes on, and the parameters given beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from wse_sim.spec.configuration import Configuration
    from wse_sim.spec.load import ModelLike


@dataclass(frozen=True, slots=True)
class Configured:
    """Files that describe a run.

    Parameters
    ----------
    files :
        Of Cerebras ModelZoo, or one of our own.
    beside :
        Names of the parameters that were said, not filled in.
    """

    files: tuple[str, ...]
    beside: frozenset[str]

    def read(self, model: "ModelLike | None") -> "Configuration":
        """What the files say.

        Raises
        ------
        SpecError
            When a file is wrong, or a model is named too.
        """
        from wse_sim.spec.read_configuration import read_configuration

        if model is not None:
            raise SpecError(
                "--model and --config are both given: a configuration has a model of its own, leave one out"
            )
        return read_configuration(self.files).configuration

    def said(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the parameters that were said."""
        return {name: value for name, value in given.items() if name in self.beside}


@dataclass(frozen=True, slots=True)
class Resumed:
    """A folder to go on with.

    Parameters
    ----------
    beside :
        Names of the parameters that were said, not filled in.
    """

    folder: Path
    beside: frozenset[str]
