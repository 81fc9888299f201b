"""HTML for notebooks: nothing that it is given becomes markup."""

from __future__ import annotations

import base64
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from mnistkit.errors import NotFoundError
from mnistkit.utils import markup
from mnistkit.utils.summary import Span, Summary, SummaryTable, Text, Thumbnail
from mnistkit.utils.text import safe
from support.pages import HOSTILE, Page


def table(*rows: tuple[object, ...], columns: tuple[str, ...] = ("run", "C#"), **rest: object) -> Summary:
    """A summary of a table alone."""
    made = SummaryTable(title="Runs", columns=columns, rows=rows, **rest)  # type: ignore[arg-type]
    return Summary(title="Sweep", tables=(made,))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_part_lets_markup_through(text: str) -> None:
    """Each part shows hostile text as text, in words, captions, attributes and links alike."""
    page = Page(
        markup.render(
            Summary(
                title=text,
                state=text,
                facts={text: text, "url": f"https://example.org/{text}"},
                timeline=(Span(text, 1.0, text),),
                images=(Thumbnail(caption=text, pixels=b"\0", width=1, height=1),),
                tables=(
                    SummaryTable(title=text, columns=(text,), rows=[(text,)]),
                    SummaryTable(title=text, columns=(text,), rows=[(text,)], is_folded=True),
                ),
                texts=(Text(title=text, text=text),),
                note=text,
            )
        )
    )
    page.check()
    assert page.text.count(safe(text)) == 16


@given(st.text(min_size=1))
def test_any_text_comes_back_as_it_was_shown(text: str) -> None:
    """What a browser reads from the page is the text, control characters written out."""
    page = Page(markup.render(Summary(title=text, texts=(Text(title=text, text=text),))))
    page.check()
    assert page.text == 3 * safe(text)
    page.text.encode()


def test_markup_is_left_alone() -> None:
    """Parts can be put into parts without being escaped twice; other values are shown as people write them."""
    assert markup.escape(Markup("<b>x</b>")) == "<b>x</b>"
    assert [markup.escape(v) for v in (None, 0.1 + 0.2, 7, "&")] == ["-", "0.3", "7", "&amp;"]


def test_only_the_web_is_linked() -> None:
    """Web addresses are links that tell the other side nothing; folders and scripts are text."""
    assert markup.link("https://example.org/a?b&c").startswith('<a href="https://example.org/a?b&amp;c"')
    assert "noreferrer" in markup.link("https://example.org")
    assert markup.link("/home/me/runs") == "/home/me/runs"
    assert "<a" not in markup.link("javascript:alert(1)//https://")


def test_what_is_empty_is_left_out() -> None:
    """A title alone is all there is of a summary whose other parts are empty."""
    empty = Summary(title="Run", facts={"a": None, "b": ""}, tables=table().tables, texts=(Text(title="Log", text=""),))
    page = Page(markup.render(empty))
    assert page.text == "Run"
    assert {tag for tag, _ in page.tags} == {"div", "strong"}


def test_tables_can_be_read_out() -> None:
    """Headings say whether they are a column's or a row's; the caption is the table's; the best row stands out."""
    html = markup.render(table(("a", 0.5), ("b", None), highlight=0))
    scopes = [attributes["scope"] for tag, attributes in Page(html).tags if tag == "th"]
    assert scopes == ["col", "col", "row", "row"]
    assert ">Runs</caption>" in html
    assert html.count("font-weight:600") == 2
    assert ">C</th>" in html


def test_a_heading_keeps_its_own_hash() -> None:
    """Only the last hash of a heading is the mark of numbers."""
    (made,) = table(("a", 1), columns=("run", "F##")).tables
    assert (made.headings, made.is_numeric) == (("run", "F#"), (False, True))


def test_a_table_is_found_by_its_title() -> None:
    """A table that isn't there is an error that lists those that are."""
    summary = table(("a", 1))
    assert summary.table("Runs") is summary.tables[0]
    with pytest.raises(NotFoundError, match="Runs"):
        summary.table("Metrics")


def test_a_time_line_is_in_words_too() -> None:
    """The bar has its parts in words as its name, the words are below it as well, and widths are shares."""
    line = markup.timeline([Span("Queued", 1.0, "Queued"), Span("Running", 3.0, "Running")])
    (bar,) = [attributes for _, attributes in Page(line).tags if attributes.get("role") == "img"]
    assert bar["aria-label"] == "Time line: Queued 1.0 s, Running 3.0 s"
    assert re.findall(r"flex:([\d.]+) ", line) == ["0.2500", "0.7500"]
    assert "Running 3.0 s" in Page(line).text
    assert markup.timeline([]) == ""
    assert "nan" not in markup.timeline([Span("Queued", 0.0, "Queued")])


def test_images_are_within_the_page() -> None:
    """An image is a PNG of its pixels, in the page itself; its caption is text, not read out twice."""
    image = Thumbnail(caption="0 (12)", pixels=bytes(range(6)), width=3, height=2)
    html = markup.render(Summary(title="Dataset", images=(image,)))
    found = re.search(r'src="data:image/png;base64,([^"]+)" alt=""', html)
    assert found
    png = base64.b64decode(found[1])
    assert png[16:24] == b"\0\0\0\3\0\0\0\2"
    assert zlib.decompress(png[png.index(b"IDAT") + 4 : -16]) == b"\0\0\1\2\0\3\4\5"


def test_images_are_what_pillow_reads() -> None:
    """An image library reads the same pixels back."""
    image = pytest.importorskip("PIL.Image")
    import io

    data = markup.encode_grey(bytes(range(6)), 3, 2)
    with image.open(io.BytesIO(data)) as read:
        assert (read.size, read.mode, read.tobytes()) == ((3, 2), "L", bytes(range(6)))
