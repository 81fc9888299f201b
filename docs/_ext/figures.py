"""Shows in the gallery what a notebook would show: Figures, which pyplot knows nothing of, and reports."""  # noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

from html import escape
from pathlib import Path, PurePosixPath
from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_shown: WeakSet[Figure] = WeakSet()


def scraper(_block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The last expression of a block, if it is a Figure or the path of an HTML file; each one once."""
    value = block_vars["example_globals"].get("___")
    if isinstance(value, Path) and value.suffix == ".html" and value.exists():
        return _page(value.read_text(encoding="utf-8"))
    if not isinstance(value, Figure) or value in _shown:
        return ""
    _shown.add(value)
    path = PurePosixPath(next(block_vars["image_path_iterator"]))
    sharp = path.with_stem(f"{path.stem}_2_00x")
    value.savefig(path, dpi=100)
    value.savefig(sharp, dpi=200)
    title = value.get_suptitle() or (value.axes[0].get_title() if len(value.axes) == 1 else "")
    text: str = figure_rst([path], gallery_conf["src_dir"], title, srcsetpaths=[{0: path, 2: sharp}])
    return text


def _page(html: str) -> str:
    """A page within the page, without scripts."""
    frame = f'<iframe class="page" title="The report" sandbox srcdoc="{escape(html)}"></iframe>'
    return "\n\n.. raw:: html\n\n    " + frame.replace("\n", "\n    ") + "\n\n"
