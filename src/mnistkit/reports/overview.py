"""The page of many runs: one HTML file with a table to sort and filter, curves, and charts to choose runs by.

Its script is part of the page and named by its hash in the page's content security policy, so that nothing else runs.
It writes what a run says as text, never as HTML. The charts are SVG that the script draws: a library of charts is
larger than a thousand runs, and most need a policy that allows more than one script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from mnistkit.reports.overview_data import overview_data
from mnistkit.reports.page import Tile, render_template
from mnistkit.runs.table import RunTable
from mnistkit.utils.markup import STATE_COLOURS
from mnistkit.utils.text import number

__all__ = ["overview_page", "script_text", "style_text"]

_SCRIPTS = ("charts.js", "overview.js")


def overview_page(table: RunTable, title: str = "Runs", about: str = "") -> str:
    """Return some runs as a page of HTML that stands alone.

    Args:
        table: The runs, in the order in which they are shown first.
        title: Of the page.
        about: A line below the title, such as how the runs were chosen.

    Raises:
        MissingExtraError: Jinja isn't installed.
    """
    data = overview_data(table)
    script = script_text()
    return render_template(
        "overview.html",
        title=title,
        about=about,
        tiles=_tiles(table, data),
        style=Markup(style_text()),  # noqa: S704 - files of ours
        script=Markup(script),  # noqa: S704 - files of ours
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=embedded_json({**data, "colours": STATE_COLOURS}),
    )


def embedded_json(value: Any) -> Markup:
    """Return a value as JSON that can stand in a ``script`` element: it has no ``<``, ``>`` or ``&``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing in it can end the element


@cache
def script_text() -> str:
    """Return the page's script."""
    return "\n".join(_static(name) for name in _SCRIPTS)


@cache
def style_text() -> str:
    """Return the page's style: that of all reports, and its own."""
    package = files("mnistkit.reports")
    return package.joinpath("style.css").read_text(encoding="utf-8") + _static("overview.css")


def _static(name: str) -> str:
    return files("mnistkit.reports").joinpath("static").joinpath(name).read_text(encoding="utf-8")


def _tiles(table: RunTable, data: dict[str, Any]) -> list[Tile]:
    rows = table.rows
    states = Counter(row.state for row in rows)
    tiles = [Tile("Runs", f"{len(rows):,}", ", ".join(f"{n} {state}" for state, n in states.items()))]
    metric = data["metric"]
    measured = [row for row in rows if row.state == "Completed" and math.isfinite(row.metrics.get(metric, math.nan))]
    best = max(measured, key=lambda row: row.metrics[metric], default=None)
    if best is not None:
        tiles.append(Tile(f"Highest {metric}", number(best.metrics[metric]), f"run {best.id}"))
    for name, values in (("Experiments", {row.experiment for row in rows}), ("Datasets", {row.data for row in rows})):
        shown = sorted(values)[:3]
        tiles.append(Tile(name, str(len(values)), ", ".join(shown) + (", ..." if len(values) > len(shown) else "")))
    return tiles
