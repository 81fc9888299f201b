"""A directive that writes the help of every ``mnistkit`` command, taken from the program itself."""  # noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

from mnistkit.cli.app import app

_WIDTH = 88


class CliReference(SphinxDirective):
    """One section per command: its name, and what ``--help`` prints."""

    def run(self) -> list[nodes.Node]:
        """The sections, those of a group's commands after the group's own."""
        sections: list[nodes.Node] = []
        for name, text in _helps("mnistkit", get_command(app)):
            section = nodes.section(ids=[nodes.make_id(name)], names=[name])
            section += nodes.title("", "", nodes.literal(name, name))
            section += nodes.literal_block(text, text, language="text")
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known."""
    app.add_directive("cli-reference", CliReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _helps(name: str, command: Any, parent: Any = None) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command,
        parent=parent,
        info_name=name,
        **{**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH},
    )
    yield context.command_path, command.get_help(context).strip() + "\n"
    for part, child in getattr(command, "commands", {}).items():
        yield from _helps(part, child, context)
