"""Entities of the pipeline service: their common fields, their states, the shape of an error."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.payloads import flag, now
from mnistkit.emulator.routing import Handler, Refusal, Request, Response, Route
from mnistkit.emulator.store import Table

__all__ = [
    "ACTIVE",
    "BASE_PATH",
    "active",
    "blob_location",
    "entity_of",
    "new_entity",
    "pipeline_routes",
    "status_word",
]

BASE_PATH = "/pipelines/v1.0{scope}"
ACTIVE = "Active"
_STATUS_WORDS = {"0": ACTIVE, "1": "Deprecated", "2": "Disabled"}


def new_entity(**fields: Any) -> dict[str, Any]:
    """Return an entity with a new id and the fields that all have."""
    time = now()
    about = {"Id": str(uuid.uuid4()), "Etag": None, "CreatedDate": time, "LastModifiedDate": time}
    return {**about, "EntityStatus": ACTIVE, **fields}


def entity_of(table: Table, key: str, kind: str) -> Mapping[str, Any]:
    """Return an entity by its id; it must not be changed.

    Args:
        table: Where such entities are kept.
        key: Its id.
        kind: Their name for the message.

    Raises:
        Refusal: 404: there is none.
    """
    if key not in table:
        raise Refusal(404, f"There is no {kind} {key!r}.", code="NotFound")
    return table.view(key)


def status_word(sent: object) -> str:
    """Return an entity's status as a word; clients send numbers too.

    Raises:
        Refusal: 400: there is no such status.
    """
    word = _STATUS_WORDS.get(str(sent), str(sent))
    if word not in _STATUS_WORDS.values():
        raise Refusal(400, f"An entity's status is one of {sorted(_STATUS_WORDS.values())}, not {sent!r}.")
    return word


def active(request: Request, entities: Sequence[Mapping[str, Any]]) -> Response:
    """Return entities as a response, the newest first; of none but active ones, if that is asked for."""
    only = flag(request, "activeOnly")
    found = [each for each in reversed(entities) if not only or each["EntityStatus"] == ACTIVE]
    return Response.json(found)


def blob_location(datastore: str, path: str) -> dict[str, Any]:
    """Return the location of a path in a datastore."""
    reference = {"AmlDataStoreName": datastore, "RelativePath": path}
    return {"StorageType": "DataReference", "DataReference": {"Type": "AzureBlob", "AzureBlobReference": reference}}


def pipeline_routes(handlers: Mapping[str, Handler]) -> Sequence[Route]:
    """Return the routes of handlers by ``METHOD path``; their refusals have the shape that the SDK reads."""
    found = []
    for asked, handler in handlers.items():
        methods, _, path = asked.partition(" ")
        found.append(Route(methods, f"{BASE_PATH}/{path}", _with_error(handler)))
    return found


def _with_error(handler: Handler) -> Handler:
    def handle(request: Request, **parts: str) -> Response:
        try:
            return handler(request, **parts)
        except Refusal as refusal:
            refusal.more = {"Error": {"Code": refusal.code, "Message": refusal.message}}
            raise

    return handle
