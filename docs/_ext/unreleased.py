"""A directive for what the next version brings: the fragments in ``changelog.d``, as they wait for a release."""  # noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_KINDS = ("added", "changed", "fixed")


class Unreleased(SphinxDirective):
    """A list of fragments under each of their kinds; nothing if there are none."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        folder = Path(self.env.srcdir).parent / "changelog.d"
        self.env.note_reread()
        lines = []
        for kind in _KINDS:
            fragments = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"*.{kind}.md"))]
            if fragments:
                lines += [f"**{kind.capitalize()}**", "", *(f"- {' '.join(text.split())}" for text in fragments), ""]
        return self.parse_text_to_nodes("\n".join(lines)) if lines else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known."""
    app.add_directive("unreleased", Unreleased)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
