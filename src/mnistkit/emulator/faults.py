"""Faults on demand: errors and delays of Azure, once, several times, or always.

As text, as ``--fault`` takes it: ``kind``, or ``kind:option=value,option=value`` with the attributes of `Fault`::

    throttle:match=/snapshotrun,times=2,seconds=1
    unauthorized:match=/metric/,after=3
    stuck
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import cached_property
from http import HTTPStatus
from typing import Any

from attrs import field, frozen

from mnistkit.emulator.routing import Refusal, Request, Response
from mnistkit.errors import UsageError

__all__ = ["KINDS", "Fault", "Faults"]

KINDS = {
    "throttle": "429 with Retry-After; nothing is done",
    "unavailable": "503; nothing is done",
    "unauthorized": "401, as for a token that has just expired; nothing is done",
    "reset": "the request is taken and done, then its connection is cut",
    "slow": "the answer comes after so many seconds",
    "empty-download": "a blob's content is answered with no bytes",
    "quota": "a new cluster finds no quota: it is there, and its state is Failed; match is its name",
    "stuck": "a job stays Queued, for so many seconds if that's set; match is its run's id",
    "late-metrics": "a run's metrics are asked for and aren't there yet; match is its id",
}
_REQUEST_KINDS = ("throttle", "unavailable", "unauthorized", "slow")
_UNLIMITED_TIMES = "always"
_STORAGE_HOST_PATTERN = re.compile(r"\.blob\.|\.azurefd\.net$")


def _times(text: str) -> int | None:
    return None if text == _UNLIMITED_TIMES else int(text)


_READERS: dict[str, Callable[[str], Any]] = {"match": str, "times": _times, "after": int, "seconds": float}


@frozen
class Fault:
    """An error or a delay of one of Azure's services.

    Attributes:
        kind: One of ``KINDS``.
        match: Where: a part of ``METHOD host/path``, such as ``/snapshotrun`` or ``PUT *computes``, with ``*`` for
            any text; some kinds say what it is for them. Everywhere by default.
        times: How often it happens; None for always.
        after: How often it doesn't happen before.
        seconds: How long it takes, or the client is told to wait.
    """

    kind: str = field()
    match: str = field(default="", kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    after: int = field(default=0, kw_only=True)
    seconds: float = field(default=0.0, kw_only=True)

    @times.validator
    @after.validator
    @seconds.validator
    def _check_number(self, attribute: Any, value: float | None) -> None:
        lowest = 1 if attribute.name == "times" else 0
        if value is not None and not lowest <= value < float("inf"):
            raise UsageError(f"{attribute.name}={value}, of the fault {self.kind!r}: use {lowest} or more.")

    @kind.validator
    def _check_kind(self, _: object, value: str) -> None:
        if value not in KINDS:
            raise UsageError(f"There is no fault {value!r}; these can be had: {', '.join(KINDS)}.")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return a fault from its text.

        Raises:
            UsageError: It can't be read; the message says what can be written.
        """
        kind, _, rest = text.partition(":")
        options: dict[str, Any] = {}
        for part in filter(None, rest.split(",")):
            name, equals, value = part.partition("=")
            if name not in _READERS or not equals:
                raise UsageError(f"--fault {text!r}: {part!r} isn't one of match=, times=, after= and seconds=.")
            try:
                options[name] = _READERS[name](value)
            except ValueError:
                raise UsageError(f"--fault {text!r}: {name} takes a number, not {value!r}.") from None
        return cls(kind, **options)

    def concerns(self, subject: str) -> bool:
        """Return True if it matches a subject."""
        return self._expression.match(subject) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(translate(f"*{self.match}*"), re.IGNORECASE)


class Faults:
    """The faults that are planned, and their counts."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._planned = [_Planned(fault) for fault in faults]
        self._ended = threading.Event()

    def inject(self, fault: Fault) -> None:
        """Add a fault."""
        with self._lock:
            self._planned.append(_Planned(fault))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._planned.clear()

    def stop(self) -> None:
        """End the slow responses that are waiting."""
        self._ended.set()

    def take(self, kind: str, subject: str = "") -> Fault | None:
        """Return the fault of a kind that matches a subject now, if any; this counts as one time.

        Args:
            kind: One of ``KINDS``.
            subject: What ``match`` is held against.
        """
        with self._lock:
            for planned in self._planned:
                if planned.fault.kind == kind and planned.fault.concerns(subject) and planned.happens():
                    return planned.fault
        return None

    def before(self, request: Request) -> None:
        """Apply the faults that come before a request is handled.

        Raises:
            Refusal: It isn't handled.
        """
        subject = _subject(request)
        for kind in _REQUEST_KINDS:
            fault = self.take(kind, subject)
            if fault is not None:
                self._apply(fault)

    def after(self, request: Request, response: Response) -> Response | None:
        """Return the response to a handled request: as it is, emptied, or None for a cut connection."""
        subject = _subject(request)
        if self.take("reset", subject):
            return None
        is_download = request.method == "GET" and _STORAGE_HOST_PATTERN.search(request.host) and response.body
        if is_download and self.take("empty-download", subject):
            return _emptied(response)
        return response

    def _apply(self, fault: Fault) -> None:
        if fault.kind == "slow":
            self._ended.wait(fault.seconds)
        elif fault.kind == "throttle":
            wait = {"Retry-After": f"{fault.seconds:g}"}
            raise Refusal(429, "Too many requests: a fault on demand.", code="TooManyRequests", headers=wait)
        elif fault.kind == "unauthorized":
            raise Refusal(401, "The access token has expired: a fault on demand.", code="ExpiredAuthenticationToken")
        else:
            raise Refusal(503, "The service is unavailable: a fault on demand.", code="ServiceUnavailable")


class _Planned:
    """A fault, and the number of its matches so far."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._asked = 0

    def happens(self) -> bool:
        """Count one match; return True if the fault applies to it."""
        self._asked += 1
        number = self._asked - self.fault.after
        return number > 0 and (self.fault.times is None or number <= self.fault.times)


def _subject(request: Request) -> str:
    return f"{request.method} {request.host}{request.path}"


def _emptied(response: Response) -> Response:
    """Return the response that an empty blob would have."""
    sized = {"content-length", "content-md5", "content-range"}
    headers = {name: value for name, value in response.headers.items() if name.lower() not in sized}
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        headers["Content-Range"] = "bytes 0-0/0"
    return Response(status=response.status, headers=headers, content_type=response.content_type)
