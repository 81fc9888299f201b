"""Models as versioned assets: those of model management, which the SDK's first version and MLflow see too."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.payloads import check_name, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import CONTAINER, Artifacts
from mnistkit.emulator.services.model_records import ASSET_PREFIX, NAME_PATTERN, ModelRecords, check_model
from mnistkit.emulator.store import Store
from mnistkit.emulator.v2.assets import container_properties
from mnistkit.emulator.v2.places import ARTIFACT_STORE, Places
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, in_view, listed, properties_of, resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["ModelAssets"]

_ORIGIN = "LocalUpload"
_PREFIX_SLASHES = 2  # origin, container and path
_MLFLOW_TYPE, _MLFLOW_FILE = "mlflow_model", "MLmodel"
_TYPES = ("custom_model", _MLFLOW_TYPE, "triton_model")


class ModelAssets:
    """The models of a workspace. Clients choose the numbers of versions; a version's files never change."""

    def __init__(
        self, workspace: Workspace, store: Store, *, models: ModelRecords, artifacts: Artifacts, places: Places
    ) -> None:
        self._workspace, self._models, self._artifacts, self._places = workspace, models, artifacts, places
        self._containers, self._lock = store.table("model_containers_v2"), store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        base, host = "{scope}/models", MANAGEMENT_HOST
        one = f"{base}/{{name}}/versions/{{version}}"
        return (
            Route("GET", base, self._list_containers, host=host),
            Route("GET", f"{base}/{{name}}", self._get_container, host=host),
            Route("PUT", f"{base}/{{name}}", self._put_container, host=host),
            Route("GET", f"{base}/{{name}}/versions", self._list, host=host),
            Route("GET", one, self._get, host=host),
            Route("PUT", one, self._put, host=host),
            Route("DELETE", one, self._delete, host=host),
        )

    def uri(self, name: str, version: str) -> str:
        """Return the URI of a version's files.

        Raises:
            Refusal: 404: there is no such version.
        """
        model = self._models.get(f"{name}:{version}")
        if model.get("_uri"):
            return str(model["_uri"])
        asset = self._models.asset(model["url"].removeprefix(ASSET_PREFIX))
        paths = [str(each.get("id") or each["prefix"]).rstrip("/") for each in asset["artifacts"]]
        return self._places.uri(ARTIFACT_STORE, paths[0] if len(paths) == 1 else posixpath.commonpath(paths))

    def kind(self, name: str, version: str) -> str:
        """Return the type of a version: as it was registered, or else by whether it has an ``MLmodel``.

        Raises:
            Refusal: 404: there is no such version.
        """
        model = self._models.get(f"{name}:{version}")
        if model.get("_type"):
            return str(model["_type"])
        try:
            paths = self._places.files(self.uri(name, version))
        except Refusal:  # its files are gone
            paths = {}
        return _MLFLOW_TYPE if _MLFLOW_FILE in paths else _TYPES[0]

    def next_version(self, name: str) -> str:
        """Return the number after the highest that a version of a name was given."""
        return str(self._models.last_number(name) + 1)

    def register(self, name: str, version: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return a new version of a name.

        Raises:
            Refusal: 400: these can't be a model's; 404: there are no files at its URI; 409: the number is taken.
        """
        check_name(name, NAME_PATTERN, "a model")
        if not (version.isascii() and version.isdigit() and int(version)) or version.startswith("0"):
            raise Refusal(400, f"The version of a model has to be a positive number here, it is {version!r}.")
        uri, kind = str(properties.get("modelUri") or ""), properties.get("modelType") or _TYPES[0]
        if kind not in _TYPES:
            raise Refusal(400, f"{kind!r} isn't a type of models: use one of {_TYPES}.")
        prefix = self._prefix(uri)
        about = {"name": name, "artifacts": [{"prefix": prefix}]}
        sent = {
            "name": name,
            "mimeType": "application/x-python",
            "unpack": False,
            "description": properties.get("description"),
            "kvTags": properties.get("tags") or {},
            "properties": properties.get("properties") or {},
            "runId": properties.get("jobName"),
            "_uri": self._places.datastore_uri(uri),
            "_type": kind,
            "_flavors": properties.get("flavors") or {},
        }
        check_model(sent)
        asset = self._models.add_asset(about)
        return self._models.add_version({**sent, "url": f"{ASSET_PREFIX}{asset['id']}"}, number=int(version))

    def _prefix(self, uri: str) -> str:
        """Return the prefix of the artifacts with a URI's files, which are linked if they are in other storage."""
        if not uri:
            raise Refusal(400, "A model needs a 'modelUri'.")
        files = self._places.files(uri)
        place = self._places.place(uri)
        if place is not None and place.container == CONTAINER and place.path.count("/") >= _PREFIX_SLASHES:
            return place.path
        container = uuid.uuid4().hex
        name = uri.rstrip("/").rpartition("/")[2]
        for path, file in files.items():
            self._artifacts.link(_ORIGIN, container, f"{name}/{path}" if path else name, file)
        return f"{_ORIGIN}/{container}/{name}"

    def _shown(self, model: Mapping[str, Any]) -> dict[str, Any]:
        name, version = model["name"], str(model["version"])
        properties = {
            "description": model["description"],
            "tags": model["kvTags"],
            "properties": model["properties"],
            "isArchived": bool(model.get("_isArchived")),
            "isAnonymous": False,
            "modelUri": self.uri(name, version),
            "modelType": self.kind(name, version),
            "flavors": model.get("_flavors") or {},  # the SDK can't take null
            "jobName": model["runId"],
            "stage": None,
            "provisioningState": "Succeeded",
        }
        times = {"created": model["createdTime"], "modified": model["modifiedTime"]}
        return resource(self._workspace, f"models/{name}/versions/{version}", "models/versions", properties, **times)

    def _shown_container(self, name: str) -> dict[str, Any]:
        versions = self._models.versions(name)
        record = self._containers.get(name)
        if not versions and record is None:
            raise Refusal(404, f"There is no model {name!r}.", code="ResourceNotFound")
        properties = container_properties([str(each["version"]) for each in reversed(versions)], record or {})
        properties["nextVersion"] = self.next_version(name)
        created = versions[0]["createdTime"] if versions else (record or {})["created"]
        return resource(self._workspace, f"models/{name}", "models", properties, created=created)

    def _list_containers(self, request: Request) -> Response:
        found = [self._shown_container(name) for name in self._models.names()]
        return listed(
            request, [each for each in found if in_view(request, is_archived=each["properties"]["isArchived"])]
        )

    def _get_container(self, request: Request, name: str) -> Response:
        return Response.json(self._shown_container(name))

    def _put_container(self, request: Request, name: str) -> Response:
        check_name(name, NAME_PATTERN, "a model")
        sent = properties_of(request)
        with self._lock:
            known = self._containers.get(name, {"created": now()})
            kept = ("description", "tags", "properties", "isArchived")
            self._containers[name] = known | {key: sent[key] for key in kept if sent.get(key) is not None}
        return Response.json(self._shown_container(name))

    def _list(self, request: Request, name: str) -> Response:
        found = reversed(self._models.versions(name))
        shown = [each for each in found if in_view(request, is_archived=bool(each.get("_isArchived")))]
        return listed(request, map(self._shown, shown))

    def _get(self, request: Request, name: str, version: str) -> Response:
        return Response.json(self._shown(self._models.get(f"{name}:{version}")))

    def _put(self, request: Request, name: str, version: str) -> Response:
        properties = properties_of(request)
        with self._lock:
            known = self._models.find(f"{name}:{version}")
            if known is None:
                return Response.json(self._shown(self.register(name, version, properties)), 201)
            return Response.json(self._shown(self._change(known, properties)))

    def _change(self, known: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
        uri = self.uri(known["name"], str(known["version"]))
        sent = str(properties.get("modelUri") or uri)
        if sent != uri and self._places.place(sent) != self._places.place(uri):
            raise Refusal(400, "Asset paths cannot be updated.")
        names = {
            "description": "description",
            "tags": "kvTags",
            "properties": "properties",
            "isArchived": "_isArchived",
        }
        changes = {name: properties[key] for key, name in names.items() if properties.get(key) is not None}
        return self._models.change(known["id"], **changes)

    def _delete(self, request: Request, name: str, version: str) -> Response:
        self._models.delete(f"{name}:{version}")
        return Response.json({})
