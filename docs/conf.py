"""How the documentation is built, by ``tox -e docs``: the gallery and the notebooks run meanwhile, offline."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
sys.path.insert(0, str(DOCS / "_ext"))

for page in (DOCS / "gallery").glob("plot_*"):  # of examples that are gone
    if not (EXAMPLES / "gallery" / f"{page.name.partition('.')[0]}.py").exists():
        page.unlink()

# What runs while the site is built keeps its runs in a folder of its own, and must do without the network.
os.environ["MNISTKIT_HOME"] = home = tempfile.mkdtemp(prefix="mnistkit-docs-")
atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ["MNISTKIT_OFFLINE"] = "1"

project = "mnistkit"
author = "The mnistkit maintainers"
copyright = "The mnistkit maintainers"
release = version = installed_version("mnistkit")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.towncrier.ext",
    "api_links",
    "cli_reference",
    "doors",
    "mathml",
    "notebooks",
]
exclude_patterns = ["_build", "_ext", "gallery/*.ipynb", "gallery/*.py", "gallery/**/*.md5", "sg_execution_times.rst"]

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "mnistkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/logo.svg"
html_copy_source = False
html_theme_options = {
    "light_logo": "logo.svg",
    "dark_logo": "logo.svg",
    "light_css_variables": {
        "color-brand-primary": "#1d5fa8",
        "color-brand-content": "#1d5fa8",
        "color-brand-visited": "#5c3d99",
        "site-code-background": "#f4f6f9",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7db8f5",
        "color-brand-content": "#7db8f5",
        "color-brand-visited": "#c3a6f5",
        "site-code-background": "#22262b",
    },
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

default_role = "py:obj"  # single backticks in docstrings link where there is something to link to
add_module_names = False
maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Every reference to mnistkit's own names has to lead somewhere; other projects' pages aren't looked up.
nitpicky = True
nitpick_ignore_regex = [
    ("py:(class|data|func|meth|attr|mod)", r"(?!mnistkit\b).*"),  # types in signatures
    ("py:(obj|exc)", r"(?!mnistkit\b)[a-z_][\w.]*"),  # words in backticks: arguments, modules of others
    ("py:(obj|exc)", r"LogisticRegression|OneVsRestClassifier|ROLES|FORMATS"),
    ("py:class", r"mnistkit\.estimators\.(objectives|preconditioner)\..*"),  # parts of the solver, of no use alone
]

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 240

towncrier_draft_autoversion_mode = "draft"
towncrier_draft_include_empty = False
towncrier_draft_working_directory = str(DOCS.parent)

copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False  # sites that make their pages in the browser have none to find
linkcheck_ignore = [r"https://mirror\.example/.*"]

sphinx_gallery_conf = {
    "examples_dirs": [str(EXAMPLES / "gallery")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_\w+\.py$",
    "within_subsection_order": "FileNameSortKey",
    "ignore_repr_types": r"mnistkit\.plots|matplotlib\.figure|pathlib",  # they are shown
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "remove_config_comments": True,
    "download_all_examples": False,
    "copyfile_regex": "",
    "image_scrapers": ("matplotlib", "figures.scraper"),
    "write_computation_times": False,
}
