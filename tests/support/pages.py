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
        self.feed(str(text))
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


REPORT_TAGS = TAGS | {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "nav",
    "main",
    "section",
    "footer",
    "dl",
    "dt",
}
REPORT_TAGS |= {"dd", "h1", "h2", "h3", "p", "ul", "ol", "li", "code", "b", "small"}


class Report(Page):
    """A whole page: what is void in it has no end tag."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "meta":
            self._open.pop()

    def check(self) -> None:
        """Fail if anything runs, loads or leads elsewhere, or is hard to reach for some."""
        for tag, attributes in self.tags:
            assert tag in REPORT_TAGS
            assert not [name for name in attributes if name.startswith("on")]
            assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
            assert "url(" not in (attributes.get("style") or "")
        links = [attributes["href"] for tag, attributes in self.tags if tag == "a" and "href" in attributes]
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert {link.removeprefix("#") for link in links if link and link.startswith("#")} <= set(ids)
        assert all(link.startswith(("#", "https://", "http://")) for link in links if link)
        assert len(ids) == len(set(ids))

    def levels(self) -> list[int]:
        """The levels of the headings, in order."""
        return [int(tag[1]) for tag, _ in self.tags if tag in {"h1", "h2", "h3"}]

    def attributes(self, tag: str, name: str) -> list[str]:
        """An attribute of each element of a kind."""
        return [attributes.get(name) or "" for each, attributes in self.tags if each == tag]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</pre></td></table><iframe src=//example.org>",
    "<!-- ]]> --> &lt;b&gt; &#60;b&#62;",
    "javascript:alert(1)",
    "\x00<b\x1b>\u202e\ud800",
]
