"""Runs and experiments of run history, in MLflow's shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.mlflow.rest import as_json, milliseconds
from mnistkit.emulator.workspace import Workspace

__all__ = ["HISTORY_STATES", "artifact_uri", "experiment_of", "run_of", "series_of", "status_of"]

_STATUSES = {
    "NotStarted": "SCHEDULED",
    "Queued": "SCHEDULED",
    "Starting": "SCHEDULED",
    "Preparing": "SCHEDULED",
    "Completed": "FINISHED",
    "Failed": "FAILED",
    "Canceled": "KILLED",
}
HISTORY_STATES = {
    "SCHEDULED": "NotStarted",
    "RUNNING": "Running",
    "FINISHED": "Completed",
    "FAILED": "Failed",
    "KILLED": "Canceled",
}


def status_of(record: Mapping[str, Any]) -> str:
    """Return MLflow's word for a run's state."""
    return _STATUSES.get(record["status"], "RUNNING")


def artifact_uri(workspace: Workspace, experiment: str, run_id: str) -> str:
    """Return where a run's artifacts are, as the plugin reads it."""
    return (
        f"azureml://{workspace.api_host}/mlflow/v2.0{workspace.scope}/experiments/{experiment}/runs/{run_id}/artifacts"
    )


def experiment_of(record: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    """Return an experiment."""
    created = milliseconds(record["createdUtc"])
    return {
        "experiment_id": record["experimentId"],
        "name": record["name"],
        "artifact_location": f"azureml://{workspace.api_host}/mlflow/v2.0{workspace.scope}/experiments/{record['name']}",
        "lifecycle_stage": "deleted" if record["archivedTime"] else "active",
        "creation_time": created,
        "last_update_time": milliseconds(record["archivedTime"]) or created,
        "tags": _pairs(record["tags"]),
    }


def run_of(record: Mapping[str, Any], series: Mapping[str, Sequence[Any]], workspace: Workspace) -> dict[str, Any]:
    """Return a run.

    Args:
        record: Its record.
        series: Its metrics, as `series_of` returns them.
        workspace: Its workspace.
    """
    name = record["displayName"] or record["runId"]
    start = milliseconds(record["startTimeUtc"]) or milliseconds(record["createdUtc"])
    info = {
        "run_id": record["runId"],
        "run_uuid": record["runId"],
        "run_name": name,
        "experiment_id": record["experimentId"],
        "user_id": record["createdBy"]["userName"],
        "status": status_of(record),
        "start_time": start,
        "artifact_uri": artifact_uri(workspace, record["_experiment"], record["runId"]),
        "lifecycle_stage": "deleted" if record.get("_isDeleted") else "active",
    }
    end = milliseconds(record["endTimeUtc"])
    info |= {"end_time": end} if end is not None else {}
    tags = {key: "" if value is None else str(value) for key, value in record["tags"].items()}
    tags |= {"mlflow.runName": name, "mlflow.user": record["createdBy"]["userName"]}
    tags |= {"mlflow.parentRunId": record["parentRunId"]} if record["parentRunId"] else {}
    data = {
        "metrics": [values[-1] | {"value": as_json(values[-1]["value"])} for values in series.values() if values],
        "params": _pairs(record.get("_params", {})),
        "tags": _pairs(tags),
    }
    return {"info": info, "data": data, "inputs": {}, "outputs": {}}


def series_of(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the histories of a run's metrics that are numbers, by name, each in the order of its steps.

    A metric of several columns, as `run.log_row` makes it, has one history a column: ``name.column``.

    Args:
        metrics: As the metric service merges them.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, metric in metrics.items():
        for index, cell in enumerate(metric["value"]):
            for column, value in cell["data"].items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    key = name if len(metric["columns"]) == 1 else f"{name}.{column}"
                    step = cell.get("step")
                    moment = milliseconds(cell.get("createdUtc")) or 0
                    point = {"key": key, "value": value, "timestamp": moment, "step": index if step is None else step}
                    found.setdefault(key, []).append(point)
    for values in found.values():
        values.sort(key=lambda point: (point["step"], point["timestamp"]))
    return found


def _pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]
