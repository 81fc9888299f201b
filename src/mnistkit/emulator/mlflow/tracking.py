"""MLflow tracking: the runs, metrics, parameters and tags of run history."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.mlflow.entities import HISTORY_STATES, run_of, series_of, status_of
from mnistkit.emulator.mlflow.rest import (
    as_json,
    from_json,
    milliseconds,
    paged,
    routes_of,
    sent_to,
    stage_of,
    tags_of,
    texts_of,
    time_at,
)
from mnistkit.emulator.mlflow.search import parse_filter, sorted_by
from mnistkit.emulator.payloads import list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import ORIGIN, Artifacts, container_of
from mnistkit.emulator.services.experiments import Experiments
from mnistkit.emulator.services.metrics import Metrics
from mnistkit.emulator.services.run_records import FINAL
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.workspace import Workspace

__all__ = ["Tracking"]

_PARENT_TAG = "mlflow.parentRunId"
_NAME_TAG = "mlflow.runName"
_DEFAULT_PAGE_SIZE = 1000


class Tracking:
    """MLflow's tracking service; what is logged here is what the SDK's own runs show, and the other way round."""

    def __init__(
        self, workspace: Workspace, *, experiments: Experiments, runs: Runs, metrics: Metrics, artifacts: Artifacts
    ) -> None:
        self._workspace, self._experiments, self._runs = workspace, experiments, runs
        self._metrics, self._artifacts = metrics, artifacts

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return routes_of(
            [
                ("POST", "runs/create", self._create_run),
                ("GET", "runs/get", self._get_run),
                ("POST", "runs/update", self._update_run),
                ("POST", "runs/delete", self._delete_run),
                ("POST", "runs/restore", self._restore_run),
                ("POST", "runs/search", self._search_runs),
                ("POST", "runs/log-metric", self._log_metric),
                ("POST", "runs/log-parameter", self._log_parameter),
                ("POST", "runs/set-tag", self._set_tag),
                ("POST", "runs/delete-tag", self._delete_tag),
                ("POST", "runs/log-batch", self._log_batch),
                ("POST", "runs/log-batch-async", self._log_batch),
                ("GET|POST", "runs/get-run-data-status", self._data_status),
                ("POST", "runs/log-inputs", self._ignore),
                ("POST", "runs/log-model", self._log_model),
                ("GET", "metrics/get-history", self._history),
                ("GET", "artifacts/list", self._list_artifacts),
            ]
        )

    def _create_run(self, request: Request) -> Response:
        sent = sent_to(request)
        experiment = self._experiments.by_id_or_default(str(sent.get("experiment_id") or ""))
        tags = tags_of(sent)
        start = time_at(sent["start_time"]) if sent.get("start_time") else now()
        name = sent.get("run_name") or tags.get(_NAME_TAG)
        run_id = str(uuid.uuid4())
        self._runs.create(
            experiment["name"],
            run_id,
            status="Running",
            startTimeUtc=start,
            displayName=str(name) if name else run_id,
            parentRunId=tags.pop(_PARENT_TAG, None),
            tags=tags,
            properties={"azureml.runsource": "mlflow"},
        )
        return self._shown(run_id)

    def _get_run(self, request: Request) -> Response:
        return self._shown(_run_id(request))

    def _shown(self, run_id: str) -> Response:
        return Response.json({"run": self._run(self._runs.get(run_id))})

    def _run(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return run_of(record, series_of(self._metrics.merged(record["runId"])), self._workspace)

    def _update_run(self, request: Request) -> Response:
        run_id, sent = _run_id(request), sent_to(request)
        status = sent.get("status")
        if status is not None and HISTORY_STATES.get(str(status)) is None:
            raise Refusal(400, f"A run's status is one of {sorted(HISTORY_STATES)}, not {status!r}.")
        with self._runs.change(run_id) as record:
            if sent.get("run_name"):
                record["displayName"] = str(sent["run_name"])
            is_job = bool(record.get("_isJob"))
        if status is not None and not is_job:  # a job's own end decides, as on Azure
            state = HISTORY_STATES[str(status)]
            self._runs.move(run_id, state)
            if state in FINAL and sent.get("end_time"):
                with self._runs.change(run_id) as record:
                    record["endTimeUtc"] = time_at(sent["end_time"])
        return Response.json({"run_info": self._run(self._runs.get(run_id))["info"]})

    def _delete_run(self, request: Request) -> Response:
        return self._mark(_run_id(request), is_deleted=True)

    def _restore_run(self, request: Request) -> Response:
        return self._mark(_run_id(request), is_deleted=False)

    def _mark(self, run_id: str, *, is_deleted: bool) -> Response:
        with self._runs.change(run_id) as record:
            record["_isDeleted"] = is_deleted
        return Response.json({})

    def _search_runs(self, request: Request) -> Response:
        sent = sent_to(request)
        experiments = {
            self._experiments.by_id_or_default(each)["experimentId"] for each in texts_of(sent, "experiment_ids")
        }
        view = stage_of(sent.get("run_view_type"))
        records = [
            record
            for record in self._runs.newest()
            if record["experimentId"] in experiments
            and view in {None, "deleted" if record.get("_isDeleted") else "active"}
        ]
        text, orders = str(sent.get("filter") or ""), texts_of(sent, "order_by")
        if text or orders:  # what isn't shown needn't be read otherwise
            fits = parse_filter(text, self._value)
            records = sorted_by([record for record in records if fits(record)], orders, self._value)
        items, more = paged(records, sent, _DEFAULT_PAGE_SIZE)
        return Response.json({"runs": [self._run(record) for record in items], **more})

    def _value(self, record: Mapping[str, Any], kind: str, key: str) -> Any:
        if kind == "metric":
            values = series_of(self._metrics.merged(record["runId"])).get(key)
            return values[-1]["value"] if values else None
        if kind == "param":
            return record.get("_params", {}).get(key)
        if kind == "tag":
            tags = {_NAME_TAG: record["displayName"], _PARENT_TAG: record["parentRunId"], **record["tags"]}
            return tags.get(key)
        if kind == "attribute":
            return _attribute(record, key)
        raise Refusal(400, f"Runs can't be searched by their {kind}s here.")

    # What runs log

    def _log_metric(self, request: Request) -> Response:
        sent = sent_to(request, "key")
        self._add_metrics(_run_id(request), [sent])
        return Response.json({})

    def _add_metrics(self, run_id: str, sent: Sequence[Mapping[str, Any]]) -> None:
        self._check_open(run_id)
        by_name: dict[str, list[dict[str, Any]]] = {}
        for each in sent:
            name = str(each.get("key"))
            moment = time_at(each["timestamp"]) if each.get("timestamp") else now()
            step = int(from_json(each.get("step") or 0))
            cell = {"metricId": str(uuid.uuid4()), "createdUtc": moment, "step": step}
            by_name.setdefault(name, []).append(cell | {"data": {name: from_json(each.get("value"))}})
        for name, cells in by_name.items():
            metric = {"name": name, "columns": {name: "Double"}, "value": cells}
            self._metrics.add(run_id, metric | {"properties": {"uxMetricType": "azureml.v1.scalar"}})

    def _log_parameter(self, request: Request) -> Response:
        sent = sent_to(request, "key")
        self._add_parameters(_run_id(request), [sent])
        return Response.json({})

    def _add_parameters(self, run_id: str, sent: Sequence[Mapping[str, Any]]) -> None:
        self._check_open(run_id)
        with self._runs.change(run_id) as record:
            known = record.setdefault("_params", {})
            for each in sent:
                key, value = str(each.get("key")), str(each.get("value", ""))
                if known.get(key, value) != value:
                    text = (
                        f"The parameter {key!r} of run {run_id!r} is {known[key]!r} and can't be changed to {value!r}."
                    )
                    raise Refusal(400, text)
                known[key] = value

    def _set_tag(self, request: Request) -> Response:
        sent = sent_to(request, "key")
        self._add_tags(_run_id(request), [sent])
        return Response.json({})

    def _add_tags(self, run_id: str, sent: Sequence[Mapping[str, Any]]) -> None:
        with self._runs.change(run_id) as record:
            for each in sent:
                key, value = str(each.get("key")), str(each.get("value", ""))
                record["tags"][key] = value
                if key == _NAME_TAG:
                    record["displayName"] = value

    def _delete_tag(self, request: Request) -> Response:
        sent = sent_to(request, "key")
        with self._runs.change(_run_id(request)) as record:
            if record["tags"].pop(str(sent["key"]), None) is None:
                raise Refusal(404, f"The run has no tag {sent['key']!r}.")
        return Response.json({})

    def _log_batch(self, request: Request) -> Response:
        run_id, sent = _run_id(request), sent_to(request)
        self._add_parameters(run_id, list_of(sent, "params", dict))
        self._add_tags(run_id, list_of(sent, "tags", dict))
        self._add_metrics(run_id, list_of(sent, "metrics", dict))
        return Response.json({"batch_tracking_id": ""})  # all is there already

    def _data_status(self, request: Request) -> Response:
        return Response.json({"is_complete": True})

    def _ignore(self, request: Request) -> Response:
        self._runs.get(_run_id(request))
        return Response.json({})

    def _log_model(self, request: Request) -> Response:
        sent = sent_to(request, "model_json")
        with self._runs.change(_run_id(request)) as record:
            record["tags"]["mlflow.log-model.history"] = f"[{sent['model_json']}]"
        return Response.json({})

    def _check_open(self, run_id: str) -> None:
        if self._runs.get(run_id).get("_isDeleted"):
            raise Refusal(400, f"The run {run_id!r} is deleted: restore it first.")

    def _history(self, request: Request) -> Response:
        sent = sent_to(request, "metric_key")
        run_id = _run_id(request)
        self._runs.get(run_id)
        values = series_of(self._metrics.merged(run_id)).get(str(sent["metric_key"]), [])
        items, more = paged(values, sent, max(len(values), 1))
        return Response.json({"metrics": [each | {"value": as_json(each["value"])} for each in items], **more})

    def _list_artifacts(self, request: Request) -> Response:
        sent, run_id = sent_to(request), _run_id(request)
        root = self._run(self._runs.get(run_id))["info"]["artifact_uri"]
        prefix = str(sent.get("path") or "").strip("/")
        start = f"{prefix}/" if prefix else ""
        found: dict[str, dict[str, Any]] = {}
        for path in self._artifacts.paths(ORIGIN, container_of(run_id), start):
            head, below, _ = path[len(start) :].partition("/")
            size = 0 if below else self._artifacts.file(ORIGIN, container_of(run_id), path).stat().st_size
            one = {"path": f"{start}{head}", "is_dir": bool(below)} | ({} if below else {"file_size": size})
            found[head] = one
        return Response.json({"root_uri": root, "files": list(found.values())})


def _run_id(request: Request) -> str:
    sent = sent_to(request)
    run_id = sent.get("run_id") or sent.get("run_uuid")
    if not isinstance(run_id, str):
        raise Refusal(400, "Missing value for required parameter 'run_id'.")
    return run_id


def _attribute(record: Mapping[str, Any], key: str) -> Any:
    values = {
        "run_id": record["runId"],
        "run_name": record["displayName"],
        "run name": record["displayName"],
        "status": status_of(record),
        "user_id": record["createdBy"]["userName"],
        "artifact_uri": None,
        "experiment_id": record["experimentId"],
    }
    if key.lower() in {"start_time", "created"}:
        return milliseconds(record["startTimeUtc"]) or milliseconds(record["createdUtc"])
    if key.lower() == "end_time":
        return milliseconds(record["endTimeUtc"])
    if key.lower() not in values:
        raise Refusal(400, f"Runs have no attribute {key!r}, only {sorted([*values, 'start_time', 'end_time'])}.")
    return values[key.lower()]
