"""Exceptions of the SDKs as errors of mnistkit: one table of HTTP statuses and messages, for both."""

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

_MAX_MESSAGE_CHARS = 600
_STATUS_PATTERN = re.compile(
    r"(?:response code|status code|statuscode|code|http status)\W{1,4}(\d{3})\b", re.IGNORECASE
)
_NO_CONNECTION_PATTERN = re.compile(r"ConnectionPool\(host='([^']+)', port=\d+\): Max retries .*?\(Caused by (.*)\)")
_PROXY_PATTERN = re.compile(r"proxy.*host='([^']+)', port=(\d+)")
_NOISE_PATTERN = re.compile(  # objects, the names of exceptions, numbers of errors, quotes and brackets
    r"<[^<>]*>,? ?|\bHTTPS?Connection\(host=[^()]*\):? ?|\b\w+\((?=\W|\d+,|\w+\()|\[Errno -?\d+\] |[\"'()]"
)
_LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}
_Rule = tuple[frozenset[int], "re.Pattern[str] | None", type[MnistkitError], str]


def _rule(statuses: Iterable[int], pattern: str, kind: type[MnistkitError], way_out: str = "") -> _Rule:
    return frozenset(statuses), re.compile(pattern, re.IGNORECASE) if pattern else None, kind, way_out


_RULES = (  # HTTP statuses; without a status, names and messages of the exceptions; the first that fits
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
    _rule((429,), "", ThrottledError, "There were too many requests, also after pauses: try again in some minutes."),
    _rule((), r"double check your tenant|don't have access to", AuthenticationError, CREDENTIALS),
    _rule((404,), r"not be found|not found|does(?:n't| not) exist|No workspaces", NotFoundError),
    _rule((), r"AssetPathException|Asset paths cannot be updated", ConflictError),
    _rule((409, 412), r"ResourceExistsError", ConflictError),
    _rule((408, 504), r"timeout|timed out", ServiceTimeoutError, "It may still take effect: check, and try again."),
    _rule(
        range(500, 600),
        r"ConnectionError|ClientRequestError|Service(?:Request|Response)Error|ProtocolError|ConnectionReset|MaxRetryError",
        ServiceError,
        "Try again; if it stays, look at the status of Azure and of the network here.",
    ),
)


def failure(error: BaseException, what: str) -> MnistkitError:
    """Return the error of mnistkit for one that an SDK raised while doing ``what``. It isn't chained yet."""
    status, said = status_of(error), message_of(error)
    told = f"Azure ML: {what} failed: {said}"
    names = " ".join(type(each).__name__ for each in chain(error))
    for statuses, pattern, kind, way_out in _RULES:
        if status in statuses or (pattern and pattern.search(f"{names} {said}") and (status is None or not statuses)):
            return kind(f"{told} {way_out}".strip())
    return ServiceError(told)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and its causes, as the SDKs and Python record them."""
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
    """Return the HTTP status of an error or of its causes, None if there is none."""
    for each in chain(error):
        for holder in (each, getattr(each, "response", None), getattr(each, "http_response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int):
                return status
    found = next(filter(None, map(_STATUS_PATTERN.search, map(_text, chain(error)))), None)
    return int(found[1]) if found else None


def message_of(error: BaseException) -> str:
    """Return the message of the service, or else of the SDK: one line, without secrets."""
    for each in chain(error):
        body = getattr(each, "error", None)  # in azure-core the error itself, in msrest a wrapper of it
        told = getattr(body, "message", None) or getattr(getattr(body, "error", None), "message", None)
        if told:
            return _line(str(told))
    return _line(_unreached(_text(error)))


def _unreached(text: str) -> str:
    """Return an HTTP library's message about a failed connection in plain words; any other text as it is."""
    found = _NO_CONNECTION_PATTERN.search(text)
    if not found:
        return text
    host, why = found.groups()
    proxy = _PROXY_PATTERN.search(why)
    through = f" through the proxy {proxy[1]}:{proxy[2]}" if proxy else ""
    is_local = proxy is not None and proxy[1] in _LOOPBACK_HOSTS
    ended = " That is on this machine: has the program behind it ended?" if is_local else ""
    return f"{host} can't be reached{through}: {_NOISE_PATTERN.sub('', why).strip(' .,')}.{ended}"


def _text(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error) or type(error).__name__


def _line(text: str) -> str:
    line = redacted(" ".join(text.split()))
    line = line if len(line) <= _MAX_MESSAGE_CHARS else f"{line[:_MAX_MESSAGE_CHARS]}..."
    return line if line.endswith((".", "!", "?")) else f"{line}."
