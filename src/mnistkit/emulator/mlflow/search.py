"""MLflow's filters and orders: its part of SQL, parsed completely or refused."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnistkit.emulator.routing import Refusal

__all__ = ["Filter", "Getter", "parse_filter", "sorted_by"]

Filter = Callable[[Any], bool]
Getter = Callable[[Any, str, str], Any]

_TOKEN_PATTERN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'])*'|"(?:[^"])*"(?!\s*(?:=|!|<|>|[iI]?[lL][iI][kK][eE]|[iI][nN]\b|[iI][sS]\b|[nN][oO][tT]\b)))
    | (?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<operator><=|>=|!=|=|<|>)
    | (?P<mark>[(),])
    | (?P<word>(?:[\w/.-]|`[^`]*`|"[^"]*")+)
    )""",
    re.VERBOSE,
)
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KINDS = {
    "attribute": "attribute",
    "attributes": "attribute",
    "attr": "attribute",
    "run": "attribute",
    "metric": "metric",
    "metrics": "metric",
    "param": "param",
    "params": "param",
    "parameter": "param",
    "parameters": "param",
    "tag": "tag",
    "tags": "tag",
    "dataset": "dataset",
    "datasets": "dataset",
}


def parse_filter(text: str, get: Getter) -> Filter:
    """Return the filter that a text describes.

    Comparisons with ``= != < <= > >= LIKE ILIKE IN``, ``NOT IN``, ``IS NULL`` and ``IS NOT NULL``, joined by ``and``.

    Args:
        text: The filter; empty for one that every item passes.
        get: Returns an item's value of a kind (``attribute``, ``metric``, ``param``, ``tag``) and a key; None for none.

    Raises:
        Refusal: 400: anything else.
    """
    tokens = _tokens(text)
    tests: list[Filter] = []
    while tokens:
        tests.append(_comparison(tokens, get, text))
        if tokens and tokens.pop(0)[1].lower() != "and":
            raise _refusal(text, "comparisons are joined by 'and'")
        if not tokens and text.strip().lower().endswith("and"):
            raise _refusal(text, "it ends with 'and'")
    return lambda item: all(test(item) for test in tests)


def sorted_by(items: Sequence[Any], orders: Sequence[str], get: Getter) -> list[Any]:
    """Return the items in the order of ``["metrics.accuracy DESC", ...]``; those without a value come last.

    Raises:
        Refusal: 400: an order can't be understood.
    """
    found = list(items)
    for order in reversed(orders):
        tokens = _tokens(order)
        direction = tokens.pop()[1].lower() if len(tokens) > 1 else "asc"
        if len(tokens) != 1 or direction not in {"asc", "desc"}:
            raise _refusal(order, "expected a field, and ASC or DESC")
        kind, key = _field(tokens[0][1], order)
        valued = [item for item in found if get(item, kind, key) is not None]
        rest = [item for item in found if get(item, kind, key) is None]
        valued.sort(key=lambda item: _sortable(get(item, kind, key)), reverse=direction == "desc")
        found = valued + rest
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, end, stripped = [], 0, text.rstrip()
    while end < len(stripped):
        found = _TOKEN_PATTERN.match(stripped, end)
        if found is None or found.lastgroup is None:
            raise _refusal(text, f"unexpected {stripped[end:].strip()[:40]!r}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        end = found.end()
    return tokens


def _comparison(tokens: list[tuple[str, str]], get: Getter, text: str) -> Filter:
    kind, key = _field(_next(tokens, text, "word"), text)
    name = _next(tokens, text).lower()
    negated = name == "not"
    if negated:
        name = _next(tokens, text).lower()
    if name == "is":
        return _null_test(tokens, text, get, kind, key)
    if name == "in":
        wanted = _list(tokens, text)
        return lambda item: (str(get(item, kind, key)) in wanted) != negated
    if negated:
        raise _refusal(text, "'not' is followed by 'in'")
    value = _value(tokens, text)
    if name in {"like", "ilike"}:
        flags = re.IGNORECASE | re.DOTALL if name == "ilike" else re.DOTALL
        pattern = re.compile(re.escape(str(value)).replace("%", ".*").replace("_", "."), flags)
        return lambda item: get(item, kind, key) is not None and bool(pattern.fullmatch(str(get(item, kind, key))))
    compare = _COMPARISONS.get(name)
    if compare is None:
        raise _refusal(text, f"{name!r} isn't an operator")
    return lambda item: _holds(compare, get(item, kind, key), value)


def _holds(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    if value is None:
        return False
    try:
        return compare(float(value), float(wanted)) if isinstance(value, (int, float)) else compare(value, str(wanted))
    except (TypeError, ValueError):
        return False


def _null_test(tokens: list[tuple[str, str]], text: str, get: Getter, kind: str, key: str) -> Filter:
    word = _next(tokens, text).lower()
    is_null = word == "null"
    if not is_null and (word != "not" or _next(tokens, text).lower() != "null"):
        raise _refusal(text, "'is' is followed by 'null' or 'not null'")
    return lambda item: (get(item, kind, key) is None) == is_null


def _list(tokens: list[tuple[str, str]], text: str) -> set[str]:
    if _next(tokens, text) != "(":
        raise _refusal(text, "'in' is followed by a list in parentheses")
    found = {str(_value(tokens, text))}
    while (mark := _next(tokens, text)) == ",":
        found.add(str(_value(tokens, text)))
    if mark != ")":
        raise _refusal(text, "a list isn't closed")
    return found


def _field(word: str, text: str) -> tuple[str, str]:
    head, dot, rest = word.partition(".")
    if dot and head.lower() in _KINDS:
        return _KINDS[head.lower()], _unquoted(rest)
    if dot and not word.startswith(("`", '"')):
        raise _refusal(text, f"{head!r} isn't attributes, metrics, params or tags")
    return "attribute", _unquoted(word)


def _value(tokens: list[tuple[str, str]], text: str) -> Any:
    if not tokens:
        raise _refusal(text, "a value is missing")
    kind, token = tokens.pop(0)
    if kind == "text":
        return token[1:-1]
    if kind == "number":
        return float(token)
    raise _refusal(text, f"{token!r} isn't a value: texts are quoted")


def _next(tokens: list[tuple[str, str]], text: str, kind: str = "") -> str:
    if not tokens or (kind and tokens[0][0] != kind):
        raise _refusal(text, "it ends too early" if not tokens else f"unexpected {tokens[0][1]!r}")
    return tokens.pop(0)[1]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "`\"'" else text


def _sortable(value: Any) -> tuple[bool, Any]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not is_number, value if is_number else str(value)


def _refusal(text: str, why: str) -> Refusal:
    return Refusal(400, f"{text!r} can't be understood: {why}.", code="InvalidQueryFilter")
