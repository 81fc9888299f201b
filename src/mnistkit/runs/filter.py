"""Filters of runs: a small language of comparisons, parsed by recursive descent and never evaluated as code.

::

    filter      = conjunction { "or" conjunction } ;
    conjunction = condition { "and" condition } ;
    condition   = "not" condition | "(" filter ")" | comparison ;
    comparison  = name ( "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
                | name "contains" text
                | name [ "not" ] "in" "(" value { "," value } ")"
                | name "is" [ "not" ] "none" ;
    name        = part { "." part } ;   part = letters, digits and _ | "`" any text "`" ;
    value       = number | text | "true" | "false" ;
    text        = "'" any characters but ' "'" | '"' any characters but " '"' ;

``accuracy > 0.92 and data == 'mnist' and params.C <= 1``. A comparison with a value that a run doesn't have is false,
so ``not (accuracy > 0.9)`` is true for a run without an accuracy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NoReturn

from attrs import frozen

from mnistkit.errors import UsageError
from mnistkit.runs.columns import Columns
from mnistkit.runs.conditions import Condition, Value, all_of, any_of, compared, missing, negated, one_of
from mnistkit.runs.row import RunRow

__all__ = ["RunFilter", "parse_filter"]

_MAX_CHARS = 10_000
_MAX_DEPTH = 50
_MAX_SHOWN_CHARS = 60

_TOKEN_PATTERN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"""
    r"""|(?P<name>(?:[^\W\d]\w*|`[^`]+`)(?:\.(?:\w+|`[^`]+`))*)"""
    r"""|(?P<text>'[^']*'|"[^"]*")"""
    r"""|(?P<sign>==|!=|<=|>=|=|<|>|\(|\)|,))"""
)
_WORDS = {"and", "or", "not", "in", "is", "none", "contains", "true", "false"}


@frozen(repr=False)
class RunFilter:
    """A filter of runs.

    Attributes:
        text: As it was written.
    """

    text: str
    _node: Condition

    def apply(self, rows: Iterable[RunRow], columns: Columns) -> list[RunRow]:
        """Return the rows that match, in their order.

        Args:
            rows: Some runs.
            columns: Those of all runs that there are.

        Raises:
            UnknownNameError: No run has a value of that name; lists the names that there are.
            UsageError: A value is compared with one of another kind.
        """
        matches = self._node(columns)
        return [row for row in rows if matches(row)]

    def __repr__(self) -> str:
        return f"RunFilter({self.text!r})"


def parse_filter(text: str) -> RunFilter:
    """Return the filter of a text such as ``accuracy > 0.92 and data == 'mnist'``; see the grammar above.

    Raises:
        UsageError: It isn't one; says where, and what is expected there.
    """
    return RunFilter(text, _Parser(text).parse())


@frozen
class _Token:
    kind: str
    text: str
    start: int


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > _MAX_CHARS:
            raise UsageError(f"The filter has {len(text)} characters: at most {_MAX_CHARS} are read.")
        self._text = text
        self._tokens = list(self._split())
        self._position = 0
        self._depth = 0

    def parse(self) -> Condition:
        node = self._filter()
        if self._next.kind != "end":
            self._fail("expected 'and', 'or' or the end")
        return node

    def _split(self) -> Iterable[_Token]:
        position, end = 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN_PATTERN.match(self._text, position)
            if match is None:
                start = end - len(self._text[position:end].lstrip())
                is_open = self._text[start] in "'\"`"
                self._fail_at(start, f"expected {'the closing quote' if is_open else 'a name, a value or an operator'}")
            kind, found = str(match.lastgroup), match[str(match.lastgroup)]
            word = found.lower()
            yield (
                _Token("word", word, match.start(kind))
                if kind == "name" and word in _WORDS
                else _Token(kind, found, match.start(kind))
            )
            position = match.end()
        yield _Token("end", "", len(self._text))

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self, *texts: str) -> bool:
        """Step over the next token if it is one of these signs or words."""
        found = self._next.kind in {"sign", "word"} and self._next.text in texts
        self._position += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._fail(f"expected {sign!r}")

    def _fail(self, what: str) -> NoReturn:
        self._fail_at(self._next.start, what)

    def _fail_at(self, start: int, what: str) -> NoReturn:
        rest = self._text[start : start + _MAX_SHOWN_CHARS]
        found = f"found {rest!r}" if rest.strip() else "the text ends"
        raise UsageError(
            f"The filter can't be read at character {start + 1}: {what}, but {found}. "
            "Write it as: accuracy > 0.92 and data == 'mnist' and params.C <= 1"
        )

    def _filter(self) -> Condition:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else any_of(parts)

    def _conjunction(self) -> Condition:
        parts = [self._condition()]
        while self._take("and"):
            parts.append(self._condition())
        return parts[0] if len(parts) == 1 else all_of(parts)

    def _condition(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(f"expected at most {_MAX_DEPTH} levels of 'not' and parentheses")
        if self._take("not"):
            node = negated(self._condition())
        elif self._take("("):
            node = self._filter()
            self._expect(")")
        else:
            node = self._comparison()
        self._depth -= 1
        return node

    def _comparison(self) -> Condition:
        token = self._next
        if token.kind != "name":
            self._fail("expected a name, such as accuracy or params.C")
        self._position += 1
        name = token.text.replace("`", "")
        if self._take("is"):
            is_negated = self._take("not")
            if not self._take("none"):
                self._fail("expected 'none'")
            return missing(name, is_negated=is_negated)
        is_negated = self._take("not")
        if self._take("in"):
            node = one_of(name, self._list())
            return negated(node) if is_negated else node
        if is_negated:
            self._fail("expected 'in'")
        sign = self._next.text
        if not self._take("==", "=", "!=", "<", "<=", ">", ">=", "contains"):
            self._fail(f"expected an operator after {name!r}")
        return compared(name, "==" if sign == "=" else sign, self._value())

    def _list(self) -> list[Value]:
        self._expect("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> Value:
        token = self._next
        if self._take("true", "false"):
            return token.text == "true"
        if token.kind == "text":
            self._position += 1
            return token.text[1:-1]
        if token.kind != "number" or not math.isfinite(float(token.text)):
            self._fail("expected a number, a text in quotes, true or false")
        self._position += 1
        return float(token.text)
