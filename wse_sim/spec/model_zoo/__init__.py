"""Configuration files of Cerebras ModelZoo, as they are published: read, never executed.

Source: the configurations and configuration classes of Cerebras ModelZoo 2.10 (github.com/Cerebras/modelzoo).
"""

from collections.abc import Sequence

from wse_sim.spec.configuration import Configuration
from wse_sim.spec.model_zoo.joined import joined
from wse_sim.spec.model_zoo.ledger import IgnoredKey, Ledger, UnderstoodKey
from wse_sim.spec.model_zoo.reading import read_phases

__all__ = ["SUFFIXES", "IgnoredKey", "Ledger", "UnderstoodKey", "read_model_zoo"]

SUFFIXES = (".yaml", ".yml")


def read_model_zoo(paths: Sequence[str]) -> tuple[Configuration, Ledger]:
    """The run that one file describes, or several as its phases, and what became of every key.

    Raises
    ------
    SpecError
        When a file cannot be read, is in another form, or says what cannot be followed; names file, line and key.
    """
    whole, phases = Ledger(), []
    for path in paths:
        ledger = Ledger(path if len(paths) > 1 else "")
        phases += read_phases(path, ledger)
        whole.take(ledger)
    return joined(phases, whole), whole
