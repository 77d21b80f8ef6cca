"""How Sphinx makes the site: `sphinx-build -W --keep-going -c docs . site`.

The source is the repository itself, so that a link from a page to the README, an example or a data file is the same one
on GitHub, in an editor and in the site.
"""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from wse_sim import __version__

# Ray, which autodoc imports, gives the root logger a handler of its own: notes of ours would stand in the site's build.
logging.getLogger("wse_sim").setLevel(logging.WARNING)

project = "wse-sim"
author = "The authors of wse-sim"
copyright = f"{author}, Apache-2.0"
release = version = __version__

extensions = [
    "folders",
    "mathml",
    "plain_docstrings",
    "public_names",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]

root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/README.md",
    "docs/**",
]
exclude_patterns = [".*", "dist", "runs", "site", "tests", "docs/extensions", "docs/root"]

# Pages
html_extra_path = ["root"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Docstrings are numpy's form with names in single backquotes; a record's fields are told in its own docstring.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_use_type_comments = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# Look
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["formulas.css"]
html_theme = "furo"
html_title = f"wse-sim {release}"
smartquotes = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = False
