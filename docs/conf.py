"""How the documentation is built: ``sphinx-build -W --keep-going -b html docs docs/_build/html``. Needs no network."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "mnistkit"
author = "The mnistkit maintainers"
copyright = "The mnistkit maintainers"
release = version = installed_version("mnistkit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "cli_reference"]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = f"mnistkit {release}"

myst_heading_anchors = 3

default_role = "py:obj"  # single backticks in docstrings link where there is something to link to
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
myst_enable_extensions = ["dollarmath"]
