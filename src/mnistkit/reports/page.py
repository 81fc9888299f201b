"""The parts of a report's page. Like `mnistkit.utils.markup`, they escape whatever they are given.

The page stands alone: its style is in it, pictures are in it, there is no script, and a content security policy forbids
whatever else there might be.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from attrs import frozen

from mnistkit.utils.markup import Markup, escape

__all__ = [
    "Section",
    "Tile",
    "document",
    "escape",
    "facts",
    "figure",
    "listed",
    "missing",
    "note",
    "paragraph",
    "preformatted",
    "subheading",
    "table",
    "thumbnails",
    "tiles",
    "unfolded",
]

_SHORT = 28
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@frozen
class Section:
    """A part of a report with a heading.

    Attributes:
        title: The heading.
        parts: Below each other; empty ones are left out.
    """

    title: str
    parts: Sequence[object]


@frozen
class Tile:
    """A number to be seen first.

    Attributes:
        label: What it is.
        value: The number, with its unit.
        detail: In small, below it.
    """

    label: str
    value: str
    detail: str = ""


def document(title: str, lead: Sequence[object], sections: Sequence[Section], footer: object) -> Markup:
    """The whole page.

    Args:
        title: The page's only ``h1``, and its name in the browser.
        lead: Parts below the title.
        sections: Each with an ``h2``, and an entry in the list of contents.
        footer: Where it comes from.
    """
    style = files("mnistkit.reports").joinpath("style.css").read_text(encoding="utf-8")
    entries = "".join(f'<li><a href="#s{i}">{escape(s.title)}</a></li>' for i, s in enumerate(sections, start=1))
    main = "".join(
        f'<section aria-labelledby="s{i}"><h2 id="s{i}">{escape(s.title)}</h2>{_joined(s.parts)}</section>'
        for i, s in enumerate(sections, start=1)
    )
    return Markup(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f"<header><h1>{escape(title)}</h1>{_joined(lead)}</header>\n"
        f'<nav aria-label="Contents"><ol>{entries}</ol></nav>\n'
        f'<main id="main" tabindex="-1">{main}</main>\n<footer>{escape(footer)}</footer>\n</body>\n</html>\n'
    )


def tiles(items: Iterable[Tile]) -> Markup:
    """Numbers beside each other."""
    inner = "".join(
        f"<div><dt>{escape(each.label)}</dt><dd><strong>{escape(each.value)}</strong>"
        f"{f'<span>{escape(each.detail)}</span>' if each.detail else ''}</dd></div>"
        for each in items
    )
    return Markup(f'<dl class="tiles">{inner}</dl>') if inner else Markup()


def facts(items: Mapping[str, object]) -> Markup:
    """Values by name; what is None or empty is left out."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in items.items()
        if value is not None and value != ""
    )
    return Markup(f'<dl class="facts">{rows}</dl>') if rows else Markup()


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str,
    highlight: int | None = None,
    shades: Sequence[Sequence[float]] | None = None,
    row_heading: str = "",
) -> Markup:
    """A table whose first column names its rows; where it is too wide for the screen it scrolls on its own.

    Args:
        columns: The headings; those of numbers end in ``#``.
        rows: A value per column; see `mnistkit.utils.escape`.
        caption: What it shows.
        highlight: The index of the row to set off, if any.
        shades: Per row and column but the first how strongly to shade it, 0 to 1.
        row_heading: What the rows' names are, where a column's heading can't say it.
    """
    rows = tuple(rows)
    if not rows:
        return Markup()
    numeric = [column.endswith("#") for column in columns]
    names = [column.removesuffix("#") for column in columns]
    names[0] = row_heading or names[0]
    head = "".join(f"<th scope=col{_number(n)}>{escape(name)}</th>" for name, n in zip(names, numeric, strict=True))
    body = []
    for index, row in enumerate(rows):
        strengths = shades[index] if shades else ()
        name = escape(row[0])
        kind = " class=n" if numeric[0] else " class=k" if len(name) <= _SHORT else ""
        cells = [f"<th scope=row{kind}>{name}</th>"]
        for column, value in enumerate(row[1:], start=1):
            strength = round(strengths[column - 1], 2) if strengths else 0
            shade = f' style="--shade:{strength}"' if strength else ""
            cells.append(f"<td{_number(numeric[column])}{shade}>{escape(value)}</td>")
        body.append(f"<tr{' class=best' if index == highlight else ''}>{''.join(cells)}</tr>")
    return Markup(
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f"<table{' class=matrix' if shades else ''}><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def figure(png: bytes, size: tuple[int, int], *, alt: str, caption: str) -> Markup:
    """A picture, at most as wide as the page.

    Args:
        png: The file.
        size: Width and height at which it is shown, in CSS pixels.
        alt: What is seen on it, for who can't see it.
        caption: Below it.
    """
    return Markup(
        f'<figure class="plot"><img src="{_data(png)}" width="{size[0]}" height="{size[1]}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def thumbnails(
    items: Iterable[tuple[bytes, object, str]], *, label: str, inverted: bool = False, wide: bool = False
) -> Markup:
    """Small images beside each other, each with its caption.

    Args:
        items: The PNG file, the caption, and what is seen, of each.
        label: What they are together.
        inverted: Whether they are set off in red, as wrong answers are.
        wide: Whether captions are long: then fewer stand in a row.
    """
    inner = "".join(
        f'<li><figure><img src="{_data(png)}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure></li>"
        for png, caption, alt in items
    )
    kind = f"thumbs{' wrong' if inverted else ''}{' wide' if wide else ''}"
    return Markup(f'<ul class="{kind}" aria-label="{escape(label)}">{inner}</ul>') if inner else Markup()


def subheading(text: str) -> Markup:
    """An ``h3``."""
    return Markup(f"<h3>{escape(text)}</h3>")


def paragraph(text: object) -> Markup:
    """Prose."""
    return Markup(f"<p>{escape(text)}</p>")


def note(text: object) -> Markup:
    """Something to be aware of."""
    return Markup(f'<p class="note"><strong>Note:</strong> {escape(text)}</p>')


def missing(what: str, why: object) -> Markup:
    """What isn't in the report, and why."""
    reason = str(why)
    return Markup(
        f'<p class="note"><strong>Missing: {escape(what)}.</strong> {escape(reason[:1].upper() + reason[1:])}</p>'
    )


def preformatted(text: str, label: str, *, is_program: bool = False) -> Markup:
    """Lines as they are; long ones are broken, but not those of a program."""
    if not text.strip():
        return Markup()
    kind = " class=program" if is_program else ""
    return Markup(
        f'<pre{kind} tabindex="0" role="region" aria-label="{escape(label)}"><code>{escape(text)}</code></pre>'
    )


def listed(items: Iterable[object], *, ordered: bool = False) -> Markup:
    """A list."""
    tag = "ol" if ordered else "ul"
    inner = "".join(f"<li>{escape(item)}</li>" for item in items)
    return Markup(f"<{tag}>{inner}</{tag}>") if inner else Markup()


def unfolded(summary: str, body: object) -> Markup:
    """Something to unfold; nothing if there is nothing in it. In print it is unfolded."""
    return Markup(f"<details><summary>{escape(summary)}</summary>{escape(body)}</details>") if body else Markup()


def _joined(parts: Sequence[object]) -> str:
    return "".join(escape(part) for part in parts if part)


def _number(is_number: bool) -> str:  # noqa: FBT001 - of a column
    return " class=n" if is_number else ""


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
