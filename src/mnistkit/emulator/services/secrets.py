"""The workspace's key vault: secrets by name, in memory alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.payloads import body_of, check_name, check_types, list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route

__all__ = ["Secrets"]

_BASE_PATH = "/credential/v2.0{scope}/secrets"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9-]{1,127}")
_SECRET_KEYS = ("name", "value", "createdTime", "modifiedTime", "contentType")


class Secrets:
    """Azure's credential service.

    Nothing is written to the state: a secret doesn't outlive the emulator.
    """

    def __init__(self) -> None:
        self._secrets: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("PUT", _BASE_PATH, self._put),
            Route("GET", _BASE_PATH, self._list),
            Route("PUT", f"{_BASE_PATH}:putbatch", self._put_many),
            Route("POST", f"{_BASE_PATH}:getbatch", self._get_many),
            Route("POST", f"{_BASE_PATH}:deletebatch", self._delete_many),
            Route("GET", f"{_BASE_PATH}/{{name}}", self._get),
            Route("DELETE", f"{_BASE_PATH}/{{name}}", self._delete),
        )

    def _put(self, request: Request) -> Response:
        return Response.json(self._keep(body_of(request, *_SECRET_KEYS, needs=["name", "value"])))

    def _put_many(self, request: Request) -> Response:
        sent = list_of(body_of(request, "secrets", "notFoundSecrets"), "secrets", dict)
        kept = [self._keep(each) for each in sent]
        return Response.json({"secrets": kept, "notFoundSecrets": []})

    def _keep(self, sent: dict[str, Any]) -> dict[str, Any]:
        name = check_name(sent.get("name"), _NAME_PATTERN, "a secret")
        check_types(sent, value=str, contentType=str)
        if sent.get("value") is None:
            raise Refusal(400, f"The secret {name!r} has no value.")
        with self._lock:
            known = self._secrets.get(name.lower(), {"createdTime": now()})
            secret = {**known, "name": name, "value": sent["value"], "modifiedTime": now()}
            self._secrets[name.lower()] = secret | {"contentType": sent.get("contentType") or "NotProvided"}
        return {key: value for key, value in self._secrets[name.lower()].items() if key != "value"}

    def _list(self, request: Request) -> Response:
        with self._lock:
            found = [{**secret, "value": None} for secret in self._secrets.values()]
        return Response.json({"value": found, "continuationToken": None, "nextLink": None})

    def _get(self, request: Request, name: str) -> Response:
        secret = self._secrets.get(name.lower())
        if secret is None:
            raise Refusal(404, f"There is no secret {name!r}.", code="SecretNotFound")
        return Response.json(secret)

    def _get_many(self, request: Request) -> Response:
        names = self._names(request)
        found = [self._secrets[name.lower()] for name in names if name.lower() in self._secrets]
        missing = [name for name in names if name.lower() not in self._secrets]
        return Response.json({"secrets": found, "notFoundSecrets": missing})

    def _delete(self, request: Request, name: str) -> Response:
        self._secrets.pop(name.lower(), None)
        return Response.json({})

    def _delete_many(self, request: Request) -> Response:
        for name in self._names(request):
            self._secrets.pop(name.lower(), None)
        return Response.json({})

    @staticmethod
    def _names(request: Request) -> list[str]:
        sent = list_of(body_of(request, "secrets", "notFoundSecrets"), "secrets", dict)
        return [str(each.get("name")) for each in sent]
