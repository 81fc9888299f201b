"""What the services' answers have in common."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.payloads import allow_query, apply_patch, body_of, flag, has_all, number, page
from mnistkit.emulator.routing import Refusal, Request


def request(body: bytes = b"", **query: str) -> Request:
    """A request with a body and a query."""
    return Request(method="POST", host="localhost", path="/it", query=query, body=body)


def test_unknown_query_parameters_are_refused() -> None:
    """A query parameter that a service doesn't know would be ignored, so it is refused, by its name."""
    allow_query(request(top="1", **{"api-version": "2"}), "top")
    with pytest.raises(Refusal, match="orderby"):
        allow_query(request(orderby="x"), "top")


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"[1]", "object"), (b"{", "JSON"), (b'{"a": 1, "b": 2}', r"\['b'\]"), (b'{"a": null}', r"lacks \['a'\]")],
)
def test_bodies_are_checked(body: bytes, message: str) -> None:
    """A body has to be an object with the needed keys and no unknown ones; null is no value."""
    assert body_of(request(b'{"a": 1, "b": null}'), "a", needs=["a"]) == {"a": 1, "b": None}
    with pytest.raises(Refusal, match=message) as caught:
        body_of(request(body), "a", needs=["a"])
    assert caught.value.status == 400


def test_flags_and_numbers() -> None:
    """Query parameters that aren't what they should be are refused, not taken for their default."""
    assert flag(request(x="True"), "x")
    assert not flag(request(), "x")
    assert number(request(n="12"), "n", 3) == 12
    assert number(request(), "n", 3) == 3
    for name, value, check in (("x", "yes", flag), ("n", "-1", lambda one, name: number(one, name, 3))):
        with pytest.raises(Refusal):
            check(request(**{name: value}), name)


def test_pages() -> None:
    """Pages follow each other by their tokens until the last, which has none."""
    seen: list[int] = []
    token: str | None = ""
    while token is not None:
        items, token = page(range(7), size=3, token=token)
        seen += items
        assert len(items) <= 3
    assert seen == list(range(7))
    with pytest.raises(Refusal, match="token"):
        page(range(7), size=3, token="../../x")


def test_tags_in_queries() -> None:
    """A query for tags names keys, with values or without."""
    tags = {"stage": "dev", "team": "a=b"}
    assert has_all(tags, "")
    assert has_all(tags, "stage,team=a=b")
    assert not has_all(tags, "stage=prod")
    assert not has_all(None, "stage")


def test_patches() -> None:
    """A JSON patch adds, replaces and removes members and their keys."""
    value: dict[str, Any] = {"tags": {"a": "1", "b/c": "2"}, "text": "old"}
    patch = [
        {"op": "add", "path": "/tags/d", "value": "3"},
        {"op": "remove", "path": "/tags/b~1c"},
        {"op": "replace", "path": "/tags/a", "value": "4"},
        {"op": "replace", "path": "/text", "value": "new"},
    ]
    apply_patch(value, patch, ["tags", "text"])
    assert value == {"tags": {"a": "4", "d": "3"}, "text": "new"}


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "add"},
        [{"op": "move", "from": "/tags", "path": "/text"}],
        [{"op": "add", "path": "/id", "value": "x"}],
        [{"op": "add", "path": "/tags/a/b", "value": "x"}],
        [{"op": "remove", "path": "/tags/nothing"}],
        [{"op": "replace", "path": "/tags/nothing", "value": ""}],
        [{"op": "add", "path": "/text/a", "value": "x"}],
        ["add"],
    ],
)
def test_other_patches_are_refused(patch: object) -> None:
    """What isn't such a patch, or is of other members, is refused."""
    with pytest.raises(Refusal) as caught:
        apply_patch({"tags": {}, "text": "old"}, patch, ["tags", "text"])
    assert caught.value.status == 400
