"""The common parts of Azure Resource Manager's resources: their shape, lists, views, ids and durations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mnistkit.emulator.payloads import body_of, number
from mnistkit.emulator.routing import Refusal, Request, Response
from mnistkit.emulator.workspace import Workspace

__all__ = ["MANAGEMENT_HOST", "in_view", "listed", "name_in", "parts_of", "properties_of", "resource", "seconds_of"]

MANAGEMENT_HOST = "management.azure.com"
_TYPE_PREFIX = "Microsoft.MachineLearningServices/workspaces"
_VIEWS = ("ActiveOnly", "ArchivedOnly", "All")
_ALL_ITEMS = 1 << 30
_DURATION_PATTERN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNIT_SECONDS = (86400, 3600, 60, 1)


def resource(
    workspace: Workspace, path: str, kind: str, properties: Mapping[str, Any], *, created: str, modified: str = ""
) -> dict[str, Any]:
    """Return a resource of a workspace.

    Args:
        workspace: The workspace.
        path: Of the resource below it: ``jobs/NAME``.
        kind: Its type below the workspace's: ``jobs``.
        properties: Its properties.
        created: When it was created.
        modified: When it was changed last; empty for never.
    """
    who = {"createdBy": "emulator", "createdByType": "User", "lastModifiedBy": "emulator", "lastModifiedByType": "User"}
    return {
        "id": f"{workspace.scope}/{path}",
        "name": path.rpartition("/")[2],
        "type": f"{_TYPE_PREFIX}/{kind}",
        "properties": dict(properties),
        "systemData": {**who, "createdAt": created, "lastModifiedAt": modified or created},
    }


def properties_of(request: Request) -> dict[str, Any]:
    """Return the properties of a resource that a request creates.

    Raises:
        Refusal: 400: it has none.
    """
    properties = body_of(request).get("properties")
    if not isinstance(properties, dict):
        raise Refusal(400, f"What was sent to {request.path} has no properties.")
    return properties


def listed(request: Request, items: Iterable[Mapping[str, Any]]) -> Response:
    """Return a list of resources as one page, of ``$top`` of them if the request has it."""
    return Response.json({"value": list(items)[: number(request, "$top", _ALL_ITEMS)]})


def in_view(request: Request, *, is_archived: bool) -> bool:
    """Return True if the view that a request lists shows what is, or isn't, archived.

    Raises:
        Refusal: 400: there is no such view.
    """
    view = request.query.get("listViewType", "ActiveOnly")
    if view not in _VIEWS:
        raise Refusal(400, f"There is no view {view!r}: use one of {_VIEWS}.")
    return view == "All" or (view == "ArchivedOnly") is is_archived


def name_in(resource_id: object, kind: str) -> str:
    """Return the name of a resource in its id, or an id that is a name alone; empty for none.

    Args:
        resource_id: Such as ``/subscriptions/.../computes/NAME``.
        kind: ``computes``.
    """
    text = str(resource_id or "").strip("/")
    head, slash, name = text.rpartition("/")
    if slash and not head.lower().endswith(f"/{kind}".lower()):
        raise Refusal(400, f"{resource_id!r} isn't the id of one of {kind}.")
    return name


def parts_of(resource_id: object, kind: str) -> tuple[str, str]:
    """Return the name and the version in the id of an asset.

    Raises:
        Refusal: 400: it isn't one of that kind.
    """
    found = re.search(rf"(?:^|/){kind}/([^/]+)/versions/([^/]+)/?$", str(resource_id), re.IGNORECASE)
    if found is None:
        raise Refusal(400, f"{resource_id!r} isn't the id of a version of {kind}.")
    return found[1], found[2]


def seconds_of(duration: object) -> float | None:
    """Return the seconds of an ISO 8601 duration such as ``PT5M``; None for none.

    Raises:
        Refusal: 400: it isn't one.
    """
    if not duration:
        return None
    found = _DURATION_PATTERN.fullmatch(str(duration))
    if found is None or not any(found.groups()):
        raise Refusal(400, f"{duration!r} isn't a duration such as 'PT5M'.")
    return sum(float(count or 0) * unit for count, unit in zip(found.groups(), _UNIT_SECONDS, strict=True))
