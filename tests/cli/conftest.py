"""What the tests of commands share."""

from tests.undrawn import all_undrawn

__all__ = ["all_undrawn"]
