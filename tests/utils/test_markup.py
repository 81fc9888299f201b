"""HTML for notebooks: nothing that it is given becomes markup."""

from __future__ import annotations

import base64
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.utils import markup
from mnistkit.utils.markup import Markup, Segment
from mnistkit.utils.png import encode_grey
from support.pages import HOSTILE, Page


@pytest.mark.parametrize("text", HOSTILE)
def test_no_part_lets_markup_through(text: str) -> None:
    """Each part shows hostile text as text, in words, captions, attributes and links alike."""
    page = Page(
        markup.block(
            text,
            markup.dot(text, "#000"),
            markup.link(text),
            markup.link(f"https://example.org/{text}"),
            markup.facts({text: text}),
            markup.table((text,), [(text,)], caption=text),
            markup.timeline([Segment(text, 1.0, "#000")]),
            markup.details(text, text),
            markup.preformatted(text),
            markup.picture(b"\0", 1, 1, caption=text),
            label=text,
        )
    )
    page.check()
    assert page.text.count(markup.safe(text)) == 14


@given(st.text(min_size=1))
def test_any_text_comes_back_as_it_was_shown(text: str) -> None:
    """What a browser reads from the page is the text, control characters written out."""
    page = Page(markup.block(markup.preformatted(text), label=text))
    page.check()
    assert page.text == markup.safe(text)
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


def test_tables_can_be_read_out() -> None:
    """Headings say whether they are a column's or a row's; the caption is the table's; the best row stands out."""
    table = markup.table(("run", "C"), [("a", 0.5), ("b", None)], caption="2 runs", highlight=0)
    scopes = [attributes["scope"] for tag, attributes in Page(table).tags if tag == "th"]
    assert scopes == ["col", "col", "row", "row"]
    assert ">2 runs</caption>" in table
    assert table.count("font-weight:600") == 2


def test_a_time_line_is_in_words_too() -> None:
    """The bar has its parts in words as its name, the words are below it as well, and widths are shares."""
    line = markup.timeline([Segment("Queued", 1.0, "#888"), Segment("Running", 3.0, "#00f")])
    (bar,) = [attributes for _, attributes in Page(line).tags if attributes.get("role") == "img"]
    assert bar["aria-label"] == "Time line: Queued 1.0 s, Running 3.0 s"
    assert re.findall(r"flex:([\d.]+) ", line) == ["0.2500", "0.7500"]
    assert "Running 3.0 s" in Page(line).text
    assert markup.timeline([]) == ""
    assert "nan" not in markup.timeline([Segment("Queued", 0.0, "#888")])


def test_pictures_are_within_the_page() -> None:
    """A picture is a PNG of its pixels, in the page itself; its caption is text, not read out twice."""
    html = markup.picture(bytes(range(6)), 3, 2, caption="0 (12)")
    found = re.search(r'src="data:image/png;base64,([^"]+)" alt=""', html)
    assert found
    png = base64.b64decode(found[1])
    assert png[16:24] == b"\0\0\0\3\0\0\0\2"
    assert zlib.decompress(png[png.index(b"IDAT") + 4 : -16]) == b"\0\0\1\2\0\3\4\5"


def test_pictures_are_what_pillow_reads() -> None:
    """An image library reads the same pixels back."""
    image = pytest.importorskip("PIL.Image")
    import io

    data = encode_grey(bytes(range(6)), 3, 2)
    with image.open(io.BytesIO(data)) as read:
        assert (read.size, read.mode, read.tobytes()) == ((3, 2), "L", bytes(range(6)))
