"""What the tests of commands share."""

from collections.abc import Iterator

import pytest

from tests.undrawn import undrawn_pages


@pytest.fixture(scope="package", autouse=True)
def undrawn() -> Iterator[None]:
    with undrawn_pages():
        yield
