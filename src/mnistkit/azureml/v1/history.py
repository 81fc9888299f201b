"""Requests about runs of a workspace through the SDK v1, each with a deadline."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.runs.history import History, StoredRun
from mnistkit.azureml.runs.records import PROPERTIES
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.errors import AuthenticationError, NotFoundError, RunNotFoundError
from mnistkit.runs.record import MetricPoint

__all__ = ["SdkHistory"]

_SCALAR_KIND = "azureml.v1.scalar"
_LOG_NAMES = ("user_logs/std_log.txt", "azureml-logs/70_driver_log.txt", "logs/azureml/stdout.txt")
_MAX_HANDLES = 512


class SdkHistory(History):
    """Reads runs of a workspace. The SDK's handles are kept, as each costs two requests."""

    def __init__(self, connection: Connection, seconds: float | None = None) -> None:
        self._connection = connection
        self._seconds = seconds
        self._handles: dict[str, Any] = {}
        self._lock = threading.Lock()

    def handle(self, run_id: str) -> Any:
        """Return the SDK's handle of a run.

        Raises:
            RunNotFoundError: There is none.
        """
        with self._lock:
            known = self._handles.get(run_id)
        if known is not None:
            return known
        workspace = self._connection.workspace
        try:
            found = self._call(f"getting the run {run_id}", sdk().Run.get, workspace, run_id)
        except NotFoundError as error:
            raise RunNotFoundError(f"There is no run {run_id!r} in the workspace {workspace.name}.") from error
        self.keep(found)
        return found

    def keep(self, handle: Any) -> None:
        """Keep the SDK's handle of a run."""
        with self._lock:
            while len(self._handles) >= _MAX_HANDLES:
                del self._handles[next(iter(self._handles))]
            self._handles[handle.id] = handle

    @property
    def workspace_name(self) -> str:
        """The workspace's name."""
        return str(self._connection.workspace.name)

    def get(self, run_id: str) -> StoredRun:
        """Return the present state of a run; see `History.get`."""
        handle = self.handle(run_id)
        return _stored(self._call(f"getting the state of {run_id}", handle._client.run.get_run))  # noqa: SLF001 - the SDK's public calls mix several requests

    def list_runs(self, experiment: str | None) -> list[StoredRun]:
        """Return all runs that mnistkit submitted; see `History.list_runs`."""
        core, workspace = sdk(), self._connection.workspace
        experiments = self._call("listing experiments", core.Experiment.list, workspace, experiment_name=experiment)
        found = []
        for each in experiments:
            handles = self._call(
                f"listing the runs of {each.name}", lambda one: list(one.get_runs(properties=PROPERTIES[0])), each
            )
            for handle in handles:
                self.keep(handle)
            found += [_stored(handle._client.run_dto) for handle in handles]  # noqa: SLF001 - what get_runs has just read
        return found

    def points(self, run_id: str) -> list[MetricPoint]:
        """Return the values of all scalar metrics, in the order in which they were measured."""
        client = self.handle(run_id)._client.metrics  # noqa: SLF001 - Run.get_metrics has no times and steps
        names = self._call(f"listing the metrics of {run_id}", client.list_metric_names_for_run_id, run_id)
        points: list[MetricPoint] = []
        for name in names:
            dto = self._call(f"getting the metric {name} of {run_id}", client.get_metric_dto_for_run_v2, name, run_id)
            if dto is not None and dto.properties.ux_metric_type == _SCALAR_KIND:
                points += filter(None, (_point(name, value) for value in dto.value))
        return sorted(points, key=lambda point: point.time)

    def files(self, run_id: str) -> list[str]:
        """Return the names of the files that the run has written so far."""
        handle = self.handle(run_id)
        return sorted(set(self._call(f"listing the files of {run_id}", handle.get_file_names)))

    def error(self, run_id: str) -> str | None:
        """Return Azure's reason for a failure."""
        told = getattr(getattr(self._details(run_id).error, "error", None), "message", None)
        return " ".join(str(told).split()) if told else None

    def url(self, run_id: str) -> str:
        """Return the run's page in the studio; sends nothing."""
        return str(self.handle(run_id).get_portal_url())

    def log(self, run_id: str, skip: int = 0) -> bytes:
        """Return the log so far, from byte ``skip`` on."""
        urls: Mapping[str, str] = self._details(run_id).log_files or {}
        url = next((urls[name] for name in _LOG_NAMES if name in urls), None)
        return self._call(f"reading the log of {run_id}", _read, url, skip) if url else b""

    def download(self, run_id: str, file: str, to: Path) -> None:
        """Write a file of the run to a path, unverified."""
        handle = self.handle(run_id)
        self._call(f"downloading {file} of {run_id}", handle.download_file, file, str(to))

    def cancel(self, run_id: str) -> None:
        """Request the run's cancellation."""
        self._call(f"canceling {run_id}", self.handle(run_id).cancel)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of the run; others stay."""
        self._call(f"tagging {run_id}", self.handle(run_id).set_tags, dict(tags))

    def remove_tags(self, run_id: str, names: Sequence[str]) -> None:
        """Remove tags that the run has."""
        self._call(f"removing tags of {run_id}", self.handle(run_id).remove_tags, list(names))

    def _details(self, run_id: str) -> Any:
        handle = self.handle(run_id)
        return self._call(f"getting details of {run_id}", handle._client.run.get_runstatus)  # noqa: SLF001 - Run.get_details looks at datasets too

    def _call(self, what: str, function: Any, *args: Any, **options: Any) -> Any:
        """Call it, and once more if the token had just expired: all calls here are idempotent."""
        try:
            return call(what, function, *args, seconds=self._seconds, **options)
        except AuthenticationError:
            return call(what, function, *args, seconds=self._seconds, **options)


def _stored(dto: Any) -> StoredRun:
    return StoredRun(
        id=dto.run_id,
        status=dto.status,
        properties=dict(dto.properties or {}),
        tags=dict(dto.tags or {}),
        created_at=dto.created_utc,
        started_at=dto.start_time_utc,
        ended_at=dto.end_time_utc,
    )


def _point(name: str, value: Any) -> MetricPoint | None:
    try:
        number = float(value.data[name])
    except (KeyError, TypeError, ValueError):
        return None
    at: datetime = value.created_utc
    return MetricPoint(name, number, value.step, at.astimezone(timezone.utc))


def _read(url: str, skip: int) -> bytes:
    import requests  # the SDK's, with its proxies and certificates

    response = requests.get(url, headers={"Range": f"bytes={skip}-"} if skip else {}, timeout=60)
    if response.status_code in {404, 416}:  # no log yet, or nothing new
        return b""
    response.raise_for_status()
    content: bytes = response.content
    return content if response.status_code == 206 else content[skip:]  # noqa: PLR2004 - partial
