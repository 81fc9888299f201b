"""The common parts of MLflow's routes: paths, errors, pages, and numbers as protocol buffers write them in JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.odata import time_of
from mnistkit.emulator.payloads import list_of, page
from mnistkit.emulator.routing import Refusal, Request, Response, Route

__all__ = [
    "as_json",
    "from_json",
    "milliseconds",
    "paged",
    "routes_of",
    "sent_to",
    "stage_of",
    "tags_of",
    "texts_of",
    "time_at",
]

_VERSIONS = ("v1.0", "v2.0")  # the same for both; clients of MLflow 2 and later use the second
_ERROR_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_ALREADY_EXISTS",
    501: "NOT_IMPLEMENTED",
}
_MAX_PAGE_SIZE = 50000


def routes_of(table: Sequence[tuple[str, str, Callable[..., Response]]]) -> list[Route]:
    """Return the routes of MLflow's endpoints.

    Args:
        table: Methods, path below ``/api/2.0/mlflow/``, and handler of each.
    """
    return [
        Route(methods, f"/mlflow/{version}{{scope}}/api/2.0/mlflow/{path}", _with_codes(handler))
        for version in _VERSIONS
        for methods, path, handler in table
    ]


def sent_to(request: Request, *needs: str) -> dict[str, Any]:
    """Return what a request says, in its query or its body.

    Raises:
        Refusal: 400: it lacks one of these.
    """
    sent: dict[str, Any] = dict(request.query)
    if request.method != "GET":
        body = request.json() or {}
        if not isinstance(body, dict):
            raise Refusal(400, "The body has to be an object.")
        sent |= body
    missing = [name for name in needs if sent.get(name) in {None, ""}] if needs else []
    if missing:
        raise Refusal(400, f"Missing value for required parameter {', '.join(map(repr, missing))}.")
    return sent


def paged(items: Sequence[Any], sent: dict[str, Any], default: int) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return a page of items, and the response's ``next_page_token`` if there are more.

    Raises:
        Refusal: 400: the size or the token isn't one.
    """
    try:
        size = int(sent.get("max_results") or default)
    except (TypeError, ValueError):
        size = 0
    if not 0 < size <= _MAX_PAGE_SIZE:
        raise Refusal(400, f"'max_results' is {sent.get('max_results')!r}: expected 1 to {_MAX_PAGE_SIZE}.")
    found, token = page(items, size=size, token=str(sent.get("page_token") or ""))
    return found, ({"next_page_token": token} if token else {})


def milliseconds(text: str | None) -> int | None:
    """Return a time as milliseconds since 1970; None for none."""
    moment = time_of(text or "")
    return None if moment is None else round(moment.timestamp() * 1000)


def time_at(value: object) -> str:
    """Return milliseconds since 1970 as a time, as the other services write it.

    Raises:
        Refusal: 400: it isn't a time.
    """
    try:
        moment = datetime.fromtimestamp(int(str(value)) / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise Refusal(400, f"{value!r} isn't a time in milliseconds.") from None
    return moment.isoformat(timespec="microseconds")


def as_json(value: float) -> float | str:
    """Return a number as JSON can hold it: those that aren't finite are texts."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def from_json(value: object) -> float:
    """Return the number that a JSON value stands for.

    Raises:
        Refusal: 400: it isn't one.
    """
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Refusal(400, f"{value!r} isn't a number.") from None


def _with_codes(handler: Callable[..., Response]) -> Callable[..., Response]:
    """Return a handler whose refusals hold the error codes that MLflow's clients read."""

    def handle(request: Request, **parts: str) -> Response:
        try:
            return handler(request, **parts)
        except Refusal as refusal:
            code = "NOT_IMPLEMENTED" if isinstance(refusal, NotEmulated) else _ERROR_CODES.get(refusal.status)
            refusal.more = {"error_code": code or "INTERNAL_ERROR"}
            raise

    return handle


def tags_of(sent: Mapping[str, Any]) -> dict[str, str]:
    """Return a request's tags, by their keys."""
    return {str(each.get("key")): str(each.get("value", "")) for each in list_of(sent, "tags", dict)}


def texts_of(sent: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of texts in a request; empty if it isn't there.

    Raises:
        Refusal: 400: it isn't one.
    """
    value = sent.get(name) or []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, (str, int)) for each in values):
        raise Refusal(400, f"{name!r} has to be a list of texts.")
    return [str(each) for each in values]


def stage_of(value: object) -> str | None:
    """Return the lifecycle stage that a view shows; None for all.

    Raises:
        Refusal: 400: there is no such view.
    """
    views = {"ACTIVE_ONLY": "active", "DELETED_ONLY": "deleted", "ALL": None}
    name = str(value or "ACTIVE_ONLY").upper()
    if name not in views:
        raise Refusal(400, f"There is no view {value!r}: use one of {sorted(views)}.")
    return views[name]
