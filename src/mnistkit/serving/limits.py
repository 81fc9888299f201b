"""The limits of a server: what a client may send, and how long it may take."""

from __future__ import annotations

import math
from typing import Any

from attrs import Attribute, field, frozen

from mnistkit.errors import UsageError

__all__ = ["ServerLimits"]


def _count(_: object, attribute: Attribute[int], value: Any) -> None:
    if type(value) is not int or value < (0 if attribute.name == "max_queue" else 1):
        raise UsageError(f"{attribute.name}={value!r:.80}: use a whole number above 0.")


def _seconds(_: object, attribute: Attribute[float], value: Any) -> None:
    if type(value) not in {int, float} or not (math.isfinite(value) and value > 0):
        raise UsageError(f"{attribute.name}={value!r:.80}: use a number of seconds above 0.")


@frozen(kw_only=True)
class ServerLimits:
    """Limits of a server. A request beyond one gets a status of 4xx or 503, and the server keeps running.

    Attributes:
        max_body_bytes: Of a request; a larger one is refused before it is read.
        max_rows: In one request.
        max_pixels: Of an image file; of a larger one only the header is read.
        request_seconds: From the first byte of a request to its last; a slower connection is closed.
        queue_seconds: A request waits for so long for its turn, then it is refused with 503.
        drain_seconds: Requests that are being answered have so long to finish when the server is closed.
        max_queue: Requests that may wait for their turn; more are refused with 503 at once.
        max_connections: Open connections; further ones wait to be accepted.
        workers: Requests that are computed at a time.

    Raises:
        UsageError: A value isn't possible; names the field.
    """

    max_body_bytes: int = field(default=8 << 20, validator=_count)
    max_rows: int = field(default=10_000, validator=_count)
    max_pixels: int = field(default=25_000_000, validator=_count)
    request_seconds: float = field(default=15.0, validator=_seconds)
    queue_seconds: float = field(default=10.0, validator=_seconds)
    drain_seconds: float = field(default=10.0, validator=_seconds)
    max_queue: int = field(default=32, validator=_count)
    max_connections: int = field(default=500, validator=_count)
    workers: int = field(default=2, validator=_count)
