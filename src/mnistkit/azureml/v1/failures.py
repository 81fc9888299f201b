"""What went wrong in the SDK or behind it, as one of our errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from mnistkit.errors import (
    AuthenticationError,
    ConflictError,
    MnistkitError,
    NotFoundError,
    QuotaError,
    ServiceError,
    ServiceTimeoutError,
    ThrottledError,
)
from mnistkit.utils.redaction import redacted

__all__ = ["CREDENTIALS", "chain", "failure", "message_of", "status_of"]

CREDENTIALS = (
    "Log in with 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal, "
    "or pass credentials= to connect(); see that the login may use this workspace."
)
"""The ways out of an `AuthenticationError`."""

_LONGEST = 600
_STATUS = re.compile(r"(?:response code|status code|statuscode|code|http status)\W{1,4}(\d{3})\b", re.IGNORECASE)
_NO_CONNECTION = re.compile(r"ConnectionPool\(host='([^']+)', port=\d+\): Max retries .*?\(Caused by (.*)\)")
_PROXY = re.compile(r"proxy.*host='([^']+)', port=(\d+)")
_NOISE = re.compile(  # objects, the names of exceptions, numbers of errors, quotes and brackets
    r"<[^<>]*>,? ?|\bHTTPS?Connection\(host=[^()]*\):? ?|\b\w+\((?=\W|\d+,|\w+\()|\[Errno -?\d+\] |[\"'()]"
)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_Rule = tuple[frozenset[int], "re.Pattern[str] | None", type[MnistkitError], str]


def _rule(statuses: Iterable[int], pattern: str, kind: type[MnistkitError], way_out: str = "") -> _Rule:
    return frozenset(statuses), re.compile(pattern, re.IGNORECASE) if pattern else None, kind, way_out


_RULES = (  # HTTP statuses; without a status, what the exceptions are called or say; the first that fits
    _rule(
        (),
        r"quota|exceed\w* .{0,40}(?:limit|cores)|OperationNotAllowed",
        QuotaError,
        "Use fewer nodes or a smaller vm_size, or ask for more quota in the Azure portal.",
    ),
    _rule(
        (401, 403),
        r"AuthenticationException|ClientAuthenticationError|CredentialUnavailable|Unauthorized|AADSTS\d|\bDecodeError",
        AuthenticationError,
        CREDENTIALS,
    ),
    _rule((429,), "", ThrottledError, "It was asked too often, also after pauses: try again in some minutes."),
    _rule((), r"double check your tenant|don't have access to", AuthenticationError, CREDENTIALS),
    _rule((404,), r"not be found|not found|does(?:n't| not) exist|No workspaces", NotFoundError),
    _rule((409, 412), "", ConflictError),
    _rule((408, 504), r"timeout|timed out", ServiceTimeoutError, "Look whether it was done, and try again."),
    _rule(
        range(500, 600),
        r"ConnectionError|ClientRequestError|ProtocolError|ConnectionReset|MaxRetryError",
        ServiceError,
        "Try again; if it stays, look at the status of Azure and of the network here.",
    ),
)


def failure(error: BaseException, what: str) -> MnistkitError:
    """What ``error``, raised by the SDK while doing ``what``, is in our tree. It isn't chained yet."""
    status, said = status_of(error), message_of(error)
    told = f"Azure ML: {what} failed: {said}"
    names = " ".join(type(each).__name__ for each in chain(error))
    for statuses, pattern, kind, way_out in _RULES:
        if status in statuses or (pattern and pattern.search(f"{names} {said}") and (status is None or not statuses)):
            return kind(f"{told} {way_out}".strip())
    return ServiceError(told)


def chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what is behind it, as the SDK and Python note it."""
    seen: list[BaseException] = []
    left: list[Any] = [error]
    while left:
        each = left.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            left += [getattr(each, name, None) for name in ("inner_exception", "_inner_exception", "__cause__")]
            left += [None if each.__suppress_context__ else each.__context__]


def status_of(error: BaseException) -> int | None:
    """The HTTP status that is behind it, if any."""
    for each in chain(error):
        for holder in (each, getattr(each, "response", None), getattr(each, "http_response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int):
                return status
    found = next(filter(None, map(_STATUS.search, map(_text, chain(error)))), None)
    return int(found[1]) if found else None


def message_of(error: BaseException) -> str:
    """What the service said, or else the SDK: one line, without secrets."""
    for each in chain(error):
        told = getattr(getattr(getattr(each, "error", None), "error", None), "message", None)
        if told:
            return _line(str(told))
    return _line(_unreached(_text(error)))


def _unreached(text: str) -> str:
    """What an HTTP library says of a connection that can't be had, in the words of people; any other text as it is."""
    found = _NO_CONNECTION.search(text)
    if not found:
        return text
    host, why = found.groups()
    proxy = _PROXY.search(why)
    through = f" through the proxy {proxy[1]}:{proxy[2]}" if proxy else ""
    ended = " That is on this machine: has an emulator ended?" if proxy and proxy[1] in _LOOPBACK else ""
    return f"{host} can't be reached{through}: {_NOISE.sub('', why).strip(' .,')}.{ended}"


def _text(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error) or type(error).__name__


def _line(text: str) -> str:
    line = redacted(" ".join(text.split()))
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    return line if line.endswith((".", "!", "?")) else f"{line}."
