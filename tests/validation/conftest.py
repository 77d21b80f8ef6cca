"""The evidence that the tests here share: it is worked out once."""

import pytest

from wse_sim.calibration import Evidence, evidence
from wse_sim.validation import Accuracy, accuracies


@pytest.fixture(scope="session")
def found() -> Evidence:
    return evidence()


@pytest.fixture(scope="session")
def errors(found: Evidence) -> dict[str, Accuracy]:
    return accuracies(found.rows)
