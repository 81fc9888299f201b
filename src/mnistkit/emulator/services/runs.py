"""Run history: runs, their events, children, and queries about them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from mnistkit.emulator.odata import Fields, order, page, parse, time_of
from mnistkit.emulator.payloads import body_of, list_of
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import ORIGIN, container_of
from mnistkit.emulator.services.run_records import CHANGEABLE, FINAL, RunRecords

__all__ = ["FINAL", "Runs", "public_record"]

_TOKEN_SECONDS = 24 * 3600.0
_LATEST_TIME = datetime.max.replace(tzinfo=timezone.utc)
_LOG_FOLDERS = ("user_logs/", "azureml-logs/", "system_logs/", "logs/azureml/")
_PLAIN_FIELDS = (
    *("runId", "runNumber", "status", "parentRunId", "rootRunId", "experimentId", "runType", "target", "name"),
    *("displayName", "description", "scriptName", "userId", "hidden", "createdUtc", "startTimeUtc", "endTimeUtc"),
)
_DETAIL_KEYS = (
    *("runId", "target", "status", "startTimeUtc", "endTimeUtc", "error", "warnings", "properties"),
    *("inputDatasets", "outputDatasets", "runDefinition"),
)
_QUERY_FIELDS = Fields(
    plain={each.lower(): each for each in _PLAIN_FIELDS} | {"runtypev2/orchestrator": "_orchestrator"},
    times=frozenset({"createdUtc", "startTimeUtc", "endTimeUtc"}),
    maps={"tags": "tags", "properties": "properties", "runtypev2/traits": "_traits"},
)


class Runs(RunRecords):
    """Run history's interface to the runs of a workspace."""

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        history = "/history/v1.0{scope}"
        found = [
            Route("GET", f"{history}/runs/{{run}}", self._show),
            Route("GET", f"{history}/runs/{{run}}/details", self._details),
            Route("GET", f"{history}/runs/{{run}}/children", self._list_children),
            Route("GET", f"{history}/computes/{{target}}/runs", self._list),
        ]
        for base in (f"{history}/experiments/{{experiment}}", f"{history}/experimentids/{{experiment}}"):
            found += [
                Route("POST", f"{base}/runs:query", self._query),
                Route("GET", f"{base}/runs", self._list),
                Route("PATCH|POST", f"{base}/batch/runs", self._make_many),
                Route("POST", f"{base}/batch/events", self._note_many),
                Route("GET", f"{base}/runs/{{run}}", self._show),
                Route("PATCH|PUT", f"{base}/runs/{{run}}", self._upsert),
                Route("DELETE", f"{base}/runs/{{run}}", self._delete),
                Route("GET", f"{base}/runs/{{run}}/details", self._details),
                Route("GET", f"{base}/runs/{{run}}/token", self._token),
                Route("GET", f"{base}/runs/{{run}}/children", self._list_children),
                Route("POST", f"{base}/runs/{{run}}/events", self._note),
                Route("DELETE", f"{base}/runs/{{run}}/tags", self._delete_tags),
            ]
        return found

    def _show(self, request: Request, run: str, experiment: str = "") -> Response:
        return Response.json(public_record(self.in_experiment(experiment, run) if experiment else self.get(run)))

    def _upsert(self, request: Request, experiment: str, run: str) -> Response:
        changes = body_of(request, "runId", *CHANGEABLE)
        return Response.json(public_record(self.change_or_make(experiment, run, changes)))

    def _make_many(self, request: Request, experiment: str) -> Response:
        done: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for changes in list_of(body_of(request, "runs"), "runs", dict):
            run_id = str(changes.get("runId") or uuid.uuid4())
            try:
                done[run_id] = public_record(self.change_or_make(experiment, run_id, changes))
            except Refusal as refusal:
                errors[run_id] = self.error(refusal.message, refusal.code)
        return Response.json({"runs": done, "errors": errors})

    def _delete(self, request: Request, experiment: str, run: str) -> Response:
        with self._lock:
            record = self.in_experiment(experiment, run)
            if record["status"] not in FINAL and record.get("_isJob"):
                raise Refusal(409, f"Run {run!r} is {record['status']}; cancel it first.", code="Conflict")
            del self._table[run]
            self._artifacts.delete(ORIGIN, container_of(run))
            for forget in self.forget:
                forget(run)
        return Response.json({})

    def _details(self, request: Request, run: str, experiment: str = "") -> Response:
        record = self.in_experiment(experiment, run) if experiment else self.get(run)
        container = container_of(run)
        logs = [path for path in self._artifacts.paths(ORIGIN, container) if path.startswith(_LOG_FOLDERS)]
        urls = {path: self._artifacts.url(ORIGIN, container, path) for path in logs}
        return Response.json({key: record[key] for key in _DETAIL_KEYS} | {"services": {}, "logFiles": urls})

    def _token(self, request: Request, experiment: str, run: str) -> Response:
        self.in_experiment(experiment, run)
        expiry = datetime.now(timezone.utc) + timedelta(seconds=_TOKEN_SECONDS)
        token = self._tokens.issue(seconds=_TOKEN_SECONDS)
        return Response.json({"token": token, "expiryTimeUtc": expiry.isoformat()})

    def _list_children(self, request: Request, run: str, experiment: str = "") -> Response:
        self.in_experiment(experiment, run) if experiment else self.get(run)
        return Response.json(_answer(self.children(run), _asked(request)))

    def _list(self, request: Request, experiment: str = "", target: str = "") -> Response:
        if experiment:
            return Response.json(_answer(self.of(experiment), _asked(request)))
        found = [record for record in self._table.views() if record["target"] == target]
        return Response.json(_answer(found, _asked(request)))

    def _query(self, request: Request, experiment: str) -> Response:
        query = body_of(request, "filter", "orderby", "top", "continuationToken")
        return Response.json(_answer(self.of(experiment), query))

    def _note(self, request: Request, experiment: str, run: str) -> Response:
        self.in_experiment(experiment, run)
        self.event(run, body_of(request, "timestamp", "name", "data", needs=("name",)))
        return Response.json({})

    def _note_many(self, request: Request, experiment: str) -> Response:
        errors = []
        for event in list_of(body_of(request, "events"), "events", dict):
            run_id = str((event.get("data") or {}).get("RunId"))
            try:
                self.in_experiment(experiment, run_id)
                self.event(run_id, event)
            except Refusal as refusal:
                errors.append({"key": event, "value": self.error(refusal.message, refusal.code)})
        return Response.json({"errors": errors})

    def _delete_tags(self, request: Request, experiment: str, run: str) -> Response:
        self.in_experiment(experiment, run)
        body = request.json()
        tags = body.get("tags") if isinstance(body, dict) else body
        if not isinstance(tags, list):
            raise Refusal(400, "The body has to be a list of tags.")
        with self.change(run) as record:
            for tag in tags:
                record["tags"].pop(tag, None)
        return Response.json(public_record(self.get(run)) | {"errors": {}})


def public_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's record as clients see it."""
    return {key: value for key, value in record.items() if not key.startswith("_")}


def _asked(request: Request) -> dict[str, Any]:
    asked = {key.removeprefix("$").lower(): value for key, value in request.query.items() if key != "api-version"}
    unknown = sorted(set(asked) - {"filter", "orderby", "top", "continuationtoken", "sortorder"})
    if unknown:
        raise Refusal(400, f"Runs can't be asked for with {unknown}.")
    text = " ".join(filter(None, (asked.get("orderby"), asked.get("sortorder"))))
    return asked | {"orderby": text, "continuationToken": asked.get("continuationtoken")}


def _answer(records: Sequence[Mapping[str, Any]], query: dict[str, Any]) -> dict[str, Any]:
    """Return a page of runs, the latest first; one that hasn't started yet comes before those that have."""
    found = list(records[::-1])
    if query.get("filter"):
        fits = parse(query["filter"], _QUERY_FIELDS)
        found = [record for record in found if fits({**record, **_type(record)})]
    if query.get("orderby"):
        later = f"{datetime.max.replace(tzinfo=timezone.utc).isoformat()}"
        shown = {record["runId"]: record for record in found}
        sortable = [{**record, "startTimeUtc": record["startTimeUtc"] or later} for record in found]
        found = [shown[record["runId"]] for record in order(sortable, query["orderby"], _QUERY_FIELDS)]
    else:
        found.sort(key=lambda record: time_of(record["startTimeUtc"] or "") or _LATEST_TIME, reverse=True)
    answer = page(found, "runId", query.get("top"), query.get("continuationToken"))
    return answer | {"value": [public_record(record) for record in answer["value"]]}


def _type(record: Mapping[str, Any]) -> dict[str, Any]:
    kind = record["runTypeV2"] or {}
    return {"_orchestrator": kind.get("orchestrator"), "_traits": dict.fromkeys(kind.get("traits") or ())}
