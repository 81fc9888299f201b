"""MLflow's model registry over the workspace's models: names and numbers are shared with the SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.mlflow.entities import artifact_uri
from mnistkit.emulator.mlflow.logged_models import LoggedModels
from mnistkit.emulator.mlflow.rest import milliseconds, paged, routes_of, sent_to
from mnistkit.emulator.mlflow.search import parse_filter, sorted_by
from mnistkit.emulator.payloads import check_name, list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import ORIGIN, container_of
from mnistkit.emulator.services.model_records import NAME_PATTERN, ModelRecords
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Registry"]

_RUN_SOURCE_PATTERN = re.compile(r".*/experiments/[^/]+/runs/([^/]+)/artifacts/?(.*)")
_ARTIFACT_SOURCE_PATTERN = re.compile(r"azureml://artifacts/([^/]+)/([^/]+)/?(.*)")
_RUNS_SOURCE_PATTERN = re.compile(r"runs:/([^/]+)/?(.*)")
_LOGGED_SOURCE_PATTERN = re.compile(r"models:/(m-[0-9a-f]+)")
_PROMPT_TAG = "mlflow.prompt.is_prompt"
_STAGES = ("None", "Staging", "Production", "Archived")
_DEFAULT_PAGE_SIZE = 100


class Registry:
    """MLflow's model registry. A version's stage is kept in its model's record."""

    def __init__(
        self, workspace: Workspace, store: Store, *, models: ModelRecords, logged: LoggedModels, runs: Runs
    ) -> None:
        self._workspace, self._models, self._logged, self._runs = workspace, models, logged, runs
        self._table, self._lock = store.table("mlflow_models"), store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return routes_of(
            [
                ("POST", "registered-models/create", self._create),
                ("GET", "registered-models/get", self._get),
                ("GET", "registered-models/search", self._search),
                ("GET", "registered-models/list", self._search),
                ("PATCH|POST", "registered-models/update", self._update),
                ("DELETE", "registered-models/delete", self._delete),
                ("GET|POST", "registered-models/get-latest-versions", self._latest),
                ("POST", "registered-models/set-tag", self._tag),
                ("DELETE", "registered-models/delete-tag", self._untag),
                ("POST", "registered-models/alias", self._set_alias),
                ("DELETE", "registered-models/alias", self._delete_alias),
                ("GET", "registered-models/alias", self._by_alias),
                ("POST", "model-versions/create", self._create_version),
                ("GET", "model-versions/get", self._get_version),
                ("GET", "model-versions/search", self._search_versions),
                ("PATCH|POST", "model-versions/update", self._update_version),
                ("POST", "model-versions/transition-stage", self._move_version),
                ("DELETE", "model-versions/delete", self._delete_version),
                ("GET", "model-versions/get-download-uri", self._download_uri),
                ("POST", "model-versions/set-tag", self._tag_version),
                ("DELETE", "model-versions/delete-tag", self._untag_version),
            ]
        )

    # Registered models

    def _record(self, name: str) -> dict[str, Any]:
        if name in self._table:
            return self._table[name]
        versions = self._models.versions(name)
        if not versions:
            raise Refusal(404, f"Registered Model with name={name} not found.")
        return {"name": name, "description": None, "tags": {}, "aliases": {}, "created": versions[0]["createdTime"]}

    def _described(self, name: str) -> dict[str, Any]:
        record, versions = self._record(name), self._models.versions(name)
        newest: dict[str, Any] = {}
        for version in versions:
            newest[self._stage(version)] = version
        return {
            "name": name,
            "creation_timestamp": milliseconds(record["created"]),
            "last_updated_timestamp": milliseconds(versions[-1]["modifiedTime"] if versions else record["created"]),
            "description": record["description"] or "",
            "latest_versions": [self._version(each) for each in newest.values()],
            "tags": [{"key": key, "value": value} for key, value in record["tags"].items()],
            "aliases": [{"alias": key, "version": value} for key, value in record["aliases"].items()],
        }

    def _create(self, request: Request) -> Response:
        sent = sent_to(request, "name")
        name = check_name(sent["name"], NAME_PATTERN, "a model")
        with self._lock:
            if name in self._table or self._models.versions(name):
                raise Refusal(409, f"Registered Model (name={name}) already exists.")
            tags = {str(each.get("key")): str(each.get("value", "")) for each in list_of(sent, "tags", dict)}
            about = {"name": name, "description": sent.get("description"), "tags": tags}
            self._table[name] = about | {"aliases": {}, "created": now()}
        return Response.json({"registered_model": self._described(name)})

    def _get(self, request: Request) -> Response:
        return Response.json({"registered_model": self._described(_name(request))})

    def _search(self, request: Request) -> Response:
        sent = sent_to(request)
        names = sorted({*self._table, *self._models.names()})
        fits = parse_filter(str(sent.get("filter") or ""), _value)
        found = [model for name in names if fits(model := self._described(name))]
        found = sorted_by(found, _orders(sent), _value)
        items, more = paged(found, sent, _DEFAULT_PAGE_SIZE)
        return Response.json({"registered_models": list(items), **more})

    def _change(self, name: str, **changes: Any) -> None:
        with self._lock:
            self._table[name] = {**self._record(name), **changes}

    def _update(self, request: Request) -> Response:
        name = _name(request)
        self._change(name, description=sent_to(request).get("description"))
        return Response.json({"registered_model": self._described(name)})

    def _delete(self, request: Request) -> Response:
        name = _name(request)
        with self._lock:
            self._record(name)
            for version in self._models.versions(name):
                self._models.delete(version["id"])
            self._table.pop(name, None)
        return Response.json({})

    def _latest(self, request: Request) -> Response:
        stages = {str(each).lower() for each in sent_to(request).get("stages") or []}
        found = self._described(_name(request))["latest_versions"]
        shown = [each for each in found if not stages or each["current_stage"].lower() in stages]
        return Response.json({"model_versions": shown})

    def _tag(self, request: Request) -> Response:
        sent = sent_to(request, "name", "key")
        tags = self._record(str(sent["name"]))["tags"]
        self._change(str(sent["name"]), tags={**tags, str(sent["key"]): str(sent.get("value", ""))})
        return Response.json({})

    def _untag(self, request: Request) -> Response:
        sent = sent_to(request, "name", "key")
        tags = self._record(str(sent["name"]))["tags"]
        self._change(str(sent["name"]), tags={key: value for key, value in tags.items() if key != sent["key"]})
        return Response.json({})

    def _set_alias(self, request: Request) -> Response:
        sent = sent_to(request, "name", "alias", "version")
        name, version = str(sent["name"]), self._find(sent)
        aliases = self._record(name)["aliases"]
        self._change(name, aliases={**aliases, str(sent["alias"]): str(version["version"])})
        return Response.json({})

    def _delete_alias(self, request: Request) -> Response:
        sent = sent_to(request, "name", "alias")
        aliases = self._record(str(sent["name"]))["aliases"]
        self._change(str(sent["name"]), aliases={key: each for key, each in aliases.items() if key != sent["alias"]})
        return Response.json({})

    def _by_alias(self, request: Request) -> Response:
        sent = sent_to(request, "name", "alias")
        version = self._record(str(sent["name"]))["aliases"].get(str(sent["alias"]))
        if version is None:
            raise Refusal(404, f"The model {sent['name']!r} has no alias {sent['alias']!r}.")
        return Response.json({"model_version": self._version(self._find({"name": sent["name"], "version": version}))})

    # Versions

    def _find(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        return self._models.get(f"{sent['name']}:{sent['version']}")

    @staticmethod
    def _stage(model: Mapping[str, Any]) -> str:
        return str(model.get("_stage") or "None")

    def _version(self, model: Mapping[str, Any]) -> dict[str, Any]:
        number = str(model["version"])
        aliases = self._record(model["name"])["aliases"]
        return {
            "name": model["name"],
            "version": number,
            "creation_timestamp": milliseconds(model["createdTime"]),
            "last_updated_timestamp": milliseconds(model["modifiedTime"]),
            "current_stage": self._stage(model),
            "description": model["description"] or "",
            "source": self._source(model),
            "run_id": model["runId"] or "",
            "status": "READY",
            "tags": [{"key": key, "value": value or ""} for key, value in model["kvTags"].items()],
            "aliases": [alias for alias, version in aliases.items() if version == number],
        }

    def _source(self, model: Mapping[str, Any]) -> str:
        origin, container, path = self._models.artifacts(model["id"])[0]
        run_id = container.removeprefix("dcid.")
        if origin == ORIGIN and run_id in self._runs:
            return f"{artifact_uri(self._workspace, self._runs.get(run_id)['_experiment'], run_id)}/{path}"
        return f"azureml://artifacts/{origin}/{container}/{path}"

    def _create_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "source")
        name, source = str(sent["name"]), str(sent["source"])
        self._record(name)
        prefix, run_id = self._place(source)
        tags = {str(each.get("key")): str(each.get("value", "")) for each in list_of(sent, "tags", dict)}
        model = self._models.add(
            name,
            [prefix],
            runId=sent.get("run_id") or run_id,
            description=sent.get("description"),
            kvTags=tags,
            framework="Custom",
        )
        return Response.json({"model_version": self._version(model)})

    def _place(self, source: str) -> tuple[str, str | None]:
        """Return the prefix of the artifacts that a source names, and its run if it has one.

        Raises:
            Refusal: 400: it is none of this workspace's.
        """
        logged = _LOGGED_SOURCE_PATTERN.fullmatch(source)
        if logged is not None:
            source = self._logged.place(logged[1])
        for pattern in (_RUN_SOURCE_PATTERN, _RUNS_SOURCE_PATTERN):
            found = pattern.fullmatch(source)
            if found is not None:
                self._runs.get(found[1])
                path = found[2].strip("/")
                return f"{ORIGIN}/{container_of(found[1])}/{path}", found[1]
        found = _ARTIFACT_SOURCE_PATTERN.fullmatch(source)
        if found is None:
            raise Refusal(400, f"{source!r} isn't a source in this workspace: artifacts of a run, or uploaded ones.")
        return f"{found[1]}/{found[2]}/{found[3].strip('/')}", None

    def _get_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "version")
        return Response.json({"model_version": self._version(self._find(sent))})

    def _search_versions(self, request: Request) -> Response:
        sent = sent_to(request)
        shown = [self._version(each) for name in self._models.names() for each in self._models.versions(name)]
        fits = parse_filter(str(sent.get("filter") or ""), _value)
        orders = _orders(sent) or ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]
        found = sorted_by([each for each in shown if fits(each)], orders, _value)
        items, more = paged(found, sent, _DEFAULT_PAGE_SIZE)
        return Response.json({"model_versions": list(items), **more})

    def _update_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "version")
        model = self._models.change(self._find(sent)["id"], description=sent.get("description"))
        return Response.json({"model_version": self._version(model)})

    def _move_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "version", "stage")
        stage = next((each for each in _STAGES if each.lower() == str(sent["stage"]).lower()), None)
        if stage is None:
            raise Refusal(400, f"There is no stage {sent['stage']!r}: use one of {_STAGES}.")
        chosen = self._find(sent)
        if str(sent.get("archive_existing_versions")).lower() == "true":
            for other in self._models.versions(chosen["name"]):
                if self._stage(other) == stage and other["id"] != chosen["id"]:
                    self._models.change(other["id"], _stage="Archived")
        return Response.json({"model_version": self._version(self._models.change(chosen["id"], _stage=stage))})

    def _delete_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "version")
        with self._lock:
            if str(sent["name"]) not in self._table:
                self._change(str(sent["name"]))  # the name stays when its versions are gone
            self._models.delete(self._find(sent)["id"])
        return Response.json({})

    def _download_uri(self, request: Request) -> Response:
        return Response.json({"artifact_uri": self._source(self._find(sent_to(request, "name", "version")))})

    def _tag_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "version", "key")
        model = self._find(sent)
        self._models.change(model["id"], kvTags={**model["kvTags"], str(sent["key"]): str(sent.get("value", ""))})
        return Response.json({})

    def _untag_version(self, request: Request) -> Response:
        sent = sent_to(request, "name", "version", "key")
        model = self._find(sent)
        kept = {key: value for key, value in model["kvTags"].items() if key != sent["key"]}
        self._models.change(model["id"], kvTags=kept)
        return Response.json({})


def _name(request: Request) -> str:
    return str(sent_to(request, "name")["name"])


def _orders(sent: Mapping[str, Any]) -> list[str]:
    value = sent.get("order_by") or []
    return [value] if isinstance(value, str) else list(value)


def _value(item: Mapping[str, Any], kind: str, key: str) -> Any:
    if kind == "tag":  # clients of MLflow 3 leave prompts out by themselves
        usual = "false" if key == _PROMPT_TAG else None
        return next((each["value"] for each in item["tags"] if each["key"] == key), usual)
    if key == "version_number":
        return int(item["version"])
    if kind != "attribute" or key not in item:
        raise Refusal(400, f"Models can't be searched by {kind} {key!r}.")
    return item[key]
