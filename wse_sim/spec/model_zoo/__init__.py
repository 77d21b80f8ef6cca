"""Configuration files of Cerebras ModelZoo, as they are published: read, never executed.

Source: the configurations and configuration classes of Cerebras ModelZoo 2.10 (github.com/Cerebras/modelzoo).
"""

from collections.abc import Sequence

from wse_sim.spec.configuration import Configuration
from wse_sim.spec.model_zoo.joined import joined
from wse_sim.spec.model_zoo.ledger import Ignored, Ledger, Understood
from wse_sim.spec.model_zoo.reading import read_phases

__all__ = ["SUFFIXES", "Ignored", "Ledger", "Understood", "read_model_zoo"]

SUFFIXES = (".yaml", ".yml")


def read_model_zoo(paths: Sequence[str]) -> tuple[Configuration, Ledger]:
    """The run that one file describes, or several as its phases, and what became of every key.

    Raises
    ------
    SpecError
        When a file cannot be read, is in another form, or says what cannot be followed; names file, line and key.
    """
    ledger = Ledger()
    phases = []
    for path in paths:
        ledger.file = path if len(paths) > 1 else ""
        phases += read_phases(path, ledger)
    return joined(phases, ledger), ledger
