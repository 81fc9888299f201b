"""Estimators by name, with parameters as text: for command lines and other places that have no objects."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from mnistkit.errors import SpecError, UsageError
from mnistkit.jobs.spec import JsonValue

__all__ = ["named_estimator", "parsed_value", "parsed_values"]

_WORDS: Mapping[str, JsonValue] = {"True": True, "False": False, "None": None}
_MAX_LISTED_NAMES = 20


def named_estimator(name: str, params: Mapping[str, JsonValue] | None = None) -> Any:
    """Return an unfitted estimator by the name of its class, or of a function that returns one.

    A parameter of the function is given to it; any other is set on the estimator, ``step__parameter`` within it.

    Args:
        name: ``"sklearn.svm:SVC"``, ``"my_models:make_model"``. Modules are found on ``sys.path``.
        params: Values by parameter.

    Raises:
        UsageError: The name isn't of this form, there is no such module, class or function, or no such parameter; lists
            those that there are.
        SpecError: It isn't an estimator, or its function raised.
    """
    factory = _imported(name)
    params = dict(params or {})
    taken = {key: params.pop(key) for key in _parameters(factory) & params.keys()}
    try:
        estimator = factory(**taken)
    except Exception as error:
        raise SpecError(
            f"{name} can't be made with {taken or 'no parameters'}: {type(error).__name__}: {error}"
        ) from error
    if inspect.isclass(estimator) or not hasattr(estimator, "get_params"):
        raise SpecError(
            f"{name} gives {estimator!r:.80}: name a scikit-learn estimator, or a function that returns one."
        )
    known = estimator.get_params(deep=True)
    for key in params:
        if key not in known:
            close = [each for each in known if each.lower() == key.lower()] or get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            every = ", ".join(sorted({*known, *_parameters(factory)}))
            raise UsageError(f"{name} has no parameter {key!r}; it has {every}.{hint}")
    try:
        return estimator.set_params(**params)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{name} can't be made with {params}: {error}") from error


def parsed_value(text: str) -> JsonValue:
    """Return what a text means as a parameter; nothing in it is executed.

    JSON is what it is in JSON: ``0.1``, ``true``, ``null``, ``[50, 20]``, ``"10"``. So are Python's ``True``, ``False``
    and ``None``. Anything else is text: ``scale``.
    """
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _WORDS.get(text, text)
    return value


def parsed_values(text: str) -> list[JsonValue]:
    """Return the values of a text such as ``0.1,1,10``, each as `parsed_value` does; or those of a JSON list.

    Raises:
        UsageError: There is none.
    """
    whole = parsed_value(text)
    values = whole if isinstance(whole, list) else [parsed_value(part.strip()) for part in text.split(",")]
    if not values or "" in values:
        raise UsageError(f"{text!r:.80}: write values separated by commas, such as 0.1,1,10, or a JSON list of them.")
    return values


def _imported(name: str) -> Any:
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path.isidentifier():
        raise UsageError(f"{name!r:.120}: write MODULE:NAME, such as sklearn.svm:SVC or my_models:make_model.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SpecError(f"{module_name} can't be imported: {error}.") from error
        raise UsageError(
            f"There is no module {error.name!r} among the installed packages and in {sys.path[-1] or '.'}. Is its name "
            "right?"
        ) from error
    except Exception as error:
        raise SpecError(f"{module_name} can't be imported: {type(error).__name__}: {error}.") from error
    value = getattr(module, path, None)
    if value is None or not callable(value):
        raise UsageError(f"{module_name} has no class or function {path!r}; it has {_listing(_offered(module))}.")
    return value


def _offered(module: Any) -> list[str]:
    """Return the public classes with ``fit`` and the functions of a module."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return sorted(
        name
        for name in names
        if hasattr(value := getattr(module, name, None), "fit")
        or (inspect.isfunction(value) and value.__module__ == module.__name__)
    )


def _listing(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _MAX_LISTED_NAMES} more" if len(found) > _MAX_LISTED_NAMES else ""
    return f"{', '.join(found[:_MAX_LISTED_NAMES]) or 'none'}{more}"


def _parameters(factory: Any) -> set[str]:
    """Return the names of the parameters that a class or function takes by keyword."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return set()
    return {each.name for each in parameters if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}}


def _refuse(name: str) -> JsonValue:
    raise ValueError(name)  # NaN and Infinity are no JSON: text like any other
