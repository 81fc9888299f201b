"""Environments: recorded by name and version, never built; a job runs in the emulator's own interpreter."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import allow_query, body_of, check_name, now, number, page
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.curated import CURATED_NAMES, curated_definition, is_curated
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Environments"]

_BASE_PATH = "/environment/v1.0{scope}/environments"
_BUILD_PATH = "/environment/v2.0{scope}"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,254}")
_VERSION_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECTION_KEYS = ("python", "docker", "spark", "environmentVariables", "inferencingStackVersion", "r", "databricks")
_PAGE_SIZE = 100


class Environments:
    """Azure's environment service.

    An identical definition is the same version, another one the next; a version once named is never changed.
    """

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self._workspace = workspace
        self._table, self._builds = store.table("environments"), store.table("environment_builds")
        self._lock = store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("GET", _BASE_PATH, self._list),
            Route("GET", f"{_BASE_PATH}/{{name}}", self._get),
            Route("PUT", f"{_BASE_PATH}/{{name}}", self._register),
            Route("GET", f"{_BASE_PATH}/{{name}}/versions", self._versions),
            Route("GET", f"{_BASE_PATH}/{{name}}/versions/{{version}}", self._get),
            Route("PUT", f"{_BASE_PATH}/{{name}}/versions/{{version}}", self._register),
            Route("PUT", f"{_BASE_PATH}/{{name}}/versions/{{version}}/metadata", self._label),
            Route("GET", f"{_BASE_PATH}/{{name}}/labels/{{label}}", self._labelled),
            Route("GET", f"{_BASE_PATH}/{{name}}/image", self._image),
            Route("GET", f"{_BASE_PATH}/{{name}}/versions/{{version}}/image", self._image),
            Route("POST", f"{_BUILD_PATH}/environments/{{name}}/image", self._build),
            Route("POST", f"{_BUILD_PATH}/environments/{{name}}/versions/{{version}}/image", self._build),
            Route("POST", f"{_BUILD_PATH}/environments/{{name}}/imageoncompute/{{compute}}", self._build),
            Route(
                "POST",
                f"{_BUILD_PATH}/environments/{{name}}/versions/{{version}}/imageoncompute/{{compute}}",
                self._build,
            ),
            Route("GET", f"{_BUILD_PATH}/builds/{{build}}", self._built),
        )

    def get(self, name: str, version: str = "") -> dict[str, Any]:
        """Return a version's definition; the newest if none is named.

        Raises:
            Refusal: 404, if there is none.
        """
        if is_curated(name):
            return curated_definition(name, version)
        record = self._record(name)
        versions: dict[str, dict[str, Any]] = record["versions"]
        found = versions.get(version or record["newest"])
        if found is None:
            raise Refusal(404, f"Environment {name!r} has no version {version!r}, only {sorted(versions)}.")
        return found

    def _record(self, name: str) -> dict[str, Any]:
        record = self._table.get(name)
        if record is None:
            raise Refusal(404, f"There is no environment {name!r}.", code="NotFound")
        return record

    def _list(self, request: Request) -> Response:
        allow_query(request, "continuation", "continuationToken", "pageSize")
        token = request.query.get("continuation", request.query.get("continuationToken", ""))
        names, following = page(
            [*self._table, *CURATED_NAMES], size=number(request, "pageSize", _PAGE_SIZE), token=token
        )
        return Response.json({"value": [self.get(name) for name in names], "continuationToken": following})

    def _versions(self, request: Request, name: str) -> Response:
        allow_query(request)
        versions = [self.get(name)] if is_curated(name) else list(self._record(name)["versions"].values())
        return Response.json({"value": versions, "continuationToken": None})

    def _get(self, request: Request, name: str, version: str = "") -> Response:
        allow_query(request)
        return Response.json(self.get(name, version))

    def _register(self, request: Request, name: str, version: str = "") -> Response:
        allow_query(request)
        check_name(name, _NAME_PATTERN, "an environment")
        if is_curated(name):
            raise Refusal(400, f"{name!r}: names that start with AzureML- are Azure's own.")
        if version:
            check_name(version, _VERSION_PATTERN, "an environment's version")
        return Response.json(self._save(name, version, body_of(request)))

    def submitted(self, configuration: Mapping[str, Any], experiment: str) -> dict[str, Any]:
        """Return a run configuration with the environment's version, registered as Azure does at submit; idempotent.

        Args:
            configuration: The run configuration.
            experiment: The name of its experiment, after which a nameless environment is called.

        Raises:
            Refusal: 400: it can't be an environment.
        """
        given = configuration.get("environment")
        if not isinstance(given, dict):
            return dict(configuration)
        name = given.get("name") or f"Experiment {experiment} Environment"
        if is_curated(name):
            saved = self.get(name, str(given.get("version") or ""))
        else:
            check_name(name, _NAME_PATTERN, "an environment")
            known = self._table.get(name, {"versions": {}})["versions"]
            sections = {key: value for key, value in given.items() if key in _SECTION_KEYS}
            version = str(given.get("version") or "")
            if version in known and not _is_same(known[version], dict.fromkeys(_SECTION_KEYS) | sections):
                version = ""  # it was changed since
            saved = self._save(name, version, sections)
        return {**configuration, "environment": {**given, "name": name, "version": saved["version"]}}

    def _save(self, name: str, version: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        sent = {key[:1].lower() + key[1:]: value for key, value in sent.items()}
        unknown = sorted(key for key in sent if key not in {"name", "version", "assetId", *_SECTION_KEYS} and sent[key])
        if unknown:
            raise NotEmulated("environments", f"The emulator doesn't know the sections {unknown} of an environment.")
        definition = {key: sent.get(key) for key in _SECTION_KEYS}
        with self._lock:
            record = self._table.get(name) or {"versions": {}, "newest": "", "labels": {}}
            number_ = version or self._number(record, definition)
            existing: dict[str, Any] | None = record["versions"].get(number_)
            if existing is None:
                existing = {"name": name, "version": number_, **definition, "createdTime": now()}
                record["versions"][number_] = existing
                record["newest"] = number_
                self._table[name] = record
            elif not _is_same(existing, definition):
                message = (
                    f"Environment {name!r} has a version {number_!r}, and versions can't be changed: name another."
                )
                raise Refusal(409, message, code="Conflict")
        return existing

    @staticmethod
    def _number(record: dict[str, Any], definition: dict[str, Any]) -> str:
        newest = record["versions"].get(record["newest"])
        if newest is not None and _is_same(newest, definition):
            return str(record["newest"])
        return str(max((int(version) for version in record["versions"] if version.isdigit()), default=0) + 1)

    def _label(self, request: Request, name: str, version: str) -> Response:
        labels = body_of(request, "Labels", "labels")
        names = labels.get("Labels") or labels.get("labels") or []
        if not isinstance(names, list) or not all(isinstance(label, str) for label in names):
            raise Refusal(400, "The labels of an environment are a list of texts.")
        with self._lock:
            self.get(name, version)
            record = self._table[name]
            kept = {label: value for label, value in record["labels"].items() if value != version}
            record["labels"] = {**kept, **dict.fromkeys(names, version)}
            self._table[name] = record
        return Response.json({})

    def _labelled(self, request: Request, name: str, label: str) -> Response:
        allow_query(request)
        is_newest = label.lower() == "latest"
        version = "" if is_newest or is_curated(name) else self._record(name)["labels"].get(label)
        if version is None:
            raise Refusal(404, f"Environment {name!r} has no version with the label {label!r}.", code="NotFound")
        return Response.json(self.get(name, version))

    def _build(self, request: Request, name: str, version: str = "", compute: str = "") -> Response:
        """Record a build, which has finished: no image is made, since jobs run in the emulator's own interpreter."""
        definition = self.get(name, version)
        key = f"{name}:{definition['version']}"
        self._builds[key] = {"id": uuid.uuid4().hex, "time": now(), "compute": compute or None}
        build = self._builds[key]["id"]
        where = f"{self._workspace.url}/environment/v2.0{self._workspace.scope}/builds/{build}"
        return Response.json({"location": where, "status": "Succeeded", "environmentName": name}, 202)

    def _built(self, request: Request, build: str) -> Response:
        found = next((key for key, record in self._builds.items() if record["id"] == build), None)
        if found is None:
            raise Refusal(404, f"There is no build {build!r} of an image.", code="NotFound")
        return Response.json({"status": "Succeeded", "logUrl": None, "environment": found})

    def _image(self, request: Request, name: str, version: str = "") -> Response:
        definition = self.get(name, version)
        is_built = f"{name}:{definition['version']}" in self._builds
        python = definition.get("python") or {}
        registry = {"address": None, "username": None, "password": None}
        return Response.json(
            {
                "imageExistsInRegistry": is_built,
                "dockerImage": {"name": f"azureml/{name.lower()}:{definition['version']}", "registry": registry},
                "pythonEnvironment": {
                    "interpreterPath": python.get("interpreterPath") or "python",
                    "condaEnvironmentPath": None,
                },
            }
        )


def _is_same(existing: dict[str, Any], definition: dict[str, Any]) -> bool:
    return all(existing.get(key) == definition[key] for key in _SECTION_KEYS)
