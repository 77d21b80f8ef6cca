"""A link to a folder, which GitHub shows with its README below, leads to that README's page in the site."""

import posixpath
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx


def _to_readme(app: Sphinx, doctree: nodes.document) -> None:
    for link in doctree.findall(pending_xref):
        target = link["reftarget"]
        if link.get("reftype") == "myst" and target.endswith("/"):
            here = posixpath.dirname(link["refdoc"])
            page = posixpath.normpath(posixpath.join(here, target, "README"))
            if page in app.env.found_docs:
                link["refdomain"], link["reftarget"], link["reftargetid"] = "doc", page, None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("doctree-read", _to_readme)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
