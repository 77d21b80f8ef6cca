"""Pages whose plots are put together and not drawn, for tests that look at something else.

Of a short run Matplotlib takes four times as long to draw the page's plots as all the rest takes. The tests of pages
draw them (`tests/report`, `tests/security/test_text_stays_text.py`), and so do commands that tests start as processes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def undrawn_pages() -> Iterator[None]:
    """While this lasts, every plot gets its axes and all that is to be drawn on them, and is left at that."""
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wse_sim.report import svg

    def put_together(draw: Callable[[Axes], None], width: int, height: int, salt: str) -> str:
        with rc_context(svg._STYLE):
            draw(Figure(figsize=(width / svg.POINTS_PER_INCH, height / svg.POINTS_PER_INCH)).add_subplot())
        return f"<svg><title>{salt}</title></svg>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "_svg", put_together)
        yield


@pytest.fixture(scope="package", autouse=True)
def all_undrawn() -> Iterator[None]:
    """For a folder of such tests: its conftest imports this."""
    with undrawn_pages():
        yield
