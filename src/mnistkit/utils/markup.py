"""HTML for notebooks: small parts that escape whatever they are given.

Styles are inline, colours are inherited or readable on light and dark alike, and nothing is loaded or run: the parts
show the same in every notebook program, also in one that strips scripts and style sheets.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from mnistkit.utils.png import encode_grey
from mnistkit.utils.text import duration, number, safe

__all__ = ["Markup", "Segment", "block", "details", "dot", "escape", "facts", "link", "picture", "preformatted"]
__all__ += ["table", "timeline"]

_LINE = "1px solid rgba(128,128,128,.35)"
_CELL = f"padding:.15em .8em .15em 0;vertical-align:top;border-bottom:{_LINE};overflow-wrap:anywhere"
_PLAIN = "background:none;border:none"


class Markup(str):
    """Text that is HTML already: `escape` leaves it as it is."""

    __slots__ = ()


@frozen
class Segment:
    """One part of a time line.

    Attributes:
        label: What went on.
        seconds: How long.
        colour: In CSS; never a user's text.
    """

    label: str
    seconds: float
    colour: str


def escape(value: object) -> Markup:
    """``value`` as HTML: its text with ``<``, ``&``, quotes and control characters written out.

    Args:
        value: `Markup` stays as it is; a float gets six digits; None is a dash.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("-")
    text = number(value) if isinstance(value, float) else str(value)
    return Markup(html.escape(safe(text)))


def block(*parts: object, label: str) -> Markup:
    """Parts below each other, as a group that screen readers call ``label``; empty ones are left out."""
    inner = "".join(f'<div style="margin:.3em 0">{escape(part)}</div>' for part in parts if part)
    return Markup(f'<div role="group" aria-label="{escape(label)}" style="max-width:60em">{inner}</div>')


def dot(label: str, colour: str) -> Markup:
    """``label`` with a coloured dot before it; the meaning is in the words."""
    return Markup(f'<span aria-hidden="true" style="color:{colour}">&#9679;</span> {escape(label)}')


def link(url: str) -> Markup:
    """A link if ``url`` is one of the web, else its text: ``javascript:`` and the like are never links."""
    text = escape(url)
    if not url.startswith(("https://", "http://")):
        return text
    return Markup(f'<a href="{text}" target="_blank" rel="noopener noreferrer">{text}</a>')


def facts(items: Mapping[str, object]) -> Markup:
    """Values by name, a row each; what is None or empty is left out."""
    rows = "".join(
        f'<tr style="{_PLAIN}"><th scope="row" style="{_CELL};text-align:left;font-weight:600;white-space:nowrap">'
        f'{escape(name)}</th><td style="{_CELL};text-align:left">{escape(value)}</td></tr>'
        for name, value in items.items()
        if value is not None and value != ""
    )
    return Markup(f'<table style="border-collapse:collapse;{_PLAIN};margin:0">{rows}</table>') if rows else Markup()


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    highlight: int | None = None,
) -> Markup:
    """A table; columns with numbers are aligned to the right.

    Args:
        columns: The headings.
        rows: A value per column; see `escape`. The first names its row.
        caption: What the table shows.
        highlight: The index of the row to set off, if any.
    """
    rows = tuple(rows)
    sides = ["right" if any(_is_number(row[i]) for row in rows) else "left" for i in range(len(columns))]
    head = "".join(
        f'<th scope="col" style="{_CELL};text-align:{side}">{escape(column)}</th>'
        for column, side in zip(columns, sides, strict=True)
    )
    body = "".join(_row(row, sides, is_best=index == highlight) for index, row in enumerate(rows))
    title = f'<caption style="text-align:left;caption-side:top;color:inherit">{escape(caption)}</caption>'
    return Markup(
        f'<div style="overflow-x:auto"><table style="border-collapse:collapse;{_PLAIN};margin:0">'
        f'{title if caption else ""}<thead style="{_PLAIN}"><tr style="{_PLAIN}">{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def timeline(segments: Sequence[Segment]) -> Markup:
    """A stacked bar, its parts as wide as they took, with the same in words below."""
    if not segments:
        return Markup()
    total = sum(segment.seconds for segment in segments) or 1.0
    words = [f"{segment.label} {duration(segment.seconds)}" for segment in segments]
    bars = "".join(
        f'<span style="flex:{max(s.seconds, 0) / total:.4f} 1 0;min-width:3px;background:{s.colour}"></span>'
        for s in segments
    )
    legend = "".join(
        f'<span style="white-space:nowrap">{dot(text, segment.colour)}</span>'
        for text, segment in zip(words, segments, strict=True)
    )
    return Markup(
        f'<div role="img" aria-label="Time line: {escape(", ".join(words))}" style="display:flex;gap:1px;height:.7em;'
        f'max-width:40em;border-radius:.2em;overflow:hidden">{bars}</div>'
        f'<div aria-hidden="true" style="display:flex;flex-wrap:wrap;gap:0 1.2em">{legend}</div>'
    )


def details(summary: str, body: object, *, is_open: bool = False) -> Markup:
    """Something to unfold; nothing if ``body`` is empty."""
    inner = escape(body)
    if not inner:
        return Markup()
    opened = " open" if is_open else ""
    return Markup(f'<details{opened}><summary style="cursor:pointer">{escape(summary)}</summary>{inner}</details>')


def preformatted(text: str) -> Markup:
    """Lines as they are: a log, a traceback."""
    if not text:
        return Markup()
    return Markup(
        '<pre style="white-space:pre-wrap;overflow-wrap:anywhere;max-height:24em;overflow:auto;margin:.2em 0;'
        f'padding:.4em;border:{_LINE};background:none;color:inherit;font-family:monospace">{escape(text)}</pre>'
    )


def picture(pixels: bytes, width: int, height: int, *, caption: str) -> Markup:
    """A small grey picture with a caption below it, its pixels within the page.

    Args:
        pixels: ``height * width`` bytes, row by row, 0 is black.
        width: In pixels.
        height: In pixels.
        caption: Shown below it, and read out for it.
    """
    source = base64.b64encode(encode_grey(pixels, width, height)).decode()
    text = escape(caption)
    image = (
        f'<img src="data:image/png;base64,{source}" alt="" width="40" height="{round(40 * height / width) or 1}" '
        'style="image-rendering:pixelated;display:block;margin:auto;border-radius:.15em">'
    )
    return Markup(
        '<figure style="display:inline-block;margin:0 .6em .4em 0;text-align:center;vertical-align:top;max-width:8em">'
        f'{image}<figcaption style="font-size:.85em;overflow-wrap:anywhere">{text}</figcaption></figure>'
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _row(values: Sequence[object], sides: Sequence[str], *, is_best: bool) -> str:
    cells = []
    for column, (value, side) in enumerate(zip(values, sides, strict=True)):
        style = f"{_CELL};text-align:{side};font-weight:{'600' if is_best else '400'}"
        tag = 'th scope="row"' if column == 0 else "td"
        cells.append(f'<{tag} style="{style}">{escape(value)}</{tag[:2]}>')
    return f'<tr style="{_PLAIN}">{"".join(cells)}</tr>'
