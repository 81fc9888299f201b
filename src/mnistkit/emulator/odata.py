"""Filters, orders and pages of run history: a part of OData, parsed completely or refused."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from attrs import frozen

from mnistkit.emulator.routing import Refusal

__all__ = ["Fields", "Filter", "order", "page", "parse", "time_of"]

Filter = Callable[[Mapping[str, Any]], bool]

_MAX_DEPTH = 50
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TOKEN_PATTERN = re.compile(
    r"""\s*(?:
      (?P<mark>[()])
    | "(?P<double>(?:[^"]|"")*)"
    | '(?P<single>(?:[^']|'')*)'
    | (?P<time>\d{4}-\d\d-\d\d[ ]\d\d:\d\d:\d\d\S*?(?=[\s()]|$))
    | (?P<word>[^\s()"']+)
    )""",
    re.VERBOSE,
)


@frozen
class Fields:
    """The fields that filters and orders may name.

    Attributes:
        plain: Each field's key in a record, by its name in lower case.
        times: Which of those keys hold times.
        maps: Keys that hold objects, by their name in lower case: ``Tags`` in ``Tags/stage``.
    """

    plain: Mapping[str, str]
    times: frozenset[str]
    maps: Mapping[str, str]


def parse(text: object, fields: Fields) -> Filter:
    """Return the filter that a text describes.

    ``eq ne gt ge lt le``, ``and or not``, parentheses, ``null``, quoted and bare values, fields and ``Map/key``. Where
    an object has no such key every comparison is false, also with null, so that ``Tags/x ne null or Tags/x eq null``
    finds what has x.

    Raises:
        Refusal: 400: anything else.
    """
    if not isinstance(text, str):
        raise Refusal(400, f"A filter has to be a text, not {type(text).__name__}.", code="InvalidQueryFilter")
    return _Parser(text, fields).whole()


def order(values: Sequence[dict[str, Any]], text: object, fields: Fields) -> list[dict[str, Any]]:
    """Return the values in the order ``Field asc|desc[, ...]``; the sort is stable, null comes first.

    Raises:
        Refusal: 400: an unknown field or direction.
    """
    if not isinstance(text, str):
        raise Refusal(400, f"An order has to be a text, not {type(text).__name__}.")
    found = list(values)
    for part in reversed(text.split(",")):
        name, _, direction = part.strip().partition(" ")
        if direction.strip().lower() not in {"", "asc", "desc"}:
            raise Refusal(400, f"The order {text!r} can't be understood: expected 'Field asc' or 'Field desc'.")
        get = _getter(name, fields)
        key = _sort_key(get)
        found.sort(key=key, reverse=direction.strip().lower() == "desc")
    return found


def page(
    values: Sequence[Mapping[str, Any]], key: str, top: object, token: str | None, *, most: int = 1000
) -> dict[str, Any]:
    """Return one page of values, as the services send it.

    Args:
        values: All of them, in order.
        key: What tells them apart.
        top: How many at most.
        token: Where the last page ended: its ``continuationToken``.
        most: How many there are on a page at most, whatever is asked for.

    Raises:
        Refusal: 400: ``top`` isn't a positive number, or the token isn't one that was handed out.
    """
    start = 0
    if token:
        start = 1 + next((number for number, value in enumerate(values) if value[key] == token), -1)
        if not start:
            raise Refusal(400, f"The continuation token {token!r} leads nowhere.")
    try:
        size = most if top is None else min(int(str(top)), most)
    except ValueError:
        size = 0
    if size < 1:
        raise Refusal(400, f"'top' is {top!r}: expected a positive number.")
    found = values[start : start + size]
    more = start + size < len(values)
    return {"value": list(found), "continuationToken": found[-1][key] if more else None, "nextLink": None}


class _Parser:
    def __init__(self, text: str, fields: Fields) -> None:
        self._text, self._fields, self._depth = text, fields, 0
        self._tokens: list[tuple[str, str]] = []
        end, stripped = 0, text.rstrip()
        while end < len(stripped):
            found = _TOKEN_PATTERN.match(stripped, end)
            if found is None or found.lastgroup is None:
                raise self._refusal(f"unexpected {stripped[end:].strip()[:40]!r}")
            kind, value = found.lastgroup, found[found.lastgroup]
            if kind in {"double", "single"}:
                quote = '"' if kind == "double" else "'"
                kind, value = "text", value.replace(quote * 2, quote)
            self._tokens.append(("text" if kind == "time" else kind, value))
            end = found.end()

    def whole(self) -> Filter:
        found = self._any()
        if self._tokens:
            raise self._refusal(f"unexpected {self._tokens[0][1]!r}")
        return found

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def _all(self) -> Filter:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._refusal("it is nested too deeply")
        try:
            if self._takes("not"):
                inner = self._one()
                return lambda record: not inner(record)
            if self._tokens and self._tokens[0] == ("mark", "("):
                self._tokens.pop(0)
                inner = self._any()
                if not self._tokens or self._tokens.pop(0) != ("mark", ")"):
                    raise self._refusal("a parenthesis isn't closed")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Filter:
        words = [self._next("a field")]
        while self._tokens and self._tokens[0][0] == "word" and self._tokens[0][1].lower() not in _COMPARISONS:
            words.append(self._next("an operator"))  # keys with spaces come unquoted
        kind, name = words[0][0], " ".join(value for _, value in words)
        if kind != "word":
            raise self._refusal(f"{name!r} isn't a field")
        compare = _COMPARISONS.get(self._next("an operator")[1].lower())
        if compare is None:
            raise self._refusal(f"{name!r} isn't followed by one of {', '.join(_COMPARISONS)}")
        kind, text = self._next("a value")
        if kind == "mark":
            raise self._refusal(f"{name!r} is compared with nothing")
        wanted = None if kind == "word" and text.lower() == "null" else text
        get = _getter(name, self._fields)
        is_time = self._fields.plain.get(name.lower()) in self._fields.times
        if is_time and wanted is not None and time_of(wanted) is None:
            raise self._refusal(f"{wanted!r} isn't a time")
        return _compared(get, compare, wanted)

    def _takes(self, word: str) -> bool:
        if self._tokens and self._tokens[0][0] == "word" and self._tokens[0][1].lower() == word:
            self._tokens.pop(0)
            return True
        return False

    def _next(self, expected: str) -> tuple[str, str]:
        if not self._tokens:
            raise self._refusal(f"it ends where {expected} is expected")
        return self._tokens.pop(0)

    def _refusal(self, why: str) -> Refusal:
        return Refusal(400, f"The filter {self._text!r} can't be understood: {why}.", code="InvalidQueryFilter")


def _compared(get: Callable[[Mapping[str, Any]], Any], compare: Callable[[Any, Any], bool], wanted: Any) -> Filter:
    is_order = compare not in {operator.eq, operator.ne}

    def fits(record: Mapping[str, Any]) -> bool:
        try:
            value = get(record)
        except KeyError:
            return False
        if value is None or wanted is None:
            return not is_order and compare(value, wanted)
        try:
            return compare(value, _alike(value, wanted))
        except (TypeError, ValueError):
            return compare is operator.ne

    return fits


def _alike(value: Any, text: str) -> Any:
    if isinstance(value, bool):
        return text.lower() == "true"
    if isinstance(value, (int, float)):
        return float(text)
    if isinstance(value, datetime):
        return time_of(text)
    return text


def _getter(name: str, fields: Fields) -> Callable[[Mapping[str, Any]], Any]:
    lower = name.lower()
    if lower in fields.plain:
        where = fields.plain[lower]
        if where in fields.times:
            return lambda record: time_of(record.get(where) or "")
        return lambda record: record.get(where)
    for head, inner in fields.maps.items():
        if lower.startswith(f"{head}/") and len(name) > len(head) + 1:
            key = name[len(head) + 1 :]
            return lambda record: (record.get(inner) or {})[key]
    known = ", ".join([*fields.plain, *(f"{each}/..." for each in fields.maps)])
    raise Refusal(400, f"{name!r} isn't a field that can be asked about: {known}.", code="InvalidQueryFilter")


def _sort_key(get: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], tuple[bool, str, Any]]:
    def key(record: Mapping[str, Any]) -> tuple[bool, str, Any]:
        try:
            value = get(record)
        except KeyError:
            value = None
        kind = "number" if isinstance(value, (int, float)) else type(value).__name__
        return value is not None, kind, value if value is not None else 0

    return key


@lru_cache(maxsize=1 << 16)  # lists of many runs are sorted by their times again and again
def time_of(text: str) -> datetime | None:
    """Return the time in a text, in UTC; None if it holds none."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?)?(Z|[+-]\d\d:\d\d)?", text.strip())
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    micro = (fraction or "0")[:6].ljust(6, "0")
    try:
        value = datetime.fromisoformat(
            f"{day}T{clock or '00:00:00'}.{micro}{'+00:00' if zone in {None, 'Z'} else zone}"
        )
    except ValueError:
        return None
    return value.astimezone(timezone.utc)
