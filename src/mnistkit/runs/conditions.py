"""The conditions of a filter of runs, bound to the columns that there are before they test a row."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mnistkit.errors import UnknownNameError, UsageError
from mnistkit.jobs.parameters import Scalar
from mnistkit.runs.columns import Column, Columns, as_number, is_missing
from mnistkit.runs.record import RunState
from mnistkit.runs.row import RunRow

__all__ = ["Condition", "Predicate", "Value", "all_of", "any_of", "compared", "missing", "negated", "one_of"]

Predicate = Callable[[RunRow], bool]
"""The test of a row."""

Condition = Callable[[Columns], Predicate]
"""A part of a filter: given the columns that there are, it returns the test of a row, or raises."""

Value = str | float | bool
"""A value in a filter."""

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_STATES = {state.value.casefold(): state.value for state in RunState}


def any_of(parts: Sequence[Condition]) -> Condition:
    """Return the condition that one of these holds."""

    def bind(columns: Columns) -> Predicate:
        tests = [part(columns) for part in parts]
        return lambda row: any(test(row) for test in tests)

    return bind


def all_of(parts: Sequence[Condition]) -> Condition:
    """Return the condition that all of these hold."""

    def bind(columns: Columns) -> Predicate:
        tests = [part(columns) for part in parts]
        return lambda row: all(test(row) for test in tests)

    return bind


def negated(part: Condition) -> Condition:
    """Return the condition that another one doesn't hold."""

    def bind(columns: Columns) -> Predicate:
        test = part(columns)
        return lambda row: not test(row)

    return bind


def missing(name: str, *, is_negated: bool) -> Condition:
    """Return the condition that a run has no value of a name, or that it has one."""

    def bind(columns: Columns) -> Predicate:
        get = columns.find(name).get
        return lambda row: is_missing(get(row)) != is_negated

    return bind


def one_of(name: str, values: Sequence[Value]) -> Condition:
    """Return the condition that a value is one of these."""
    return any_of([compared(name, "==", value) for value in values])


def compared(name: str, sign: str, value: Value) -> Condition:
    """Return the condition that a value compares with another; one that is missing compares with nothing."""

    def bind(columns: Columns) -> Predicate:
        column = columns.find(name)
        wanted = _checked(column, sign, value)
        get, test = column.get, _test(column, sign, wanted)

        def matches(row: RunRow) -> bool:
            found = get(row)
            return not is_missing(found) and test(found)

        return matches

    return bind


def _checked(column: Column, sign: str, value: Value) -> Value:
    """Return a value as the column's are kept.

    Raises:
        UsageError: It is of another kind.
    """
    if sign == "contains":
        if not isinstance(value, str):
            raise UsageError(f"{column.name} contains {value!r}: write a text in quotes.")
        return value.casefold()
    if column.kind == "time":
        return _time(column.name, value)
    if column.kind in {"number", "duration"} and (isinstance(value, (bool, str))):
        unit = " of seconds" if column.kind == "duration" else ""
        raise UsageError(f"{column.name} is a number{unit}, and can't be compared with {value!r:.80}.")
    if column.kind == "text" and not isinstance(value, str):
        raise UsageError(f"{column.name} is text: write what it is compared with in quotes, as {column.name} == 'a'.")
    if column.name == "state":
        state = _STATES.get(str(value).casefold())
        if state is None:
            raise UnknownNameError(f"There is no state {value!r:.80}; there are {', '.join(_STATES.values())}.")
        return state
    if isinstance(value, bool) and sign in _ORDERS:
        raise UsageError(f"{column.name} {sign} {str(value).lower()}: only == and != compare with true and false.")
    return value


def _test(column: Column, sign: str, wanted: Value) -> Callable[[Scalar], bool]:
    """Return the test of a value that is there."""
    if sign == "contains":
        return lambda found: str(wanted) in str(found).casefold()
    if sign == "!=":
        is_equal = _test(column, "==", wanted)
        return lambda found: not is_equal(found)
    compare: Callable[[Any, Any], bool] = _ORDERS.get(sign, operator.eq)
    if isinstance(wanted, bool):
        return lambda found: found is wanted
    if isinstance(wanted, str):
        return lambda found: isinstance(found, str) and compare(found, wanted)

    def test(found: Scalar) -> bool:
        number = as_number(found)
        return number is not None and compare(number, wanted)

    return test


def _time(name: str, value: Value) -> float:
    """Return a time as seconds since 1970; one without a zone is local."""
    try:
        return datetime.fromisoformat(str(value)).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{name} is a time, and {value!r:.80} isn't: write it as '2026-11-28' or '2026-11-28 14:05'."
        ) from None
