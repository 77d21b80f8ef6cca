"""Bars in docstrings and in commands' help are absolute values there, not substitutions of reStructuredText."""

import re
from typing import Any

from sphinx.application import Sphinx

_QUOTED_OR_BAR = re.compile(r"(`+[^`]*`+)|\|")


def _with_plain_bars(lines: list[str]) -> None:
    lines[:] = [_QUOTED_OR_BAR.sub(lambda found: found[1] or r"\|", line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx_click")
    app.connect("autodoc-process-docstring", lambda app, what, name, of, options, lines: _with_plain_bars(lines))
    for part in ("description", "options"):
        app.connect(f"sphinx-click-process-{part}", lambda app, context, lines: _with_plain_bars(lines))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
