"""Datastores: names for containers of the workspace's storage account, with the signature that opens them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import (
    allow_query,
    body_of,
    check_name,
    check_texts,
    check_types,
    flag,
    now,
    number,
    page,
)
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["DEFAULT_DATASTORE", "ContainerSignatures", "Datastores"]

DEFAULT_DATASTORE = "workspaceblobstore"
_DEFAULT_CONTAINER = "azureml-blobstore"  # not by the workspace's id: the SDK's engine remembers it while it runs
_BASE_PATH = "/datastore/v1.0{scope}"
_NAME_PATTERN = re.compile(r"[a-z0-9_]{1,255}")
_CONTAINER_PATTERN = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
_CONTAINER_PERMISSIONS = "racwdl"
_STORAGE_ENDPOINT = "core.windows.net"
_TEXT_KEYS = ("accountName", "endpoint", "protocol", "credentialType", "credential")
_CONFLICT_MESSAGE = "Another datastore with the same name already exists"
_PAGE_SIZE = 100
_DATASTORE_KEYS = ("name", "dataStoreType", "hasBeenValidated", "tags", "azureStorageSection", "isDefault")


class ContainerSignatures(Protocol):
    """The part of the blob service that datastores need."""

    def container_sas(self, container: str, permissions: str) -> str:
        """Return a signature that opens a container."""


class Datastores:
    """Azure's datastore service, for blob containers opened by shared access signatures.

    The workspace's own datastore is always there; its signature is a fresh one in each answer.
    """

    def __init__(
        self, workspace: Workspace, store: Store, blobs: ContainerSignatures, provided: Collection[str] = ()
    ) -> None:
        """Open the table.

        Args:
            workspace: Whose datastores.
            store: Its state.
            blobs: Signs for its containers.
            provided: Containers of other accounts that folders stand in for, as ``ACCOUNT/CONTAINER``.
        """
        self._workspace, self._blobs, self._provided = workspace, blobs, provided
        self._table, self._lock = store.table("datastores"), store.lock
        if DEFAULT_DATASTORE not in self._table:
            self._table[DEFAULT_DATASTORE] = {"container": _DEFAULT_CONTAINER, "sas": None, "tags": {}, "time": now()}
            self._set_default(DEFAULT_DATASTORE)

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("GET", f"{_BASE_PATH}/datastores", self._list),
            Route("POST", f"{_BASE_PATH}/datastores", self._register),
            Route("GET", f"{_BASE_PATH}/datastores/{{name}}", self._get),
            Route("PUT", f"{_BASE_PATH}/datastores/{{name}}", self._update),
            Route("DELETE", f"{_BASE_PATH}/datastores/{{name}}", self._delete),
            Route("GET", f"{_BASE_PATH}/default", self._get_default),
            Route("PUT", f"{_BASE_PATH}/default/{{name}}", self._change_default),
        )

    @property
    def default(self) -> str:
        """The name of the default datastore."""
        return next(name for name, record in self._table.items() if record.get("isDefault"))

    def container(self, name: str) -> str:
        """Return the container that a datastore stands for.

        Raises:
            Refusal: 404, if there is no such datastore.
        """
        return str(self._record(name)["container"])

    def names(self) -> list[str]:
        """Return the names of all datastores, the oldest first."""
        return list(self._table)

    def describe(self, name: str) -> dict[str, Any]:
        """Return a datastore, with the secret that opens it, in the service's own shape.

        Raises:
            Refusal: 404: there is no such datastore.
        """
        return self._described(name)

    def add(self, sent: dict[str, Any]) -> str:
        """Add a datastore, in the service's own shape; return its name. The same again changes nothing.

        Raises:
            Refusal: 400: these can't be a datastore's fields, or there is another of that name.
        """
        name = check_name(str(sent["name"]).lower(), _NAME_PATTERN, "a datastore")
        record = self._checked(sent)
        with self._lock:
            known = self._table.get(name)
            if known is not None and {**known, **record, "time": known["time"], "tags": known["tags"]} != known:
                raise Refusal(
                    400, f"{_CONFLICT_MESSAGE}: {name!r} is container {known['container']!r}.", code="Conflict"
                )
            if known is None:
                self._table[name] = record
        return name

    def remove(self, name: str) -> None:
        """Remove a datastore; its files stay.

        Raises:
            Refusal: 404: there is no such datastore; 400: it is the default one.
        """
        with self._lock:
            if self._record(name).get("isDefault"):
                raise Refusal(400, f"Datastore {name!r} is the default one: make another the default first.")
            del self._table[name.lower()]

    def _record(self, name: str) -> dict[str, Any]:
        try:
            return self._table[name.lower()]
        except KeyError:
            raise Refusal(404, f"There is no datastore {name!r}.", code="NotFound") from None

    def _described(self, name: str) -> dict[str, Any]:
        record = self._record(name)
        key = record.get("key")
        signature = None if key else record["sas"]
        if self._is_own(record):
            signature = self._blobs.container_sas(record["container"], _CONTAINER_PERMISSIONS).removeprefix("?")
        kind = "AccountKey" if key else "Sas" if signature else "None"
        return {
            "name": name.lower(),
            "dataStoreType": "AzureBlob",
            "hasBeenValidated": self._is_own(record),
            "tags": record["tags"],
            "isDefault": bool(record.get("isDefault")),
            "createdTime": record["time"],
            "modifiedTime": record["time"],
            "azureStorageSection": {
                "accountName": record.get("account") or self._workspace.storage_account,
                "containerName": record["container"],
                "endpoint": _STORAGE_ENDPOINT,
                "protocol": "https",
                "credentialType": kind,
                "credential": key or signature,
                "isSas": kind == "Sas",
                "sasToken": signature,
                "accountKey": key,
                "clientCredentials": None,
                "blobCacheTimeout": None,
                "areWorkspaceManagedIdentitiesAllowed": False,
                "serviceDataAccessAuthIdentity": "None",
                "subscriptionId": self._workspace.subscription_id,
                "resourceGroup": self._workspace.resource_group,
            },
        }

    @staticmethod
    def _is_own(record: dict[str, Any]) -> bool:
        return record["sas"] is None and not record.get("account")

    def _list(self, request: Request) -> Response:
        allow_query(request, "continuationToken", "count", "includeSecret")
        size, token = number(request, "count", _PAGE_SIZE), request.query.get("continuationToken", "")
        names, following = page(list(self._table), size=size, token=token)
        return Response.json({"value": [self._described(name) for name in names], "continuationToken": following})

    def _get(self, request: Request, name: str) -> Response:
        return Response.json(self._described(name))

    def _get_default(self, request: Request) -> Response:
        return Response.json(self._described(self.default))

    def _change_default(self, request: Request, name: str) -> Response:
        self._record(name)
        self._set_default(name.lower())
        return Response.json({})

    def _set_default(self, default: str) -> None:
        with self._lock:
            for name in self._table:
                with self._table.change(name) as record:
                    record["isDefault"] = name == default

    def _register(self, request: Request) -> Response:
        allow_query(request, "createIfNotExists", "skipValidation")
        flag(request, "createIfNotExists")  # a container is there as soon as it holds a blob
        sent = body_of(request, *_DATASTORE_KEYS, needs=["name", "dataStoreType", "azureStorageSection"])
        return Response.json(self._described(self.add(sent)))

    def _update(self, request: Request, name: str) -> Response:
        allow_query(request, "createIfNotExists", "skipValidation")
        known = self._record(name)
        if self._is_own(known):
            raise Refusal(400, f"Datastore {name!r} is the workspace's own: it can't be changed.")
        sent = body_of(request, *_DATASTORE_KEYS, needs=["dataStoreType", "azureStorageSection"])
        self._table[name.lower()] = {**self._checked(sent), "isDefault": bool(known.get("isDefault"))}
        return Response.json(self._described(name))

    def _checked(self, sent: dict[str, Any]) -> dict[str, Any]:
        check_types(sent, dataStoreType=str, azureStorageSection=dict)
        check_texts(sent, "tags")
        if sent["dataStoreType"] != "AzureBlob":
            kind = sent["dataStoreType"]
            message = f"Datastores of type {kind!r} aren't emulated: register an Azure blob container."
            raise NotEmulated("datastores", message)
        section = sent["azureStorageSection"]
        check_types(section, **dict.fromkeys(_TEXT_KEYS, str))
        if section.get("endpoint") not in {None, _STORAGE_ENDPOINT} or section.get("protocol") not in {None, "https"}:
            raise Refusal(400, f"The emulator's storage is at https and {_STORAGE_ENDPOINT!r} alone.")
        container = check_name(section.get("containerName"), _CONTAINER_PATTERN, "a container")
        kind, credential = section.get("credentialType"), str(section.get("credential") or "")
        record = {"container": container, "sas": None, "tags": sent.get("tags") or {}, "time": now()}
        if section.get("accountName") == self._workspace.storage_account:
            if kind != "Sas" or not credential:
                raise Refusal(400, "The workspace's storage is opened by signatures: register it with sas_token=.")
            return record | {"sas": credential.removeprefix("?")}
        return record | self._checked_provided(str(section.get("accountName")), container, kind, credential)

    def _checked_provided(self, account: str, container: str, kind: str | None, credential: str) -> dict[str, Any]:
        """Return what is known of a container that a folder stands in for; its credential isn't checked."""
        if f"{account}/{container}" not in self._provided:
            option = f"--blob {account}/{container}=FOLDER serves a folder in its place"
            raise NotEmulated(
                "data", f"There is no container {container!r} of a storage account {account!r}: {option}."
            )
        if kind == "AccountKey":
            return {"account": account, "key": credential}
        if kind not in {"Sas", "None", None}:
            raise NotEmulated(
                "datastores", f"Datastores aren't opened by {kind!r} here: use account_key= or sas_token=."
            )
        return {"account": account, "sas": credential.removeprefix("?") or None}

    def _delete(self, request: Request, name: str) -> Response:
        self.remove(name)
        return Response.json({})
