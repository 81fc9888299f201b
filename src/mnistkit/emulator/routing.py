"""Requests, responses, and the table of routes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from attrs import field, frozen

from mnistkit.emulator.workspace import Workspace

__all__ = ["ANY_HOST", "Handler", "Refusal", "Request", "Response", "Route", "Router"]

ANY_HOST = "*"
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
        body: As it was sent, without any transfer coding.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """Return the body as JSON; None if it is empty.

        Raises:
            Refusal: 400, if it isn't JSON.
        """
        try:
            return json.loads(self.body) if self.body else None
        except ValueError as error:
            raise Refusal(400, f"The body isn't JSON: {error}.") from None


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
    """

    def __init__(self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or ("UserError" if status < 500 else "ServiceError")  # noqa: PLR2004 - HTTP's own number
        self.headers = headers or {}

    def response(self) -> Response:
        """Return it as a response."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "innerError": None, "details": []}
        details = [{"code": self.code, "message": self.message}]  # where model management's clients look
        body = {"error": error, "statusCode": self.status, "message": self.message, "details": details}
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
    """

    methods: str
    pattern: str
    handler: Handler
    host: str = field(default=ANY_HOST, kw_only=True)
    is_open: bool = field(default=False, kw_only=True)

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
