"""What the tests of the Python interface share."""

from tests.undrawn import all_undrawn

__all__ = ["all_undrawn"]
