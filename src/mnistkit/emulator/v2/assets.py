"""Versioned assets: code, data, environments and components, recorded by name and version."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.payloads import check_name, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.curated import curated_definition, is_curated
from mnistkit.emulator.store import Store
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, in_view, listed, properties_of, resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["Assets", "container_properties"]

_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_FIXED_KEYS: Mapping[str, Sequence[str]] = {
    "codes": ("codeUri",),
    "data": ("dataUri", "dataType"),
    "environments": ("image", "condaFile", "build"),
    "components": ("componentSpec",),
}
_PATH_KEYS = frozenset({"codeUri", "dataUri"})
_CHANGEABLE_KEYS = ("description", "tags", "properties", "isArchived")
_UPLOAD_PERMISSIONS = "racwdl"
_CURATED_TIME = "2026-01-01T00:00:00.000000+00:00"


class Assets:
    """The assets of a workspace.

    A version is never changed but for its description, tags, properties and whether it is archived.
    """

    def __init__(self, workspace: Workspace, store: Store, blobs: Blobs) -> None:
        self._workspace, self._blobs = workspace, blobs
        self._table, self._containers = store.table("assets_v2"), store.table("asset_containers_v2")
        self._lock = store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        found = []
        for kind in _FIXED_KEYS:
            base = f"{{scope}}/{kind}"
            handlers = [
                ("GET", base, self._list_containers),
                ("GET", f"{base}/{{name}}", self._get_container),
                ("PUT", f"{base}/{{name}}", self._put_container),
                ("GET", f"{base}/{{name}}/versions", self._list),
                ("GET", f"{base}/{{name}}/versions/{{version}}", self._get),
                ("PUT", f"{base}/{{name}}/versions/{{version}}", self._put),
            ]
            found += [
                Route(method, path, _of_kind(kind, handler), host=MANAGEMENT_HOST) for method, path, handler in handlers
            ]
        upload = "{scope}/codes/{name}/versions/{version}/startPendingUpload"
        return [*found, Route("POST", upload, self._start_upload, host=MANAGEMENT_HOST)]

    def get(self, kind: str, name: str, version: str) -> dict[str, Any]:
        """Return the properties of a version; one of a curated environment is always there.

        Raises:
            Refusal: 404: there is none.
        """
        return self._find(kind, name, version)["properties"]  # type: ignore[no-any-return]

    def add(self, kind: str, name: str, version: str, properties: Mapping[str, Any]) -> bool:
        """Add a version, or change one's description, tags and properties; return True if it is new.

        Raises:
            Refusal: 400: these can't be its names, or the version has another path; 409: it has another content.
        """
        check_name(name, _NAME_PATTERN, f"one of {kind}")
        check_name(version, _NAME_PATTERN, "a version")
        key, time = f"{kind}/{name}/{version}", now()
        with self._lock:
            known = self._table.get(key)
            record = {"kind": kind, "name": name, "version": version, "created": time, **(known or {})}
            if known is not None:
                self._check_fixed(record, properties)
                changes = {each: properties[each] for each in _CHANGEABLE_KEYS if properties.get(each) is not None}
                record["properties"] = {**known["properties"], **changes}
            else:
                usual = {"isAnonymous": False, "isArchived": False, "tags": {}, "properties": {}}
                sent = {key: value for key, value in properties.items() if value is not None}
                record["properties"] = {**usual, **sent, "provisioningState": "Succeeded"}
            record["modified"] = time
            self._table[key] = record
            self._containers.setdefault(f"{kind}/{name}", {"kind": kind, "name": name, "created": time})
        return known is None

    def next_version(self, kind: str, name: str) -> str:
        """Return the number after the highest that a version of a name has."""
        return str(container_properties([each["version"] for each in self._versions(kind, name)], {})["nextVersion"])

    def _check_fixed(self, record: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        before = record["properties"]
        changed = [
            key for key in _FIXED_KEYS[record["kind"]] if properties.get(key, before.get(key)) != before.get(key)
        ]
        if _PATH_KEYS & set(changed):
            raise Refusal(400, "Asset paths cannot be updated.")
        if changed:
            what = f"Version {record['version']!r} of {record['name']!r}"
            text = f"{what} is there already, and its {', '.join(changed)} can't be changed."
            raise Refusal(409, text, code="Conflict")  # by which the SDK knows to take the next number

    def _find(self, kind: str, name: str, version: str) -> dict[str, Any]:
        found = self._table.get(f"{kind}/{name}/{version}")
        if found is None and kind == "environments" and is_curated(name):
            definition = curated_definition(name, version)
            about = {"image": definition["docker"]["baseImage"], "environmentType": "Curated", "osType": "Linux"}
            found = {"kind": kind, "name": name, "version": version, "created": _CURATED_TIME, "properties": about}
        if found is None:
            raise Refusal(404, f"There is no version {version!r} of {name!r} in {kind}.", code="ResourceNotFound")
        return found

    def _versions(self, kind: str, name: str) -> list[Mapping[str, Any]]:
        """Return the versions of a name, the newest first."""
        found = [each for each in self._table.views() if each["kind"] == kind and each["name"] == name]
        if not found and kind == "environments" and is_curated(name):
            found = [self._find(kind, name, curated_definition(name)["version"])]
        return found[::-1]

    def _shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        path = f"{record['kind']}/{record['name']}/versions/{record['version']}"
        times = {"created": record["created"], "modified": record.get("modified", "")}
        return resource(self._workspace, path, f"{record['kind']}/versions", record["properties"], **times)

    def _shown_container(self, kind: str, name: str) -> dict[str, Any]:
        versions = self._versions(kind, name)
        record = self._containers.get(f"{kind}/{name}")
        if record is None and not versions:
            raise Refusal(404, f"There is no {name!r} in {kind}.", code="ResourceNotFound")
        properties = container_properties([each["version"] for each in versions], record or {})
        created = record["created"] if record else versions[-1]["created"]
        return resource(self._workspace, f"{kind}/{name}", kind, properties, created=created)

    def _list_containers(self, request: Request, kind: str) -> Response:
        names = [each["name"] for each in self._containers.views() if each["kind"] == kind]
        found = [self._shown_container(kind, name) for name in names]
        shown = [each for each in found if in_view(request, is_archived=each["properties"]["isArchived"])]
        return listed(request, shown)

    def _get_container(self, request: Request, kind: str, name: str) -> Response:
        return Response.json(self._shown_container(kind, name))

    def _put_container(self, request: Request, kind: str, name: str) -> Response:
        check_name(name, _NAME_PATTERN, f"one of {kind}")
        sent = properties_of(request)
        with self._lock:
            known = self._containers.get(f"{kind}/{name}", {"kind": kind, "name": name, "created": now()})
            changes = {key: sent[key] for key in _CHANGEABLE_KEYS if sent.get(key) is not None}
            self._containers[f"{kind}/{name}"] = known | changes
        return Response.json(self._shown_container(kind, name))

    def _list(self, request: Request, kind: str, name: str) -> Response:
        digest = request.query.get("hash")
        if digest and kind == "codes":  # an anonymous folder has another name in each request
            of_kind = [each for each in self._table.views() if each["kind"] == kind]
            found = [each for each in of_kind if each["properties"]["properties"].get("hash_sha256") == digest]
        else:
            found = self._versions(kind, name)
            found = [each for each in found if in_view(request, is_archived=bool(each["properties"].get("isArchived")))]
        return listed(request, map(self._shown, found))

    def _get(self, request: Request, kind: str, name: str, version: str) -> Response:
        return Response.json(self._shown(self._find(kind, name, version)))

    def _put(self, request: Request, kind: str, name: str, version: str) -> Response:
        is_new = self.add(kind, name, version, properties_of(request))
        return Response.json(self._shown(self._find(kind, name, version)), 201 if is_new else 200)

    def _start_upload(self, request: Request, name: str, version: str) -> Response:
        """Return a new container, and a signature to upload with."""
        upload = str(uuid.uuid4())
        url = f"https://{self._workspace.blob_host}/upload-{upload}"
        signature = self._blobs.container_sas(f"upload-{upload}", _UPLOAD_PERMISSIONS).removeprefix("?")
        credential = {"credentialType": "SAS", "sasUri": f"{url}?{signature}"}
        reference = {"blobUri": url, "storageAccountArmId": self._workspace.storage_account, "credential": credential}
        about = {"pendingUploadType": "TemporaryBlobReference", "pendingUploadId": upload}
        return Response.json(about | {"blobReferenceForConsumption": reference})


def container_properties(versions: Sequence[str], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a name with versions.

    Args:
        versions: The newest first.
        about: Its description, tags, properties, and whether it is archived.
    """
    numbers = [int(each) for each in versions if each.isascii() and each.isdigit()]
    return {
        "description": about.get("description"),
        "tags": about.get("tags") or {},
        "properties": about.get("properties") or {},
        "isArchived": bool(about.get("isArchived")),
        "latestVersion": versions[0] if versions else None,
        "nextVersion": str(max(numbers, default=0) + 1),
        "provisioningState": "Succeeded",
    }


def _of_kind(kind: str, handler: Any) -> Any:
    def handle(request: Request, **parts: str) -> Response:
        response: Response = handler(request, kind=kind, **parts)
        return response

    return handle
