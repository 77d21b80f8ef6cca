"""`.. public-names:: MODULE`: what a package offers under its own name, in the order of its `__all__`.

Names that are imported when they are asked for (a module's `__getattr__`) are found too, which automodule does not do.
"""

import importlib
import inspect
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class PublicNames(SphinxDirective):
    """Documents every function and class of a module's `__all__`; a module without one has none.

    `:elsewhere:` names those that have their entry on another page.
    """

    required_arguments = 1
    option_spec = {"elsewhere": str.split}  # noqa: RUF012 - docutils' own form

    def run(self) -> list[nodes.Node]:
        """What autodoc says of each of them."""
        name = self.arguments[0]
        module = importlib.import_module(name)
        lines: list[str] = []
        for public in getattr(module, "__all__", ()):
            what = getattr(module, public)
            if public in self.options.get("elsewhere", ()):
                continue
            if inspect.isclass(what):
                lines += [f".. autoclass:: {name}.{public}", "   :members:", ""]
            elif inspect.isroutine(what):
                lines += [f".. autofunction:: {name}.{public}", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
