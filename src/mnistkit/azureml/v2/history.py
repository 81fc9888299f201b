"""The runs of a workspace through the SDK v2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.runs.history import History, StoredRun
from mnistkit.azureml.runs.records import PROPERTIES
from mnistkit.azureml.v2.node import STEPLESS
from mnistkit.azureml.v2.service import Service
from mnistkit.azureml.v2.storage import ARTIFACTS, Place, Storage
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.errors import NotFoundError, RunNotFoundError
from mnistkit.runs.record import MetricPoint
from mnistkit.utils.clock import utc_time
from mnistkit.utils.documents import parse_json

__all__ = ["SdkHistory"]

_LOG = "user_logs/std_log.txt"
_ID = "{run}"
_PAGE = f"https://ml.azure.com/runs/{_ID}"


class SdkHistory(History):
    """Reads runs of a workspace.

    States, times and properties are the run history's, metrics are MLflow's, files and logs are read from storage. On
    the node mnistkit writes tags, which are all that MLflow has; here they count as properties.

    Args:
        connection: To the workspace.
        seconds: The deadline of one call; None for two minutes.
    """

    def __init__(self, connection: Connection, seconds: float | None = None) -> None:
        self._connection = connection
        self._seconds = seconds
        self.service = Service(connection, seconds)
        self._storage = Storage(connection)
        self._page: str | None = None

    @property
    def workspace_name(self) -> str:
        """The workspace's name."""
        return str(self._connection.client.workspace_name)

    def get(self, run_id: str) -> StoredRun:
        """Return the present state of a run; see `History.get`."""
        try:
            return _stored(self.service.run(run_id))
        except NotFoundError as error:
            raise RunNotFoundError(f"There is no run {run_id!r} in the workspace {self.workspace_name}.") from error

    def list_runs(self, experiment: str | None) -> list[StoredRun]:
        """Return all runs that mnistkit submitted; see `History.list_runs`."""
        experiments = list(self.service.experiments())
        names = [name for name in experiments if experiment in {None, name}]
        condition = f"(properties/{PROPERTIES[0]} ne null)"
        return [_stored(run) for name in names for run in self.service.runs(name, condition)]

    def points(self, run_id: str) -> list[MetricPoint]:
        """Return the values of all metrics; see `History.points`."""
        data = self.service.mlflow_run(run_id).get("data") or {}
        tags = {tag["key"]: tag["value"] for tag in data.get("tags") or ()}
        named = parse_json(tags.get(STEPLESS, "[]"), f"run {run_id}")
        stepless = set(map(str, named)) if isinstance(named, list) else set()
        names = sorted({metric["key"] for metric in data.get("metrics") or ()})
        points = [
            _point(name, each, has_step=name not in stepless)
            for name in names
            for each in self.service.metric(run_id, name)
        ]
        return sorted(points, key=lambda point: point.time)

    def files(self, run_id: str) -> list[str]:
        """Return the names of the files that the run has written so far."""
        return sorted(self._storage.files(_place(run_id)))

    def error(self, run_id: str) -> str | None:
        """Return Azure's reason for a failure."""
        error = (self.service.details(run_id).get("error") or {}).get("error") or {}
        message = error.get("message")
        return " ".join(str(message).split()) if message else None

    def log(self, run_id: str, skip: int = 0) -> bytes:
        """Return the log so far, from byte ``skip`` on."""
        return self._storage.read(_place(run_id, _LOG), skip)

    def url(self, run_id: str) -> str:
        """Return the run's page in the studio. The first call sends a request: pages differ in the id alone."""
        if self._page is None:
            jobs = self._connection.client.jobs
            try:
                page = call(f"getting the page of {run_id}", jobs.get, run_id, seconds=self._seconds).studio_url or ""
            except NotFoundError:  # the run was never submitted
                return _PAGE.replace(_ID, run_id)
            self._page = page.replace(run_id, _ID) if run_id in page else _PAGE
        return self._page.replace(_ID, run_id)

    def download(self, run_id: str, file: str, to: Path) -> None:
        """Write a file of the run to a path, unverified."""
        self._storage.download(_place(run_id, file), to)

    def cancel(self, run_id: str) -> None:
        """Request the run's cancellation; doesn't wait for its end."""
        call(f"canceling {run_id}", self._connection.client.jobs.begin_cancel, run_id, seconds=self._seconds)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of the run; others stay."""
        self.service.set_tags(run_id, tags)

    def remove_tags(self, run_id: str, names: Sequence[str]) -> None:
        """Remove tags that the run has."""
        for name in names:
            self.service.remove_tag(run_id, name)


def _place(run_id: str, file: str = "") -> Place:
    return Place(ARTIFACTS, f"ExperimentRun/dcid.{run_id}/{file}".rstrip("/"))


def _stored(run: dict[str, Any]) -> StoredRun:
    tags = {key: str(value) for key, value in (run.get("tags") or {}).items()}
    ours = {key: value for key, value in tags.items() if key.startswith(PROPERTIES)}
    return StoredRun(
        id=run["runId"],
        status=run["status"],
        properties={**(run.get("properties") or {}), **ours},
        tags={key: value for key, value in tags.items() if key not in ours and key != STEPLESS},
        created_at=run.get("createdUtc"),
        started_at=run.get("startTimeUtc"),
        ended_at=run.get("endTimeUtc"),
    )


def _point(name: str, point: dict[str, Any], *, has_step: bool) -> MetricPoint:
    at = utc_time(int(point["timestamp"]) / 1000)
    step = int(point.get("step") or 0)
    return MetricPoint(name, float(point["value"]), step if has_step or step else None, at)
