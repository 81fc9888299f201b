"""Reads HTML as a browser would, and knows hostile text."""

from __future__ import annotations

from html.parser import HTMLParser

TAGS = {"div", "span", "table", "caption", "thead", "tbody", "tr", "th", "td", "a", "details", "summary", "pre"}
TAGS |= {"figure", "figcaption", "img", "strong"}
VOID = {"img"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, attributes and text; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def check(self) -> None:
        """Fail if anything runs, loads, or isn't one of our elements."""
        for tag, attributes in self.tags:
            assert tag in TAGS
            assert not [name for name in attributes if name.startswith("on")]
            assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
            assert (attributes.get("href") or "https://").startswith(("https://", "http://"))
            assert "url(" not in (attributes.get("style") or "")


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</pre></td></table><iframe src=//example.org>",
    "<!-- ]]> --> &lt;b&gt; &#60;b&#62;",
    "javascript:alert(1)",
    "\x00<b\x1b>\u202e\ud800",
]
