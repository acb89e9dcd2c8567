"""Sphinx: builds the documentation without network; ``make docs`` calls it."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "zero2ir"
author = "the zero2ir authors"
project_copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "generated"]
exclude_patterns = ["_ext", "_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []

nitpicky = True  # a reference that leads nowhere fails the build ...
nitpick_ignore_regex = [(r"py:(class|data|obj)", r".*")]  # ... but the types in signatures, most of other libraries

napoleon_use_rtype = False  # "Returns:" may hold any sentence
napoleon_use_ivar = True  # attributes stand in a list, as arguments do
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "show-inheritance": False}
add_module_names = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "zero2ir"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"source_directory": "docs/"}


def setup(app: Any) -> None:
    """Leaves out the fields of named tuples, which the list of attributes describes."""
    app.connect("autodoc-skip-member", lambda *about: True if type(about[3]).__name__ == "_tuplegetter" else None)
