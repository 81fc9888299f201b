"""Brings the example notebooks to the site, where they run on data that needs no network."""  # noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from sphinx.application import Sphinx

DATA = "digits"


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the notebooks before Sphinx looks for pages."""
    app.connect("builder-inited", bring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def bring(app: Sphinx) -> None:
    """Copy ``examples/notebooks`` to ``docs/notebooks``, with other data."""
    source = Path(app.srcdir).parent / "examples" / "notebooks"
    target = Path(app.srcdir) / "notebooks"
    target.mkdir(exist_ok=True)
    for old in target.glob("*.ipynb"):
        old.unlink()
    for path in sorted(source.glob("*.ipynb")):
        notebook = with_data(nbformat.read(path, as_version=4), DATA)
        nbformat.write(notebook, target / path.name)


def with_data(notebook: nbformat.NotebookNode, data: str) -> nbformat.NotebookNode:
    """The notebook with another uri in its cell tagged ``parameters``."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = f'DATA = "{data}"'
    return notebook
