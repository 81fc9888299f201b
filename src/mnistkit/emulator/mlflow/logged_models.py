"""MLflow's logged models (its version 3): records; their files are artifacts of the run that logged them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.mlflow.entities import artifact_uri
from mnistkit.emulator.mlflow.rest import milliseconds, paged, routes_of, sent_to
from mnistkit.emulator.mlflow.search import parse_filter
from mnistkit.emulator.payloads import list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.experiments import Experiments
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["LoggedModels"]

_FOLDER = "models"
_STATUSES = ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")
_DEFAULT_PAGE_SIZE = 50


class LoggedModels:
    """The models that ``mlflow.<flavor>.log_model`` logs, before they are registered."""

    def __init__(self, workspace: Workspace, store: Store, experiments: Experiments, runs: Runs) -> None:
        self._workspace, self._experiments, self._runs = workspace, experiments, runs
        self._table = store.table("mlflow_logged_models")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        one = "logged-models/{model_id}"
        return routes_of(
            [
                ("POST", "logged-models/search", self._search),
                ("POST", "logged-models", self._create),
                ("GET", one, self._get),
                ("PATCH", one, self._finalize),
                ("DELETE", one, self._delete),
                ("PATCH", f"{one}/tags", self._tag),
                ("DELETE", f"{one}/tags/{{key}}", self._untag),
                ("POST", f"{one}/params", self._add_params),
                ("POST", "runs/outputs", self._note_outputs),
            ]
        )

    def place(self, model_id: str) -> str:
        """Return the URI of a model's files.

        Raises:
            Refusal: 404: there is no such model.
        """
        return str(self._record(model_id)["place"])

    def _record(self, model_id: str) -> dict[str, Any]:
        if model_id not in self._table:
            raise Refusal(404, f"Logged model {model_id!r} not found.")
        return self._table[model_id]

    def _described(self, record: Mapping[str, Any]) -> dict[str, Any]:
        info = {
            "model_id": record["id"],
            "experiment_id": record["experimentId"],
            "name": record["name"],
            "creation_timestamp_ms": milliseconds(record["created"]),
            "last_updated_timestamp_ms": milliseconds(record["modified"]),
            "artifact_uri": record["place"],
            "status": record["status"],
            "model_type": record["type"] or "",
            "source_run_id": record["runId"] or "",
            "tags": [{"key": key, "value": value} for key, value in record["tags"].items()],
        }
        params = [{"key": key, "value": value} for key, value in record["params"].items()]
        return {"info": info, "data": {"params": params, "metrics": []}}

    def _answer(self, model_id: str) -> Response:
        return Response.json({"model": self._described(self._record(model_id))})

    def _create(self, request: Request) -> Response:
        sent = sent_to(request)
        experiment = self._experiments.by_id_or_default(str(sent.get("experiment_id") or ""))
        model_id = f"m-{uuid.uuid4().hex}"
        run_id = sent.get("source_run_id") or None
        if run_id:
            self._runs.get(str(run_id))
            place = f"{artifact_uri(self._workspace, experiment['name'], str(run_id))}/{_FOLDER}/{model_id}"
        else:
            place = f"azureml://artifacts/LocalUpload/{model_id}/{_FOLDER}"
        self._table[model_id] = {
            "id": model_id,
            "experimentId": experiment["experimentId"],
            "name": str(sent.get("name") or model_id),
            "created": now(),
            "modified": now(),
            "place": place,
            "status": _STATUSES[0],
            "type": sent.get("model_type"),
            "runId": run_id,
            "tags": _values(sent, "tags"),
            "params": _values(sent, "params"),
        }
        return self._answer(model_id)

    def _get(self, request: Request, model_id: str) -> Response:
        return self._answer(model_id)

    def _finalize(self, request: Request, model_id: str) -> Response:
        status = str(sent_to(request, "status")["status"])
        if status not in _STATUSES:
            raise Refusal(400, f"A logged model's status is one of {_STATUSES}, not {status!r}.")
        self._table[model_id] = {**self._record(model_id), "status": status, "modified": now()}
        return self._answer(model_id)

    def _delete(self, request: Request, model_id: str) -> Response:
        self._record(model_id)
        del self._table[model_id]
        return Response.json({})

    def _tag(self, request: Request, model_id: str) -> Response:
        record = self._record(model_id)
        self._table[model_id] = {**record, "tags": record["tags"] | _values(sent_to(request), "tags")}
        return self._answer(model_id)

    def _untag(self, request: Request, model_id: str, key: str) -> Response:
        record = self._record(model_id)
        self._table[model_id] = {**record, "tags": {name: each for name, each in record["tags"].items() if name != key}}
        return Response.json({})

    def _add_params(self, request: Request, model_id: str) -> Response:
        record = self._record(model_id)
        self._table[model_id] = {**record, "params": record["params"] | _values(sent_to(request), "params")}
        return Response.json({})

    def _search(self, request: Request) -> Response:
        sent = sent_to(request)
        wanted = {str(each) for each in sent.get("experiment_ids") or []}
        shown = [each for each in reversed(self._table.views()) if each["experimentId"] in wanted]
        fits = parse_filter(str(sent.get("filter") or ""), _value)
        items, more = paged([each for each in shown if fits(each)], sent, _DEFAULT_PAGE_SIZE)
        return Response.json({"models": [self._described(each) for each in items], **more})

    def _note_outputs(self, request: Request) -> Response:
        self._runs.get(str(sent_to(request, "run_id")["run_id"]))
        return Response.json({})


def _values(sent: Mapping[str, Any], name: str) -> dict[str, str]:
    return {str(each.get("key")): str(each.get("value", "")) for each in list_of(sent, name, dict)}


def _value(record: Mapping[str, Any], kind: str, key: str) -> Any:
    if kind in {"tag", "param"}:
        return record[f"{kind}s"].get(key)
    names = {"name": "name", "model_id": "id", "model_type": "type", "status": "status", "source_run_id": "runId"}
    if kind != "attribute" or key not in names:
        raise Refusal(400, f"Logged models can't be searched by {kind} {key!r}.")
    return record[names[key]]
