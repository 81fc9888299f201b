"""Web services on Azure Container Instances: a scoring script and its models, each in a process of its own."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.deployment import fill
from mnistkit.emulator.payloads import (
    allow_query,
    apply_patch,
    body_of,
    check_name,
    check_types,
    has_all,
    now,
    number,
)
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import Artifacts
from mnistkit.emulator.services.models import Models
from mnistkit.emulator.services.webservice_records import (
    GIVEN,
    KEYS,
    check,
    failure,
    new_key,
    new_record,
    refuse_unemulated,
)
from mnistkit.emulator.serving import Serving
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["WebServices"]

_BASE_PATH = "/modelmanagement/v1.0{scope}"
_NAME_PATTERN = re.compile(r"(?=.{3,32}$)[a-z]([-a-z0-9]*[a-z0-9])?")
_CHANGEABLE_KEYS = (
    "kvTags",
    "properties",
    "description",
    "authEnabled",
    "appInsightsEnabled",
    "environmentImageRequest",
)
_OPERATION_STATES = {"Transitioning": "Running", "Healthy": "Succeeded", "Unhealthy": "Failed", "Failed": "Failed"}
_SETTLE_SECONDS = 4.0  # the SDK asks again after five
_MAX_LOG_LINES = 5000


class WebServices:
    """The services of model management.

    What a container would be given (cores, memory, an environment) is recorded; the script runs in the emulator's own
    interpreter. Services don't outlive the emulator: in a state that is opened again they have failed.
    """

    def __init__(self, workspace: Workspace, store: Store, models: Models, artifacts: Artifacts) -> None:
        self._workspace, self._models, self._artifacts = workspace, models, artifacts
        self._table, self._lock = store.table("webservices"), store.lock
        self._folder = store.folder / "webservices"
        self._running: dict[str, Serving] = {}
        for name in self._table:
            with self._table.change(name) as record:
                record["error"] = failure("The emulator was stopped: deploy the service again with overwrite=True.", "")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("POST", f"{_BASE_PATH}/services/validate", self._validate),
            Route("POST", f"{_BASE_PATH}/services/validate/resource", self._validate_resources),
            Route("POST", f"{_BASE_PATH}/services/validate/name/{{name}}", self._validate_name),
            Route("POST", f"{_BASE_PATH}/services", self._create),
            Route("GET", f"{_BASE_PATH}/services", self._list),
            Route("GET", f"{_BASE_PATH}/services/{{name}}", self._get),
            Route("PATCH", f"{_BASE_PATH}/services/{{name}}", self._update),
            Route("DELETE", f"{_BASE_PATH}/services/{{name}}", self._delete),
            Route("GET", f"{_BASE_PATH}/services/{{name}}/logs", self._logs),
            Route("POST", f"{_BASE_PATH}/services/{{name}}/listkeys", self._list_keys),
            Route("POST", f"{_BASE_PATH}/services/{{name}}/regenerateKeys", self._regenerate_key),
            Route("GET", f"{_BASE_PATH}/operations/{{operation_id}}", self._operation),
            Route("POST", "/api/v1/service/{name}/score", self._score, is_open=True),
        )

    def stop(self) -> None:
        """End all processes; idempotent."""
        with self._lock:
            running, self._running = list(self._running.values()), {}
        for serving in running:
            serving.stop()

    def _record(self, name: str) -> dict[str, Any]:
        try:
            return self._table[name]
        except KeyError:
            raise Refusal(404, f"There is no web service {name!r}.", code="ServiceNotFound") from None

    def _state(self, name: str) -> str:
        serving = self._running.get(name)
        return serving.state if serving is not None else "Failed"

    def _described(self, record: dict[str, Any]) -> dict[str, Any]:
        name, state = record["name"], self._state(record["name"])
        known = {model_id: self._models.get(model_id) for model_id in record["modelIds"]}
        public = {key: value for key, value in record.items() if key not in {"keys", "modelIds"}}
        # nothing else in the address leads to another workspace than the first
        query = f"?workspace={self._workspace.name}" if self._workspace.is_further else ""
        uri = f"{self._workspace.url}/api/v1/service/{name}/score{query}" if state == "Healthy" else None
        return {**public, "state": state, "scoringUri": uri, "models": list(known.values())}

    def _validate(self, request: Request) -> Response:
        sent = body_of(request, "type", "serviceName", "createRequest", "updateRequest")
        check_types(sent, serviceName=str, createRequest=dict)
        create = sent.get("createRequest") or {}
        return self._taken(sent.get("serviceName"), is_new=bool(create) and not create.get("overwrite"))

    def _validate_name(self, request: Request, name: str) -> Response:
        return self._taken(name, is_new=True)

    def _validate_resources(self, request: Request) -> Response:
        return Response.json({})

    def _taken(self, name: str | None, *, is_new: bool) -> Response:
        if is_new and name in self._table:
            return Response.json({"error": {"message": f"There is a web service {name!r} already."}})
        return Response.json({})

    def _create(self, request: Request) -> Response:
        allow_query(request)
        sent = body_of(request, *GIVEN, needs=["name", "computeType", "environmentImageRequest"])
        name = check_name(sent["name"], _NAME_PATTERN, "a web service")
        check(sent)
        refuse_unemulated(sent)
        if name in self._table and not sent.get("overwrite"):
            raise Refusal(409, f"There is a web service {name!r} already: delete it, or deploy with overwrite=True.")
        record = new_record(sent, self._workspace.location)
        self._deploy(record)
        return self._accepted(record)

    def _deploy(self, record: dict[str, Any]) -> None:
        """Start what a record's request describes, then end what the service ran before."""
        asked = record["environmentImageRequest"]
        name, operation = record["name"], uuid.uuid4().hex
        record |= {"modelIds": asked.get("modelIds") or [], "operationId": operation, "error": None}
        serving = Serving(self._folder / operation, lambda: self._settled(name, operation))
        try:
            entry, variables = fill(serving.app, asked, self._models, self._artifacts)
            with self._lock:  # a client that reads of its failure finds it in the tables
                serving.start(entry, {**variables, "SERVICE_NAME": name})
                before = self._running.get(name)
                self._table[name] = {**record, "updatedTime": now()}
                self._running[name] = serving
        except BaseException:
            serving.stop()
            raise
        if before is not None:
            before.stop()

    def _settled(self, name: str, operation: str) -> None:
        with self._lock:
            serving, record = self._running.get(name), self._table.get(name)
            if serving is None or record is None or record["operationId"] != operation or serving.state != "Failed":
                return
            message = "The scoring script failed before it could be asked: its import or init() ended."
            self._table[name] = {**record, "error": failure(message, serving.log(30))}

    def _accepted(self, record: dict[str, Any]) -> Response:
        location = f"{self._workspace.url}/modelmanagement/v1.0{self._workspace.scope}/operations"
        headers = {"Operation-Location": f"{location}/{record['operationId']}"}
        return Response.json(self._described(self._record(record["name"])), 202, headers)

    def _list(self, request: Request) -> Response:
        allow_query(request, "expand", "computeType", "modelName", "modelId", "tags", "properties")
        query = request.query
        found = [
            record
            for record in self._table.values()
            if query.get("computeType", "ACI").upper() == record["computeType"]
            and ("modelId" not in query or query["modelId"] in record["modelIds"])
            and ("modelName" not in query or query["modelName"] in {one.split(":")[0] for one in record["modelIds"]})
            and has_all(record["kvTags"], query.get("tags", ""))
            and has_all(record["properties"], query.get("properties", ""))
        ]
        return Response.json({"value": [self._described(record) for record in found]})  # no nextLink: None is followed

    def _get(self, request: Request, name: str) -> Response:
        allow_query(request, "expand")
        return Response.json(self._described(self._record(name)))

    def _update(self, request: Request, name: str) -> Response:
        operations = request.json()
        record = self._record(name)
        apply_patch(record, operations, _CHANGEABLE_KEYS)
        check(record)
        record["kvTags"], record["properties"] = record["kvTags"] or {}, record["properties"] or {}
        if any(operation["path"].startswith("/environmentImageRequest") for operation in operations):
            self._deploy(record)
            return self._accepted(record)
        self._table[name] = {**record, "updatedTime": now()}
        return Response.json(self._described(self._record(name)))

    def _delete(self, request: Request, name: str) -> Response:
        with self._lock:
            if self._table.pop(name, None) is None:
                return Response(status=204)
            serving = self._running.pop(name, None)
        if serving is not None:
            serving.stop()
        return Response.json({})

    def _logs(self, request: Request, name: str) -> Response:
        allow_query(request, "tail", "init")
        record = self._record(name)
        serving = self._running.get(name)
        text = serving.log(number(request, "tail", _MAX_LOG_LINES)) if serving else record["error"]["message"]
        return Response.json({"content": text})

    def _list_keys(self, request: Request, name: str) -> Response:
        return Response.json(self._record(name)["keys"])

    def _regenerate_key(self, request: Request, name: str) -> Response:
        sent = body_of(request, "keyType", "keyValue", needs=["keyType"])
        check_types(sent, keyType=str, keyValue=str)
        key = f"{sent['keyType'].lower()}Key"
        if key not in KEYS:
            raise Refusal(400, f"A web service has a primary and a secondary key, no {sent['keyType']!r}.")
        self._record(name)
        with self._table.change(name) as record:
            record["keys"][key] = sent.get("keyValue") or new_key()
        return self._accepted(record)

    def _operation(self, request: Request, operation_id: str) -> Response:
        allow_query(request, "offset")
        name = next((one["name"] for one in self._table.values() if one["operationId"] == operation_id), None)
        if name is None:
            return Response.json({"id": operation_id, "state": "Cancelled", "operationType": "Service", "error": None})
        if name in self._running:
            self._running[name].settle(_SETTLE_SECONDS)
        return Response.json(
            {
                "id": operation_id,
                "operationType": "Service",
                "state": _OPERATION_STATES[self._state(name)],
                "error": self._record(name)["error"],
                "operationDetails": {"subOperationType": "DeployService"},
                "operationLog": None,
            }
        )

    def _score(self, request: Request, name: str) -> Response:
        record = self._record(name)
        if record["authEnabled"]:
            _, _, key = request.headers.get("authorization", "").partition(" ")
            if not any(hmac.compare_digest(key.strip().encode(), one.encode()) for one in record["keys"].values()):
                raise Refusal(401, "The request carries none of the service's keys.", code="AuthenticationFailed")
        serving = self._running.get(name)
        if serving is None:
            raise Refusal(503, record["error"]["message"], code="ServiceUnavailable")
        return serving.score(request.body)
