"""Models and the assets that say which artifacts they are made of."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.payloads import (
    allow_query,
    apply_patch,
    body_of,
    check_name,
    check_texts,
    check_types,
    flag,
    has_all,
    now,
    number,
    page,
)
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Models"]

_BASE_PATH = "/modelmanagement/v1.0{scope}"
_NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_ASSET_PREFIX = "aml://asset/"
_PAGE_SIZE = 255
_MODEL_KEYS = (
    "name", "url", "mimeType", "description", "framework", "frameworkVersion", "datasets", "unpack", "parentModelId",
    "runId", "experimentName", "kvTags", "properties", "sampleInputData", "sampleOutputData", "resourceRequirements",
)  # fmt: skip
_CHANGEABLE_KEYS = ("kvTags", "properties", "description", "datasets", "sampleInputData", "sampleOutputData",
               "resourceRequirements")  # fmt: skip
_TEXT_KEYS = (
    "description",
    "framework",
    "frameworkVersion",
    "runId",
    "experimentName",
    "sampleInputData",
    "sampleOutputData",
)
_SORT_KEYS = {
    "CreatedAtDesc": ("createdTime", True),
    "CreatedAtAsc": ("createdTime", False),
    "UpdatedAtDesc": ("modifiedTime", True),
    "UpdatedAtAsc": ("modifiedTime", False),
}


class Models:
    """Azure's model management: names with numbered versions.

    A version's number is never given twice, not even after it is deleted.
    """

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self._workspace = workspace
        self._models, self._assets = store.table("models"), store.table("assets")
        self._numbers, self._services = store.table("model_numbers"), store.table("webservices")
        self._lock = store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("POST", f"{_BASE_PATH}/assets", self._create_asset),
            Route("GET", f"{_BASE_PATH}/assets", self._list_assets),
            Route("GET", f"{_BASE_PATH}/assets/{{asset_id}}", self._get_asset),
            Route("DELETE", f"{_BASE_PATH}/assets/{{asset_id}}", self._delete_asset),
            Route("POST", f"{_BASE_PATH}/models", self._register),
            Route("GET", f"{_BASE_PATH}/models", self._list),
            Route("GET", f"{_BASE_PATH}/models/{{model_id}}", self._get),
            Route("PATCH", f"{_BASE_PATH}/models/{{model_id}}", self._patch),
            Route("DELETE", f"{_BASE_PATH}/models/{{model_id}}", self._delete),
        )

    def get(self, model_id: str) -> dict[str, Any]:
        """Return a model, by ``name:version``.

        Raises:
            Refusal: 404, if there is none.
        """
        try:
            return self._models[model_id]
        except KeyError:
            raise Refusal(404, f"There is no model {model_id!r}.", code="ModelNotFound") from None

    def artifacts(self, model_id: str) -> list[tuple[str, str, str]]:
        """Return the origin, container and path (or prefix of paths) of each artifact that a model is made of.

        Raises:
            Refusal: 404, if there is no such model, or its asset is gone.
        """
        asset = self._asset(self.get(model_id)["url"].removeprefix(_ASSET_PREFIX))
        return [_parts(artifact.get("id") or artifact["prefix"]) for artifact in asset["artifacts"]]

    def _asset(self, asset_id: str) -> dict[str, Any]:
        try:
            return self._assets[asset_id]
        except KeyError:
            raise Refusal(404, f"There is no asset {asset_id!r}.", code="AssetNotFound") from None

    def _create_asset(self, request: Request) -> Response:
        allow_query(request)
        known = ("id", "name", "type", "description", "artifacts", "kvTags", "properties", "runid", "meta")
        asset = body_of(request, *known, needs=["name", "artifacts"])
        check_types(asset, artifacts=list, **dict.fromkeys(("name", "type", "description", "runid"), str))
        check_texts(asset, "kvTags", "properties", "meta")
        for artifact in asset["artifacts"]:
            place = (artifact.get("id") or artifact.get("prefix")) if isinstance(artifact, dict) else None
            _parts(place)
        asset = {**dict.fromkeys(known), **asset, "id": uuid.uuid4().hex, "createdTime": now()}
        self._assets[asset["id"]] = asset
        return Response.json(asset)

    def _list_assets(self, request: Request) -> Response:
        allow_query(request, "runId", "name", "properties", "type", "count", "$skipToken")
        query = request.query
        found = [
            asset
            for asset in self._assets.values()
            if query.get("runId") in {None, asset["runid"]}
            and query.get("name") in {None, asset["name"]}
            and query.get("type") in {None, asset["type"]}
            and has_all(asset["properties"], query.get("properties", ""))
        ]
        return self._paged(request, found)

    def _get_asset(self, request: Request, asset_id: str) -> Response:
        return Response.json(self._asset(asset_id))

    def _delete_asset(self, request: Request, asset_id: str) -> Response:
        users = [model["id"] for model in self._models.values() if model["url"] == _ASSET_PREFIX + asset_id]
        if users:
            raise Refusal(400, f"Asset {asset_id!r} can't be deleted: the models {users} are made of it.")
        if self._assets.pop(asset_id, None) is None:
            return Response(status=204)
        return Response.json({})

    def _register(self, request: Request) -> Response:
        allow_query(request)
        sent = body_of(request, *_MODEL_KEYS, needs=["name", "url", "mimeType"])
        name = check_name(sent["name"], _NAME_PATTERN, "a model")
        if not str(sent["url"]).startswith(_ASSET_PREFIX):
            raise Refusal(
                400, f"Model {name!r} has to be made of an asset ({_ASSET_PREFIX}...), not of {sent['url']!r}."
            )
        self._asset(sent["url"].removeprefix(_ASSET_PREFIX))
        _check(sent)
        with self._lock:
            version = self._numbers.get(name, {"last": 0})["last"] + 1
            self._numbers[name] = {"last": version}
            time = now()
            model = {
                **dict.fromkeys(_MODEL_KEYS),
                **sent,
                "kvTags": sent.get("kvTags") or {},
                "properties": sent.get("properties") or {},
                "datasets": sent.get("datasets") or [],
                "id": f"{name}:{version}",
                "version": version,
                "createdTime": time,
                "modifiedTime": time,
                "derivedModelIds": [],
                "createdBy": {"userName": "emulator", "userObjectId": None},
            }
            self._models[model["id"]] = model
        return Response.json(model)

    def _list(self, request: Request) -> Response:
        allow_query(request, "name", "tag", "framework", "description", "count", "offset", "$skipToken", "tags",
                    "properties", "runId", "datasetId", "orderBy", "latestVersionOnly")  # fmt: skip
        query = request.query
        order = query.get("orderBy", "CreatedAtDesc")
        if order not in _SORT_KEYS:
            raise Refusal(400, f"The emulator can't order models by {order!r}, only by one of {sorted(_SORT_KEYS)}.")
        models = list(self._models.values())
        if flag(request, "latestVersionOnly"):
            newest = {model["name"]: model["version"] for model in sorted(models, key=lambda one: one["version"])}
            models = [model for model in models if model["version"] == newest[model["name"]]]
        found = [
            model
            for model in models
            if all(query.get(key) in {None, model[key]} for key in ("name", "framework", "description", "runId"))
            and has_all(model["kvTags"], query.get("tags", query.get("tag", "")))
            and has_all(model["properties"], query.get("properties", ""))
            and query.get("datasetId") in {None, *(dataset["id"] for dataset in model["datasets"])}
        ]
        key, reverse = _SORT_KEYS[order]
        found.sort(key=lambda model: (model[key], model["version"]), reverse=reverse)
        return self._paged(request, found)

    def _paged(self, request: Request, found: Sequence[dict[str, Any]]) -> Response:
        token = request.query.get("$skipToken", request.query.get("offset", ""))
        items, following = page(found, size=number(request, "count", _PAGE_SIZE), token=token)
        answer: dict[str, Any] = {"value": list(items)}
        if following is not None:  # the SDK follows a null link
            answer["nextLink"] = f"{self._workspace.url}{request.path}?$skipToken={following}"
        return Response.json(answer)

    def _get(self, request: Request, model_id: str) -> Response:
        return Response.json(self.get(model_id))

    def _patch(self, request: Request, model_id: str) -> Response:
        operations = request.json()
        with self._lock:
            model = self.get(model_id)
            before = model["properties"]
            model["properties"] = dict(before)
            apply_patch(model, operations, _CHANGEABLE_KEYS)
            for key in ("kvTags", "properties", "datasets"):
                model[key] = model[key] or ([] if key == "datasets" else {})
            _check(model)
            changed = sorted(key for key in before if model["properties"].get(key) != before[key])
            if changed:
                raise Refusal(
                    400, f"The properties {changed} of model {model_id!r} can't be changed once they are set."
                )
            model["modifiedTime"] = now()
            self._models[model_id] = model
        return Response.json(model)

    def _delete(self, request: Request, model_id: str) -> Response:
        with self._lock:
            users = [service["name"] for service in self._services.values() if model_id in service["modelIds"]]
            if users:
                raise Refusal(400, f"Model {model_id!r} can't be deleted: the web services {users} serve it.")
            if self._models.pop(model_id, None) is None:
                return Response(status=204)
        return Response.json({})


def _parts(place: object) -> tuple[str, str, str]:
    parts = place.split("/", 2) if isinstance(place, str) else []
    if len(parts) != 3 or not all(parts) or ".." in parts[2].split("/"):  # noqa: PLR2004 - origin, container, path
        raise Refusal(400, f"{place!r} isn't the id or prefix of an artifact: origin/container/path.")
    return parts[0], parts[1], parts[2]


def _check(model: dict[str, Any]) -> None:
    check_types(model, **dict.fromkeys(_TEXT_KEYS, str))
    check_texts(model, "kvTags", "properties")
    datasets = model.get("datasets") or []
    if not isinstance(datasets, list) or not all(isinstance(one, dict) and one.get("id") for one in datasets):
        raise Refusal(400, "A model's datasets are a list of names and ids.")
