"""Models and the assets that say which artifacts they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from mnistkit.emulator.services.model_records import (
    ASSET_KEYS,
    ASSET_PREFIX,
    MODEL_KEYS,
    NAME_PATTERN,
    ModelRecords,
    check_model,
)
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Models"]

_BASE_PATH = "/modelmanagement/v1.0{scope}"
_PAGE_SIZE = 255
_CHANGEABLE_KEYS = ("kvTags", "properties", "description", "datasets", "sampleInputData", "sampleOutputData",
               "resourceRequirements")  # fmt: skip
_SORT_KEYS = {
    "CreatedAtDesc": ("createdTime", True),
    "CreatedAtAsc": ("createdTime", False),
    "UpdatedAtDesc": ("modifiedTime", True),
    "UpdatedAtAsc": ("modifiedTime", False),
}


class Models(ModelRecords):
    """Azure's model management."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        super().__init__(store)
        self._workspace = workspace

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

    def _create_asset(self, request: Request) -> Response:
        allow_query(request)
        sent = body_of(request, *ASSET_KEYS, needs=["name", "artifacts"])
        check_types(sent, artifacts=list, **dict.fromkeys(("name", "type", "description", "runid"), str))
        check_texts(sent, "kvTags", "properties", "meta")
        return Response.json(self.add_asset(sent))

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
        return Response.json(self.asset(asset_id))

    def _delete_asset(self, request: Request, asset_id: str) -> Response:
        users = [model["id"] for model in self._models.values() if model["url"] == ASSET_PREFIX + asset_id]
        if users:
            raise Refusal(400, f"Asset {asset_id!r} can't be deleted: the models {users} are made of it.")
        if self._assets.pop(asset_id, None) is None:
            return Response(status=204)
        return Response.json({})

    def _register(self, request: Request) -> Response:
        allow_query(request)
        sent = body_of(request, *MODEL_KEYS, needs=["name", "url", "mimeType"])
        name = check_name(sent["name"], NAME_PATTERN, "a model")
        if not str(sent["url"]).startswith(ASSET_PREFIX):
            raise Refusal(
                400, f"Model {name!r} has to be made of an asset ({ASSET_PREFIX}...), not of {sent['url']!r}."
            )
        return Response.json(self.add_version(sent))

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
        return self._paged(request, [_shown(model) for model in found])

    def _paged(self, request: Request, found: Sequence[dict[str, Any]]) -> Response:
        token = request.query.get("$skipToken", request.query.get("offset", ""))
        items, following = page(found, size=number(request, "count", _PAGE_SIZE), token=token)
        answer: dict[str, Any] = {"value": list(items)}
        if following is not None:  # the SDK follows a null link
            answer["nextLink"] = f"{self._workspace.url}{request.path}?$skipToken={following}"
        return Response.json(answer)

    def _get(self, request: Request, model_id: str) -> Response:
        return Response.json(_shown(self.get(model_id)))

    def _patch(self, request: Request, model_id: str) -> Response:
        operations = request.json()
        with self._lock:
            model = self.get(model_id)
            before = model["properties"]
            model["properties"] = dict(before)
            apply_patch(model, operations, _CHANGEABLE_KEYS)
            for key in ("kvTags", "properties", "datasets"):
                model[key] = model[key] or ([] if key == "datasets" else {})
            check_model(model)
            changed = sorted(key for key in before if model["properties"].get(key) != before[key])
            if changed:
                raise Refusal(
                    400, f"The properties {changed} of model {model_id!r} can't be changed once they are set."
                )
            model["modifiedTime"] = now()
            self._models[model_id] = model
        return Response.json(_shown(model))

    def _delete(self, request: Request, model_id: str) -> Response:
        return Response.json({}) if self.delete(model_id) else Response(status=204)


def _shown(model: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if not key.startswith("_")}
