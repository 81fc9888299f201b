"""Requests, responses, and the table of routes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from attrs import field, frozen

from mnistkit.emulator.workspace import Workspace

__all__ = ["ANY_HOST", "MAX_FILE_BYTES", "Handler", "Refusal", "Request", "Response", "Route", "Router", "parse_json"]

ANY_HOST = "*"
MAX_FILE_BYTES = 1 << 29  # of a body that is a file's content
_MAX_BODY_BYTES = 1 << 26  # of any other
_MAX_DEPTH = 100
_MAX_INT_BITS = 1023
_SCOPE_PATTERN = (
    r"/subscriptions/(?P<subscription_>[^/]+)/resourceGroups/(?P<group_>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace_>[^/]+)"
)
_HOLE_PATTERN = re.compile(r"\{(\w+)(\*?)\}")


@frozen(kw_only=True)
class Request:
    """A client's request.

    Attributes:
        method: ``"GET"`` and so on.
        host: Whom it asks: lower case, without a port.
        path: As it was sent, percent-encoded, without the query.
        query: The query's parameters, decoded; of repeated ones the last.
        headers: With their names in lower case.
        file: The file that holds the body, if it is a large one; it goes when the request has been handled.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    _body: bytes = b""
    file: Path | None = None

    @property
    def body(self) -> bytes:
        """The body as it was sent, without any transfer coding; `open` takes less memory."""
        return self._body if self.file is None else self.file.read_bytes()

    def open(self) -> BinaryIO:
        """Open the body for reading."""
        return io.BytesIO(self._body) if self.file is None else self.file.open("rb")

    def json(self) -> Any:
        """Return the body as JSON; None if it is empty.

        Raises:
            Refusal: 400, as `parse_json` does.
        """
        body = self.body
        return parse_json(body, "The body") if body else None


@frozen(kw_only=True)
class Response:
    """A response to a client.

    Attributes:
        status: The HTTP status.
        headers: Beyond the content's length and type.
        body: The content.
        content_type: Its type.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Return a response with ``value`` as JSON."""
        return cls(status=status, headers=headers or {}, body=json.dumps(value).encode())


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of the emulator
    """A request is answered with an error, in the shape that Azure ML's services use.

    Attributes:
        status: The HTTP status.
        message: What is wrong.
        code: Azure's word for it.
        headers: What else the client is told, such as ``Retry-After``.
        more: Members of the body beyond Azure's own.
    """

    def __init__(self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or ("UserError" if status < 500 else "ServiceError")  # noqa: PLR2004 - HTTP's own number
        self.headers = headers or {}
        self.more: Mapping[str, Any] = {}

    def response(self) -> Response:
        """Return it as a response."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "innerError": None, "details": []}
        details = [{"code": self.code, "message": self.message}]  # where model management's clients look
        body = {"error": error, "statusCode": self.status, "message": self.message, "details": details, **self.more}
        return Response.json(body, self.status, self.headers)


Handler = Callable[..., Response]


@frozen
class Route:
    """A pattern of requests, and their handler.

    Attributes:
        methods: ``"GET"``, or ``"GET|POST"``.
        pattern: The path. ``{scope}`` stands for the workspace's, which is checked; ``{name}`` for one segment and
            ``{path*}`` for one or more: the handler gets them, decoded, as keywords after the request.
        handler: Called with the request.
        host: Of which hosts; with ``*`` for any text.
        is_open: Whether it is answered without a bearer token.
        max_bytes: How large a body may be.
    """

    methods: str
    pattern: str
    handler: Handler
    host: str = field(default=ANY_HOST, kw_only=True)
    is_open: bool = field(default=False, kw_only=True)
    max_bytes: int = field(default=_MAX_BODY_BYTES, kw_only=True)

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts, end = [], 0
        for hole in _HOLE_PATTERN.finditer(self.pattern):
            name, many = hole.groups()
            parts.append(re.escape(self.pattern[end : hole.start()]))
            parts.append(_SCOPE_PATTERN if name == "scope" else f"(?P<{name}>{'.+' if many else '[^/]+'})")
            end = hole.end()
        return re.compile("".join(parts) + re.escape(self.pattern[end:]), re.IGNORECASE)

    def match(self, method: str, host: str, path: str) -> dict[str, str] | None:
        """Return the decoded parts of a path that it handles, or None."""
        if method not in self.methods.split("|") or not fnmatchcase(host, self.host):
            return None
        found = self._expression.fullmatch(path)
        return {name: unquote(text) for name, text in found.groupdict().items()} if found else None


class Router:
    """All routes of a workspace; a request is answered by the first that matches."""

    def __init__(self, workspace: Workspace, routes: Iterable[Route]) -> None:
        self._workspace = workspace
        self._routes = tuple(routes)

    def find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a request and the parts of its path; None if there is no route.

        Raises:
            Refusal: 404, if it concerns another workspace.
        """
        path = re.sub("//+", "/", request.path).rstrip("/") or "/"
        for route in self._routes:
            parts = route.match(request.method, request.host, path)
            if parts is not None:
                self._check(parts)
                return route, parts
        return None

    def _check(self, parts: dict[str, str]) -> None:
        asked = [parts.pop(name, None) for name in ("subscription_", "group_", "workspace_")]
        mine = [self._workspace.subscription_id, self._workspace.resource_group, self._workspace.name]
        for kind, one, other in zip(("subscription", "resource group", "workspace"), asked, mine, strict=True):
            if one is not None and one.lower() != other.lower():
                raise Refusal(404, f"There is no {kind} {one!r} here: this emulator has {other!r}.", code="NotFound")


def parse_json(data: bytes | str, what: str) -> Any:
    """Return JSON's value.

    Args:
        data: The JSON.
        what: Its name for the message.

    Raises:
        Refusal: 400: it isn't JSON, is nested too deeply, or holds text that can't be encoded or an integer that no
            float can hold.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise Refusal(400, f"{what} is nested more than {_MAX_DEPTH} deep.") from None
    except ValueError as error:
        raise Refusal(400, f"{what} isn't JSON: {error}.") from None
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        if not level:
            return value
        level = [inner for each in level for inner in _members(each, what)]
    raise Refusal(400, f"{what} is nested more than {_MAX_DEPTH} deep.")


def _members(value: object, what: str) -> Iterable[Any]:
    if isinstance(value, dict):
        return (*value, *value.values())
    if isinstance(value, list):
        return value
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refusal(400, f"{what} holds a lone surrogate, which isn't text.") from None
    if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
        raise Refusal(400, f"{what} holds a number that is too large.")
    return ()
