"""Pages whose plots are left out, for tests that look at something else.

Of a short run Matplotlib takes four times as long to draw the page's plots as all the rest takes. The tests of pages
draw them (`tests/report`, `tests/security/test_text_stays_text.py`), and so do commands that tests start as processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def undrawn_pages() -> Iterator[None]:
    """While this lasts, the drawing of every plot is empty."""
    from wse_sim.report import svg

    def empty(draw: object, width: int, height: int, salt: str) -> str:
        return f"<svg><title>{salt}</title></svg>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "_svg", empty)
        yield


@pytest.fixture(scope="package", autouse=True)
def all_undrawn() -> Iterator[None]:
    """For a folder of such tests: its conftest imports this."""
    with undrawn_pages():
        yield
