"""The documentation site: `make docs`. Nothing is fetched while it is built, and its pages open from disk."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from genossl import __version__  # noqa: E402

project = "genossl"
author = "The genossl developers"
copyright = author
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "from_the_code",  # _ext: tables of settings, read from the package and from config.yaml
]
exclude_patterns = ["_build", "_ext"]

html_theme = "furo"
html_title = f"genossl {version}"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_theme_options = {"top_of_page_buttons": []}  # they lead to a page's source on a forge
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 4
nb_execution_mode = "auto"  # notebooks are kept without outputs, and run as the site is built
nb_execution_timeout = 300
nb_execution_raise_on_error = True

smartquotes = False  # "--set" is two hyphens
default_role = "code"  # `x` in a docstring is code, as in Markdown
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
nitpicky = True
nitpick_ignore = [("py:class", "genossl.model.index.Index")]  # of GenomeIndex, which open_index makes
# other projects' pages are not looked up, so that the build needs no network
nitpick_ignore_regex = [(r"py:.*", r"(?!genossl\.).*")]
