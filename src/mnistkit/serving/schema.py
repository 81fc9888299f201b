"""The bodies of requests: JSON of unknown origin becomes rows of numbers, or an error with a status of 4xx.

The standard JSON reader accepts NaN and Infinity, and keeps the last of two equal keys: both are refused here. Every
value's type is compared, because numpy would take True and "1" for numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import UsageError
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.model import ServedModel

__all__ = ["RequestError", "invocation_rows", "parse_object", "score_rows"]

_NUMBER_TYPES = {int, float}
_MLFLOW_KEYS = ("inputs", "instances", "dataframe_split")
_MLFLOW_IGNORED = {"params", "signature_name"}


class RequestError(UsageError):
    """A request that can't be answered, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the object that a body holds.

    Raises:
        RequestError: It isn't strict JSON (400), or no object (422).
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise RequestError(400, "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise RequestError(400, f"The body isn't JSON: {error!s:.200}.") from None
    if not isinstance(value, dict):
        raise RequestError(422, f"The body is a JSON {_kind(value)}: send an object, such as {{'data': [[...]]}}.")
    return value


def score_rows(body: bytes, model: ServedModel, limits: ServerLimits) -> NDArray[Any]:
    """Return the rows of a body such as ``{"data": [[...], ...]}``, optionally with ``"scale": 255``.

    Returns:
        ``(n, d)``, of the model's dtype.

    Raises:
        RequestError: It holds something else.
    """
    value = parse_object(body)
    _check_keys(value, {"data", "scale"})
    if "data" not in value:
        raise RequestError(422, "The key 'data' is missing: send {'data': [[...], ...]}.")
    return _rows(value["data"], model, limits, scale=value.get("scale"))


def invocation_rows(body: bytes, model: ServedModel, limits: ServerLimits) -> NDArray[Any]:
    """Return the rows of a body as MLflow's clients send it: ``inputs``, ``instances`` or ``dataframe_split``.

    Returns:
        ``(n, d)``, of the model's dtype.

    Raises:
        RequestError: It holds something else.
    """
    value = parse_object(body)
    found = [key for key in _MLFLOW_KEYS if key in value]
    if len(found) != 1:
        raise RequestError(422, f"Send one of the keys {', '.join(_MLFLOW_KEYS)}.")
    _check_keys(value, {*found, *_MLFLOW_IGNORED})
    if value.get("params"):
        raise RequestError(422, "This model takes no params.")
    data = value[found[0]]
    if found[0] == "dataframe_split":
        data = _table(data, model)
    return _rows(data, model, limits)


def _table(table: Any, model: ServedModel) -> Any:
    """Return the rows of a data frame; columns that are named by number must be in order."""
    if not isinstance(table, dict) or "data" not in table:
        raise RequestError(422, "dataframe_split: send {'columns': [...], 'data': [[...], ...]}.")
    _check_keys(table, {"columns", "data", "index"})
    columns = table.get("columns")
    if columns is not None:
        if not isinstance(columns, list) or len(columns) != model.n_features:
            raise RequestError(422, f"dataframe_split: name {model.n_features} columns.")
        numbers = [int(name) for name in map(str, columns) if name.isascii() and name.isdecimal() and len(name) < 9]  # noqa: PLR2004 - digits of any feature's number
        if len(numbers) == len(columns) and numbers != sorted(numbers):
            raise RequestError(422, "dataframe_split: the columns aren't in the order of the pixels.")
    return table["data"]


def _rows(data: Any, model: ServedModel, limits: ServerLimits, scale: Any = None) -> NDArray[Any]:
    if not isinstance(data, list) or not data:
        raise RequestError(422, f"The rows are a {_kind(data)}: send a list with at least one row.")
    if len(data) > limits.max_rows:
        raise RequestError(413, f"{len(data)} rows: send at most {limits.max_rows} at a time.")
    if scale is not None and not (type(scale) in _NUMBER_TYPES and 0 < scale <= 1e9):  # noqa: PLR2004 - beyond any pixel
        raise RequestError(422, "scale: use a number above 0, such as 255.")
    flat = [_flat(index, row, model) for index, row in enumerate(data)]
    try:
        X = np.array(flat, dtype=np.float64)
    except OverflowError:
        raise RequestError(422, "A row holds a number that is too large.") from None
    maximum = model.maximum * (scale or 1)
    if not (X.min() >= 0 and X.max() <= maximum):  # also of NaN and infinity
        hint = "" if scale or X.max() > 255 else " Or add 'scale': 255."  # noqa: PLR2004 - the largest pixel
        raise RequestError(422, f"The rows hold {X.min():g} to {X.max():g}: use 0 to {maximum:g}.{hint}")
    rows: NDArray[Any] = X.astype(model.dtype)
    return rows if scale is None else rows / model.dtype.type(scale)


def _flat(index: int, row: Any, model: ServedModel) -> Sequence[Any]:
    """Return the numbers of one row, or of one image line by line."""
    if isinstance(row, list) and row and isinstance(row[0], list):
        h, w = model.shape or (0, 0)
        if len(row) != h or any(not isinstance(line, list) or len(line) != w for line in row):
            size = f"an image of {h}x{w}, or " if model.shape else ""
            raise RequestError(422, f"Row {index} has another shape: send {size}{model.n_features} numbers.")
        row = list(chain.from_iterable(row))
    if not isinstance(row, list) or len(row) != model.n_features:
        found = f"{len(row)} values" if isinstance(row, list) else f"a {_kind(row)}"
        raise RequestError(422, f"Row {index} is {found}: send {model.n_features} numbers.")
    if not set(map(type, row)) <= _NUMBER_TYPES:
        raise RequestError(422, f"Row {index} holds something that isn't a number.")
    return row


def _check_keys(value: dict[str, Any], allowed: set[str]) -> None:
    unknown = value.keys() - allowed
    if unknown:
        raise RequestError(422, f"The key {min(unknown)!r:.60} isn't one of {', '.join(sorted(allowed))}.")


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has the same key twice")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
