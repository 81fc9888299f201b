"""Datasets: saved definitions, and the names and versions under which they are registered."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

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
from mnistkit.emulator.routing import Refusal, Request, Response, Route, parse_json
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Datasets", "file_of"]

_BASE_PATH = "/dataset/v1.0{scope}"
_NAME_PATTERN = re.compile(r"[\w .-]{1,255}")
_UNREGISTERED_PREFIX = "unregistered-"
_PAGE_SIZE = 100
_PATH_PATTERN = re.compile(r'^\s*- (?:pattern|file): "?([^"\n]+?)"?\s*$', re.MULTILINE)
_SAVED_KEYS = ("id", "datasetType", "properties", "dataflowJson", "dataChanged", "dataPath")
_DATASET_KEYS = (
    "datasetId", "datasetState", "latest", "createdTime", "modifiedTime", "etag", "name", "description", "tags",
    "isVisible", "defaultCompute", "datasetType",
)  # fmt: skip


class Datasets:
    """Azure's dataset service, and the part of its data assets that the SDK reads definitions from.

    Registering what is the newest version already gives that version again.
    """

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self._saved, self._named, self._lock = store.table("saved_datasets"), store.table("datasets"), store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("POST", f"{_BASE_PATH}/saveddatasets", self._ensure_saved),
            Route("GET", f"{_BASE_PATH}/saveddatasets/{{saved_id}}", self._get_saved),
            Route("POST", f"{_BASE_PATH}/datasets", self._register),
            Route("GET", f"{_BASE_PATH}/datasets", self._list),
            Route("GET", f"{_BASE_PATH}/datasets/query/name={{name}}", self._by_name),
            Route("GET", f"{_BASE_PATH}/datasets/query/savedDatasetId={{saved_id}}", self._by_saved_id),
            Route("GET", f"{_BASE_PATH}/datasets/{{dataset_id}}", self._by_id),
            Route("PUT", f"{_BASE_PATH}/datasets/{{dataset_id}}", self._update),
            Route("DELETE", f"{_BASE_PATH}/datasets/{{name}}", self._unregister),
            Route("GET", "/data/v1.0{scope}/dataversion/{name}/versions/{version}", self._definition),
        )

    def get(self, saved_id: str) -> dict[str, Any]:
        """Return a saved definition.

        Raises:
            Refusal: 404, if there is none.
        """
        try:
            return self._saved[saved_id]
        except KeyError:
            raise Refusal(404, f"There is no dataset with the id {saved_id!r}.", code="NotFound") from None

    def find(self, name: str, version: str | int | None = None) -> dict[str, Any]:
        """Return the saved definition of a registered version; the newest if none is named.

        Raises:
            Refusal: 404, if there is none.
        """
        return self.get(self._version(self._record(name), version)["savedDatasetId"])

    def registered(self, dataset_id: str, version: str | int | None = None) -> dict[str, Any]:
        """Return the saved definition of a version of the dataset of an id; the newest if none is named.

        Raises:
            Refusal: 404, if there is none.
        """
        return self.get(self._version(self._find_id(dataset_id), version)["savedDatasetId"])

    def _record(self, name: str) -> dict[str, Any]:
        try:
            return self._named[name]
        except KeyError:
            raise Refusal(404, f"There is no dataset {name!r}.", code="NotFound") from None

    @staticmethod
    def _version(record: dict[str, Any], version: str | int | None = None) -> dict[str, Any]:
        versions: list[dict[str, Any]] = record["versions"]
        if version is None:
            return versions[-1]
        found = next((one for one in versions if one["versionId"] == str(version)), None)
        if found is None:
            raise Refusal(404, f"Dataset {record['name']!r} has no version {version}, only 1 to {len(versions)}.")
        return found

    def _described(self, record: dict[str, Any], version: str | int | None = None) -> dict[str, Any]:
        chosen = self._version(record, version)
        saved = self.get(chosen["savedDatasetId"])
        return {
            **{key: record[key] for key in ("name", "datasetType", "description", "tags", "isVisible", "createdTime")},
            "datasetId": record["id"],
            "datasetState": {"state": "active"},
            "modifiedTime": record["versions"][-1]["createdTime"],
            "nextVersionId": str(len(record["versions"]) + 1),
            "etag": None,
            "defaultCompute": None,
            "latest": {
                **chosen,
                "datasetId": record["id"],
                "modifiedTime": chosen["createdTime"],
                "dataflow": saved["dataflowJson"],
                "properties": saved["properties"],
                "datasetDefinitionState": {"state": "active"},
            },
        }

    def _ensure_saved(self, request: Request) -> Response:
        allow_query(request, "withDataHash")
        _refuse(request, "withDataHash")
        sent = body_of(request, *_SAVED_KEYS, needs=["datasetType", "dataflowJson"])
        check_types(sent, datasetType=str, dataflowJson=str, properties=dict)
        return Response.json(self._save(sent["datasetType"], sent["dataflowJson"], sent.get("properties")))

    def _save(self, dataset_type: str, dataflow: str, properties: dict[str, Any] | None) -> dict[str, Any]:
        if dataset_type not in {"file", "tabular"}:
            raise Refusal(400, f"A dataset is of type file or tabular, not {dataset_type!r}.")
        _engine_definition(dataflow)
        saved: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "datasetType": dataset_type,
            "properties": properties or {},
            "dataflowJson": dataflow,
            "dataChanged": False,
            "dataPath": None,
        }
        self._saved[saved["id"]] = saved
        return saved

    def _get_saved(self, request: Request, saved_id: str) -> Response:
        allow_query(request, "checkDataHash", "resolveLegacyId")
        _refuse(request, "checkDataHash")
        return Response.json(self.get(saved_id))

    def _register(self, request: Request) -> Response:
        allow_query(request, "registerAsPending", "ifExistsOk", "updateDefinitionIfExists", "withDataHash")
        _refuse(request, "registerAsPending", "withDataHash")
        sent = body_of(request, *_DATASET_KEYS, needs=["name", "datasetType", "latest"])
        name = check_name(sent["name"], _NAME_PATTERN, "a dataset")
        _check(sent)
        latest = sent["latest"]
        if not latest.get("dataflow"):
            raise Refusal(400, f"Dataset {name!r} has no dataflow: others can't be registered here.")
        with self._lock:
            record = self._named.get(name)
            if record is not None and not (flag(request, "ifExistsOk") or flag(request, "updateDefinitionIfExists")):
                raise Refusal(409, f"There is a dataset {name!r} already.", code="Conflict")
            record = record or self._new(name, sent)
            if not record["versions"] or flag(request, "updateDefinitionIfExists"):
                self._add_version(record, sent["datasetType"], latest)
            record["description"] = sent.get("description") or record["description"]
            record["tags"] = {**record["tags"], **(sent.get("tags") or {})}
            self._named[name] = record
        return Response.json(self._described(record))

    @staticmethod
    def _new(name: str, sent: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "name": name,
            "datasetType": sent["datasetType"],
            "description": None,
            "tags": {},
            "isVisible": sent.get("isVisible") is not False,
            "createdTime": now(),
            "versions": [],
        }

    def _add_version(self, record: dict[str, Any], dataset_type: str, latest: dict[str, Any]) -> None:
        saved_id = latest.get("savedDatasetId")
        if saved_id:
            self._refuse_registered(saved_id, record)
            self.get(saved_id)
        if record["versions"]:
            newest = self.get(record["versions"][-1]["savedDatasetId"])
            is_same = newest["dataflowJson"] == latest["dataflow"] and newest["datasetType"] == dataset_type
            if newest["id"] == saved_id or (is_same and newest["properties"] == (latest.get("properties") or {})):
                return
        saved_id = saved_id or self._save(dataset_type, latest["dataflow"], latest.get("properties"))["id"]
        number_ = str(len(record["versions"]) + 1)
        record["versions"].append({"versionId": number_, "savedDatasetId": saved_id, "createdTime": now()})

    def _refuse_registered(self, saved_id: str, record: dict[str, Any]) -> None:
        for other in self._named.values():
            for version in other["versions"]:
                if version["savedDatasetId"] == saved_id and other["name"] != record["name"]:
                    where = f"{other['name']}:{version['versionId']}"
                    raise Refusal(400, f"The dataset {saved_id} has been registered as {where} (name:version).")

    def _list(self, request: Request) -> Response:
        allow_query(request, "datasetNames", "includeInvisible", "continuationToken", "pageSize",
                    "includeLatestDefinition")  # fmt: skip
        names = set(filter(None, request.query.get("datasetNames", "").split(",")))
        everything = flag(request, "includeInvisible")
        found = [
            record
            for record in self._named.values()
            if (not names or record["name"] in names) and (everything or record["isVisible"])
        ]
        token = request.query.get("continuationToken", "")
        records, following = page(found, size=number(request, "pageSize", _PAGE_SIZE), token=token)
        return Response.json({"value": [self._described(one) for one in records], "continuationToken": following})

    def _by_name(self, request: Request, name: str) -> Response:
        allow_query(request, "versionId", "includeLatestDefinition")
        return Response.json(self._described(self._record(name), request.query.get("versionId")))

    def _by_saved_id(self, request: Request, saved_id: str) -> Response:
        allow_query(request, "continuationToken", "pageSize")
        found = [
            self._described(record, version["versionId"])
            for record in self._named.values()
            for version in record["versions"]
            if version["savedDatasetId"] == saved_id
        ]
        return Response.json({"value": found[: number(request, "pageSize", _PAGE_SIZE)], "continuationToken": None})

    def _find_id(self, dataset_id: str) -> dict[str, Any]:
        found = next((record for record in self._named.values() if record["id"] == dataset_id), None)
        if found is None:
            raise Refusal(404, f"There is no dataset with the id {dataset_id!r}.", code="NotFound")
        return found

    def _by_id(self, request: Request, dataset_id: str) -> Response:
        return Response.json(self._described(self._find_id(dataset_id)))

    def _update(self, request: Request, dataset_id: str) -> Response:
        allow_query(request, "forceUpdate")
        sent = body_of(request, *_DATASET_KEYS)
        _check(sent)
        with self._lock:
            record = self._find_id(dataset_id)
            if sent.get("name") not in {None, record["name"]}:
                raise Refusal(400, f"Dataset {record['name']!r} can't be renamed: register it under another name.")
            record["tags"], record["description"] = sent.get("tags") or {}, sent.get("description")
            self._named[record["name"]] = record
        return Response.json(self._described(record, (sent.get("latest") or {}).get("versionId")))

    def _unregister(self, request: Request, name: str) -> Response:
        self._record(name)
        del self._named[name]
        return Response.json({})

    def _definition(self, request: Request, name: str, version: str) -> Response:
        allow_query(request, "includeSavedDatasets")
        if not name.startswith(_UNREGISTERED_PREFIX):
            raise Refusal(404, f"There is no data asset {name!r}: the emulator has datasets alone.", code="NotFound")
        saved = self.get(name.removeprefix(_UNREGISTERED_PREFIX))
        return Response.json({"legacyDataflow": _engine_definition(saved["dataflowJson"]), "dataVersion": {}})


def _check(sent: dict[str, Any]) -> None:
    check_types(sent, name=str, datasetType=str, description=str, latest=dict)
    check_texts(sent, "tags")
    check_types(sent.get("latest") or {}, dataflow=str, savedDatasetId=str, versionId=str, properties=dict)


def file_of(saved: Mapping[str, Any]) -> str:
    """Return the name of the one file that a definition may stand for; empty if it can't be one."""
    found = _PATH_PATTERN.findall(str(_engine_definition(saved["dataflowJson"])))
    if len(found) != 1 or set(found[0]) & set("*?[{") or found[0].endswith("/"):
        return ""
    return unquote(found[0].rpartition("/")[2])


def _engine_definition(dataflow: str) -> Any:
    try:
        return parse_json(dataflow, "The dataflow")["meta"]["RsDataflow"]
    except (LookupError, TypeError):
        raise Refusal(400, "The dataflow of a dataset has to be JSON with a meta.RsDataflow.") from None


def _refuse(request: Request, *names: str) -> None:
    for name in names:
        if flag(request, name):
            raise NotEmulated("datasets", f"The emulator can't do what the query parameter {name} asks for.")
