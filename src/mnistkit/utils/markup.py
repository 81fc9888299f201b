"""HTML of summaries for notebooks, and what all HTML of this package needs: escaping and small PNG images.

Styles are inline, colours are inherited or readable on light and dark alike, and nothing is loaded or run: a summary
looks the same in every notebook program, also in one that strips scripts and style sheets.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

import markupsafe
from markupsafe import Markup

from mnistkit.utils.summary import Cell, Span, Summary, SummaryTable, Text, Thumbnail
from mnistkit.utils.text import duration, safe, shown

__all__ = ["STATE_COLOURS", "encode_grey", "escape", "link", "render", "state", "timeline"]

STATE_COLOURS = {
    "Queued": "#8a8a8a",
    "Preparing": "#b7791f",
    "Running": "#3b82c4",
    "Finalizing": "#9a6dd7",
    "CancelRequested": "#d1651f",
    "Completed": "#2e8b57",
    "Failed": "#d6453d",
    "Canceled": "#8a8a8a",
}
"""In CSS, by the state of a run. Each has a contrast of at least 3:1 on white and on black."""

_NO_COLOUR = "#8a8a8a"
_MAX_OPEN_ROWS = 20
_MAX_WORD_CHARS = 40
_IMAGE_WIDTH_PX = 40
_LINE = Markup("1px solid rgba(128,128,128,.35)")
_CELL = Markup("padding:.15em .8em .15em 0;vertical-align:top;border-bottom:{};overflow-wrap:{}")
_FACT = _CELL.format(_LINE, "anywhere")
_TEXT = _CELL.format(_LINE, "break-word;text-align:left")
_WORD = _CELL.format(_LINE, "normal;text-align:left;white-space:nowrap")
_NUMBER = _CELL.format(_LINE, "normal;text-align:right;white-space:nowrap")
_PLAIN = Markup("background:none;border:none")
_PRE = Markup(
    "white-space:pre-wrap;overflow-wrap:anywhere;max-height:24em;overflow:auto;margin:.2em 0;padding:.4em;"
    "border:{};background:none;color:inherit;font-family:monospace"
).format(_LINE)


def render(summary: Summary) -> str:
    """Return a summary as HTML for a notebook: one group that screen readers call by its title."""
    title = Markup("<strong>{}</strong>").format(escape(summary.title))
    parts = (
        Markup("{} &nbsp; {}").format(title, state(summary.state)) if summary.state else title,
        timeline(summary.timeline),
        _facts(summary.facts),
        _joined(map(_image, summary.images)),
        *map(_folding_table, summary.tables),
        *map(_text, summary.texts),
        escape(summary.note),
    )
    inner = _joined(Markup('<div style="margin:.3em 0">{}</div>').format(part) for part in parts if part)
    group = Markup('<div role="group" aria-label="{}" style="max-width:60em">{}</div>')
    return str(group.format(escape(summary.title), inner))


def escape(value: object) -> Markup:
    """Return a value as HTML text: ``<``, ``&``, quotes and control characters are written out.

    Args:
        value: Markup stays as it is; a float gets four significant digits; None is a dash.
    """
    return value if isinstance(value, Markup) else markupsafe.escape(safe(shown(value)))


def link(url: str) -> Markup:
    """Return a link if ``url`` is one of the web, else its text: ``javascript:`` and the like are never links."""
    text = escape(url)
    if not url.startswith(("https://", "http://")) or any(map(str.isspace, url)):
        return text
    return Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(text)


def state(word: str) -> Markup:
    """Return the word of a state with a coloured dot before it; the meaning is in the word."""
    colour = STATE_COLOURS.get(word, _NO_COLOUR)
    return Markup('<span aria-hidden="true" style="color:{}">&#9679;</span> {}').format(colour, escape(word))


def timeline(spans: Sequence[Span]) -> Markup:
    """Return a stacked bar, its parts as wide as they are long, with the same in words below."""
    if not spans:
        return Markup()
    total = sum(span.seconds for span in spans) or 1.0
    words = [f"{span.label} {duration(span.seconds)}" for span in spans]
    colours = [STATE_COLOURS.get(span.state, _NO_COLOUR) for span in spans]
    bars = _joined(
        Markup('<span style="flex:{:.4f} 1 0;min-width:3px;background:{}"></span>').format(
            max(span.seconds, 0) / total, colour
        )
        for span, colour in zip(spans, colours, strict=True)
    )
    legend = _joined(
        Markup(
            '<span style="white-space:nowrap"><span aria-hidden="true" style="color:{}">&#9679;</span> {}</span>'
        ).format(colour, escape(text))
        for text, colour in zip(words, colours, strict=True)
    )
    return Markup(
        '<div role="img" aria-label="Time line: {}" style="display:flex;gap:1px;height:.7em;max-width:40em;'
        'border-radius:.2em;overflow:hidden">{}</div>'
        '<div aria-hidden="true" style="display:flex;flex-wrap:wrap;gap:0 1.2em">{}</div>'
    ).format(escape(", ".join(words)), bars, legend)


def encode_grey(pixels: bytes, width: int, height: int) -> bytes:
    """Return an 8 bit grey PNG, as https://www.w3.org/TR/png-3/ has it: signature, IHDR, IDAT, IEND.

    Args:
        pixels: ``height * width`` bytes, row by row; 0 is black.
        width: In pixels.
        height: In pixels.
    """
    lines = b"".join(b"\0" + pixels[i * width : (i + 1) * width] for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup().join(parts)


def _facts(facts: Mapping[str, Cell]) -> Markup:
    row = Markup(
        '<tr style="{plain}"><th scope="row" style="{cell};text-align:left;font-weight:600;white-space:nowrap">{name}'
        '</th><td style="{cell};text-align:left;white-space:pre-line">{value}</td></tr>'
    )
    rows = [
        row.format(plain=_PLAIN, cell=_FACT, name=escape(name), value=link(shown(value)))
        for name, value in facts.items()
    ]
    table = Markup('<table style="border-collapse:collapse;{};margin:0">{}</table>')
    return table.format(_PLAIN, _joined(rows)) if rows else Markup()


def _folding_table(table: SummaryTable) -> Markup:
    if not table.rows:
        return Markup()
    if table.is_folded or len(table.rows) > _MAX_OPEN_ROWS:
        return _details(f"{table.title} ({len(table.rows):,})", _table(table, caption=""), is_open=False)
    return _table(table, caption=table.title)


def _table(table: SummaryTable, *, caption: str) -> Markup:
    styles = [
        _NUMBER if is_number else _WORD if _is_short(table.rows, column) else _TEXT
        for column, is_number in enumerate(table.is_numeric)
    ]
    heads = _joined(
        Markup('<th scope="col" style="{}">{}</th>').format(style, escape(heading))
        for heading, style in zip(table.headings, styles, strict=True)
    )
    rows = _joined(_row(row, styles, is_best=index == table.highlight) for index, row in enumerate(table.rows))
    title = Markup('<caption style="text-align:left;caption-side:top;color:inherit">{}</caption>')
    return Markup(
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;{plain};margin:0">{title}'
        '<thead style="{plain}"><tr style="{plain}">{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    ).format(plain=_PLAIN, title=title.format(escape(caption)) if caption else "", heads=heads, rows=rows)


def _is_short(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    """Return True if a column's texts stay in one line: names and ids, which would be broken at their hyphens."""
    return all(len(shown(row[column])) <= _MAX_WORD_CHARS for row in rows)


def _row(values: Sequence[Cell], styles: Sequence[Markup], *, is_best: bool) -> Markup:
    weight = "600" if is_best else "400"
    cells = [Markup("{};font-weight:{}").format(style, weight) for style in styles]
    first, *others = zip(cells, map(escape, values), strict=True)
    heading = Markup('<th scope="row" style="{}">{}</th>').format(*first)
    rest = _joined(Markup('<td style="{}">{}</td>').format(*cell) for cell in others)
    return Markup('<tr style="{}">{}{}</tr>').format(_PLAIN, heading, rest)


def _text(text: Text) -> Markup:
    if not text.text:
        return Markup()
    lines = Markup('<pre style="{}">{}</pre>').format(_PRE, escape(text.text))
    return _details(text.title, lines, is_open=not text.is_folded)


def _details(title: str, body: Markup, *, is_open: bool) -> Markup:
    return Markup('<details{}><summary style="cursor:pointer">{}</summary>{}</details>').format(
        Markup(" open") if is_open else "", escape(title), body
    )


def _image(image: Thumbnail) -> Markup:
    source = base64.b64encode(encode_grey(image.pixels, image.width, image.height)).decode()
    height = round(_IMAGE_WIDTH_PX * image.height / image.width) or 1
    return Markup(
        '<figure style="display:inline-block;margin:0 .6em .4em 0;text-align:center;vertical-align:top;max-width:8em">'
        '<img src="data:image/png;base64,{}" alt="" width="{}" height="{}" style="image-rendering:pixelated;'
        'display:block;margin:auto;border-radius:.15em">'
        '<figcaption style="font-size:.85em;overflow-wrap:anywhere">{}</figcaption></figure>'
    ).format(source, _IMAGE_WIDTH_PX, height, escape(image.caption))
