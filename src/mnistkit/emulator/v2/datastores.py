"""Datastores as resources: the datastore service's own, and the store of runs' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import CONTAINER
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.v2.places import ARTIFACT_STORE
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, listed, properties_of, resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["DatastoreResources"]

_CREATION_TIME = "2026-01-01T00:00:00.000000+00:00"
_SECRET_KEYS = {"AccountKey": "key", "Sas": "sasToken"}
_CONTAINER_PERMISSIONS = "racwdl"


class DatastoreResources:
    """The datastores of a workspace. Those of its own account are opened by the account's key, as on Azure."""

    def __init__(self, workspace: Workspace, datastores: Datastores, blobs: Blobs) -> None:
        self._workspace, self._datastores, self._blobs = workspace, datastores, blobs

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        base, host = "{scope}/datastores", MANAGEMENT_HOST
        return (
            Route("GET", base, self._list, host=host),
            Route("GET", f"{base}/{{name}}", self._get, host=host),
            Route("PUT", f"{base}/{{name}}", self._put, host=host),
            Route("DELETE", f"{base}/{{name}}", self._delete, host=host),
            Route("POST", f"{base}/{{name}}/listSecrets", self._list_secrets, host=host),
        )

    def _described(self, name: str) -> dict[str, Any]:
        if name.lower() != ARTIFACT_STORE:
            return self._datastores.describe(name)
        section = {**self._datastores.describe(self._datastores.default)["azureStorageSection"]}
        about = {"name": ARTIFACT_STORE, "createdTime": _CREATION_TIME, "isDefault": False, "tags": {}}
        return about | {"azureStorageSection": section | {"containerName": CONTAINER}}

    def _is_own(self, section: Mapping[str, Any]) -> bool:
        return bool(section["accountName"] == self._workspace.storage_account)

    def _shown(self, name: str) -> dict[str, Any]:
        about = self._described(name)
        section = about["azureStorageSection"]
        kind = "AccountKey" if self._is_own(section) else section["credentialType"]
        properties = {
            "datastoreType": "AzureBlob",
            "accountName": section["accountName"],
            "containerName": section["containerName"],
            "endpoint": section["endpoint"],
            "protocol": section["protocol"],
            "credentials": {"credentialsType": kind},
            "serviceDataAccessAuthIdentity": "None",
            "isDefault": about["isDefault"],
            "description": None,
            "tags": about["tags"],
            "properties": {},
            "subscriptionId": self._workspace.subscription_id,
            "resourceGroup": self._workspace.resource_group,
        }
        path = f"datastores/{about['name']}"
        return resource(self._workspace, path, "datastores", properties, created=about["createdTime"])

    def _list(self, request: Request) -> Response:
        found = [self._shown(name) for name in (*self._datastores.names(), ARTIFACT_STORE)]
        if request.query.get("isDefault", "").lower() == "true":
            found = [each for each in found if each["properties"]["isDefault"]]
        return listed(request, found)

    def _get(self, request: Request, name: str) -> Response:
        return Response.json(self._shown(name))

    def _put(self, request: Request, name: str) -> Response:
        if name.lower() == ARTIFACT_STORE:
            raise Refusal(400, f"Datastore {name!r} is the workspace's own: it can't be changed.")
        sent = properties_of(request)
        credentials = sent.get("credentials") or {}
        kind = str(credentials.get("credentialsType") or "None")
        secret = (credentials.get("secrets") or {}).get(_SECRET_KEYS.get(kind, ""))
        section = {key: sent.get(key) for key in ("accountName", "containerName", "endpoint", "protocol")}
        if self._is_own(section) and kind != "Sas":  # its clients get the account's key in any case
            container = str(section["containerName"])
            kind, secret = "Sas", self._blobs.container_sas(container, _CONTAINER_PERMISSIONS).removeprefix("?")
        if kind not in {*_SECRET_KEYS, "None"}:
            raise NotEmulated("datastores", f"Datastores aren't opened by {kind!r} here: use a key or a signature.")
        before = name.lower() in self._datastores.names()
        if not before:
            self._datastores.add(
                {
                    "name": name,
                    "dataStoreType": sent.get("datastoreType"),
                    "tags": sent.get("tags") or {},
                    "azureStorageSection": {**section, "credentialType": kind, "credential": secret},
                }
            )
        return Response.json(self._shown(name), 200 if before else 201)

    def _delete(self, request: Request, name: str) -> Response:
        self._datastores.remove(name)
        return Response.json({})

    def _list_secrets(self, request: Request, name: str) -> Response:
        """Return the secret of a datastore. The SDK's own log reader can't use a signature, so it is the key."""
        section = self._described(name)["azureStorageSection"]
        if self._is_own(section):
            return Response.json({"secretsType": "AccountKey", "key": self._blobs.account_key})
        if section["credentialType"] not in _SECRET_KEYS:
            raise Refusal(404, f"Datastore {name!r} has no secret.", code="NotFound")
        key = _SECRET_KEYS[section["credentialType"]]
        return Response.json({"secretsType": section["credentialType"], key: section["credential"]})
