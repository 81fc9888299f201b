"""Usual parameters of scikit-learn that are neither JSON nor estimators, as their parts: how to make them again."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mnistkit.errors import SpecError

__all__ = ["KINDS", "Parts", "made", "parts_of"]

Parts = tuple[str, Any]
"""The kind of an object, one of `KINDS`, and its parts: plain values, functions, and lists and dicts of these."""


def parts_of(value: Any) -> Parts | None:  # noqa: PLR0911 - one return a kind
    """Return the kind and the parts of an object; None if it is of no kind that can be taken apart."""
    if isinstance(value, slice):
        return "$slice", [value.start, value.stop, value.step]
    if isinstance(value, range):
        return "$range", [value.start, value.stop, value.step]
    if type(value) is functools.partial:
        return "$partial", [value.func, list(value.args), dict(value.keywords)]
    if _is_scorer(value):
        keywords = dict(value._kwargs)  # noqa: SLF001 - a scorer has no public way to read what it was made of
        keywords |= {"greater_is_better": value._sign > 0, "response_method": value._response_method}  # noqa: SLF001
        return "$scorer", [value._score_func, keywords]  # noqa: SLF001 - the same
    if _is_frozen_distribution(value):
        return "$distribution", [value.dist.name, list(value.args), dict(value.kwds)]
    if _is_configured(type(value)):
        return "$instance", [type(value), _constructor_arguments(value)]
    return None


def made(kind: str, parts: Any) -> object:
    """Return the object of a kind that has these parts; the inverse of `parts_of`.

    Raises:
        SpecError: It isn't an object of that kind.
    """
    return KINDS[kind](*parts)


def _scorer(function: Any, keywords: Mapping[str, Any]) -> object:
    from sklearn.metrics import make_scorer

    return make_scorer(function, **keywords)


def _distribution(name: str, args: list[Any], keywords: Mapping[str, Any]) -> object:
    from scipy import stats

    generic = getattr(stats, name, None)
    if not isinstance(generic, (stats.rv_continuous, stats.rv_discrete)):
        raise SpecError(f"scipy.stats has no distribution {name!r:.80}. Was it written for another version?")
    return generic(*args, **keywords)


def _instance(cls: Any, arguments: Mapping[str, Any]) -> object:
    if not inspect.isclass(cls) or not _is_configured(cls):  # a spec from elsewhere calls nothing else
        raise SpecError(f"{cls!r:.80} is neither a cross-validation splitter nor a column selector.")
    return cls(**arguments)


KINDS: Mapping[str, Callable[..., object]] = {
    "$slice": slice,
    "$range": range,
    "$partial": lambda function, args, keywords: functools.partial(function, *args, **keywords),
    "$scorer": _scorer,
    "$distribution": _distribution,
    "$instance": _instance,
}


def _is_scorer(value: Any) -> bool:
    return type(value).__module__ == "sklearn.metrics._scorer" and hasattr(value, "_score_func")


def _is_frozen_distribution(value: Any) -> bool:
    from scipy import stats

    generic = getattr(value, "dist", None)
    if not isinstance(generic, (stats.rv_continuous, stats.rv_discrete)):
        return False
    return type(getattr(stats, generic.name or "", None)) is type(generic)


def _is_configured(cls: type) -> bool:
    """Return True for splitters and column selectors: objects that are all constructor arguments."""
    from sklearn.compose import make_column_selector

    is_splitter = callable(getattr(cls, "split", None)) and callable(getattr(cls, "get_n_splits", None))
    return is_splitter or issubclass(cls, make_column_selector)


def _constructor_arguments(value: Any) -> dict[str, Any]:
    """Return what an object was made with, by scikit-learn's rule: an attribute of the same name, or in ``cvargs``."""
    arguments = {}
    for name, parameter in inspect.signature(type(value)).parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        inner = getattr(value, "cvargs", {})
        if name not in vars(value) and name not in inner:
            raise SpecError(
                f"{type(value).__name__} doesn't keep its argument {name!r} as an attribute of that name, so that it "
                "can't be made again in another process."
            )
        arguments[name] = vars(value).get(name, inner.get(name))
    return arguments
