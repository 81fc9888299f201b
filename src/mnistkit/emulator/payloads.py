"""Parts of requests and of payloads that services share: times, pages, names, JSON patches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from mnistkit.emulator.routing import Refusal, Request

__all__ = [
    "allow_query",
    "apply_patch",
    "body_of",
    "check_name",
    "check_texts",
    "check_types",
    "flag",
    "has_all",
    "list_of",
    "now",
    "number",
    "page",
]

T = TypeVar("T")
_TYPE_NAMES = {str: "text", dict: "JSON object", list: "list", bool: "truth value"}


def now() -> str:
    """Return the time, as Azure ML's services write it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def allow_query(request: Request, *names: str) -> None:
    """Check that a request has none but these query parameters (``api-version`` goes with all).

    Raises:
        Refusal: 400, if it has another: what isn't known would be ignored.
    """
    unknown = sorted(set(request.query) - {*names, "api-version"})
    if unknown:
        raise Refusal(400, f"The emulator doesn't know the query parameters {unknown} of {request.path}.")


def body_of(request: Request, *names: str, needs: Iterable[str] = ()) -> dict[str, Any]:
    """Return the body, an object with none but these keys; all are allowed if none is named.

    Raises:
        Refusal: 400, if it isn't an object, has another key with a value, or lacks one of ``needs``.
    """
    body = request.json()
    if not isinstance(body, dict):
        raise Refusal(400, f"The body has to be a JSON object, it is {type(body).__name__}.")
    unknown = sorted(key for key in body if body[key] is not None and key not in names) if names else []
    if unknown:
        raise Refusal(400, f"The emulator doesn't know the keys {unknown} of what was sent to {request.path}.")
    missing = sorted(key for key in needs if body.get(key) in (None, ""))
    if missing:
        raise Refusal(400, f"What was sent to {request.path} lacks {missing}.")
    return body


def list_of(body: Mapping[str, Any], key: str, kind: type[T]) -> list[T]:
    """Return a list in a body, empty if it isn't there.

    Raises:
        Refusal: 400, if it isn't a list, or holds something of another kind.
    """
    found = body.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, kind) for each in found):
        raise Refusal(400, f"{key!r} has to be a list of {kind.__name__}, it is {str(found)[:80]!r}.")
    return found


def check_name(name: object, rule: re.Pattern[str], kind: str) -> str:
    """Return the name if it matches the rule.

    Raises:
        Refusal: 400, if it doesn't.
    """
    if not isinstance(name, str) or not rule.fullmatch(name):
        raise Refusal(400, f"{name!r} can't be the name of {kind}: it has to match {rule.pattern}")
    return name


def check_types(body: Mapping[str, Any], **types: type) -> None:
    """Check that these members are of these types, where they are there and not null.

    Raises:
        Refusal: 400: one isn't.
    """
    for name, kind in types.items():
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise Refusal(400, f"{name!r} has to be a {_TYPE_NAMES[kind]}, it is {body[name]!r}.")


def check_texts(body: Mapping[str, Any], *names: str) -> None:
    """Check that these members are objects whose values are texts, where they are there and not null.

    Raises:
        Refusal: 400: one isn't.
    """
    for name in names:
        values = body.get(name) or {}
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise Refusal(400, f"{name!r} has to be texts by name, it is {values!r}.")


def flag(request: Request, name: str) -> bool:
    """Return a query parameter that is true or false, and false if it isn't there.

    Raises:
        Refusal: 400, if it is something else.
    """
    text = request.query.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise Refusal(400, f"The query parameter {name} has to be true or false, it is {text!r}.")
    return text == "true"


def number(request: Request, name: str, default: int) -> int:
    """Return a query parameter that is a whole number.

    Raises:
        Refusal: 400, if it is something else, or negative.
    """
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise Refusal(400, f"The query parameter {name} has to be a number, it is {text!r}.")
    return int(text)


def page(items: Sequence[T], *, size: int, token: str) -> tuple[Sequence[T], str | None]:
    """Return ``size`` items from the token on (0: all), and the next page's token, None after the last.

    Raises:
        Refusal: 400, if the token isn't one of ours.
    """
    if token and not (token.isascii() and token.isdigit()):
        raise Refusal(400, f"{token!r} isn't a continuation token of this emulator.")
    start = int(token or 0)
    end = start + (size or len(items))
    return items[start:end], (str(end) if end < len(items) else None)


def has_all(values: Mapping[str, str] | None, wanted: str) -> bool:
    """Return True if tags or properties hold each of ``key,key=value``, as Azure's queries list them."""
    for term in filter(None, wanted.split(",")):
        key, equals, value = term.partition("=")
        if key not in (values or {}) or (equals and (values or {})[key] != value):
            return False
    return True


def apply_patch(value: dict[str, Any], operations: object, changeable: Iterable[str]) -> None:
    """Apply a JSON patch (RFC 6902: add, replace and remove), of at most one key below a member.

    Args:
        value: What is changed, in place.
        operations: The patch.
        changeable: The members that may be changed.

    Raises:
        Refusal: 400, if it isn't a patch or says anything else; ``value`` may then be half changed.
    """
    if not isinstance(operations, list):
        raise Refusal(400, "A JSON patch is a list of operations.")
    for operation in operations:
        if not isinstance(operation, dict) or operation.get("op") not in {"add", "replace", "remove"}:
            raise Refusal(400, f"The emulator knows no such operation of a JSON patch: {operation!r}.")
        path = str(operation.get("path", "")).removeprefix("/").split("/")
        member, *keys = [part.replace("~1", "/").replace("~0", "~") for part in path]
        if member not in changeable or len(keys) > 1:
            raise Refusal(400, f"{operation.get('path')!r} can't be changed here, only {sorted(changeable)} can.")
        _apply(value, member, keys, operation)


def _apply(value: dict[str, Any], member: str, keys: list[str], operation: Mapping[str, Any]) -> None:
    if not keys:
        value[member] = None if operation["op"] == "remove" else operation.get("value")
        return
    inner = value.get(member) or {}
    if not isinstance(inner, dict):
        raise Refusal(400, f"{member!r} has no keys.")
    if operation["op"] == "add":
        inner[keys[0]] = operation.get("value")
    elif keys[0] not in inner:
        raise Refusal(400, f"{member!r} has no key {keys[0]!r}.")
    elif operation["op"] == "replace":
        inner[keys[0]] = operation.get("value")
    else:
        del inner[keys[0]]
    value[member] = inner
