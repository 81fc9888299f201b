"""Requests that the SDK v2 has no public call for: the run history and the MLflow endpoint of a workspace."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from mnistkit.azureml.calls import call
from mnistkit.azureml.v2._sdk import pipeline_client, send
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.errors import AuthenticationError, ServiceError

__all__ = ["Service"]

_TRACKING_PATTERN = re.compile(r"azureml://([^/]+)/mlflow/v[12]\.0(/.+)")
_MAX_POINTS = 25000  # of one response of MLflow


class Service:
    """The run history and MLflow's REST API of one workspace. Safe to share between threads.

    The run history is what the SDK itself reads and changes runs through; its public calls leave out times, or print.

    Args:
        connection: To the workspace.
        seconds: The deadline of one call; None for two minutes.
    """

    def __init__(self, connection: Connection, seconds: float | None) -> None:
        self._connection = connection
        self._seconds = seconds
        self._client: Any = None
        self._scope = ""
        self._lock = threading.Lock()

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run of the run history."""
        found: dict[str, Any] = self._send(f"getting run {run_id}", "GET", f"/history/v1.0{{scope}}/runs/{run_id}")
        return found

    def details(self, run_id: str) -> dict[str, Any]:
        """Return the details of a run: its logs' URLs, and the reason of a failure."""
        path = f"/history/v1.0{{scope}}/runs/{run_id}/details"
        found: dict[str, Any] = self._send(f"getting details of {run_id}", "GET", path)
        return found

    def ensure_experiment(self, name: str) -> None:
        """Create an experiment, unless there is one of that name."""
        self._send(
            f"creating the experiment {name}", "POST", f"/history/v1.0{{scope}}/experiments/{quote(name, safe='')}"
        )

    def change_run(self, experiment: str, run_id: str, values: dict[str, Any]) -> None:
        """Create a run of the run history, or change one."""
        path = f"/history/v1.0{{scope}}/experiments/{quote(experiment, safe='')}/runs/{run_id}"
        self._send(f"recording run {run_id}", "PATCH", path, {"runId": run_id, **values})

    def experiments(self) -> Iterator[str]:
        """Yield the names of all experiments."""
        for each in self._pages("listing experiments", "/history/v1.0{scope}/experiments:query", {}):
            yield str(each["name"])

    def runs(self, experiment: str, condition: str) -> Iterator[dict[str, Any]]:
        """Yield the runs of an experiment that meet an OData condition."""
        path = f"/history/v1.0{{scope}}/experiments/{quote(experiment, safe='')}/runs:query"
        yield from self._pages(f"listing the runs of {experiment}", path, {"filter": condition})

    def mlflow_run(self, run_id: str) -> dict[str, Any]:
        """Return a run as MLflow describes it: ``data`` has the last value of each metric, and the tags."""
        path = f"/mlflow/v2.0{{scope}}/api/2.0/mlflow/runs/get?run_id={run_id}"
        found: dict[str, Any] = self._send(f"getting the metrics of {run_id}", "GET", path)["run"]
        return found

    def metric(self, run_id: str, name: str) -> Iterator[dict[str, Any]]:
        """Yield all points of a metric: ``value``, ``step``, and ``timestamp`` in milliseconds."""
        path = f"/mlflow/v2.0{{scope}}/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key={quote(name)}"
        page = f"{path}&max_results={_MAX_POINTS}"
        while page:
            found = self._send(f"getting the metric {name} of {run_id}", "GET", page)
            yield from found.get("metrics", ())
            token = found.get("next_page_token")
            page = f"{path}&max_results={_MAX_POINTS}&page_token={quote(token)}" if token else ""

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run; others stay."""
        path = "/mlflow/v2.0{scope}/api/2.0/mlflow/runs/log-batch"
        sent = [{"key": key, "value": value} for key, value in tags.items()]
        self._send(f"tagging run {run_id}", "POST", path, {"run_id": run_id, "tags": sent})

    def remove_tag(self, run_id: str, name: str) -> None:
        """Remove a tag that a run has."""
        path = "/mlflow/v2.0{scope}/api/2.0/mlflow/runs/delete-tag"
        self._send(f"removing a tag of run {run_id}", "POST", path, {"run_id": run_id, "key": name})

    def _pages(self, what: str, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        token: str | None = ""
        while token is not None:
            found = self._send(what, "POST", path, {**query, **({"continuationToken": token} if token else {})})
            yield from found.get("value") or ()
            token = found.get("continuationToken") or None

    def _send(self, what: str, method: str, path: str, body: Any = None) -> Any:
        """Send it, and once more if the token had just expired: all requests here are idempotent."""
        client, scope = self._connected()
        path = path.replace("{scope}", scope)
        try:
            return call(what, send, client, method, path, body=body, seconds=self._seconds)
        except AuthenticationError:  # azure-core forgets a token that is refused, and gets another
            return call(what, send, client, method, path, body=body, seconds=self._seconds)

    def _connected(self) -> tuple[Any, str]:
        with self._lock:
            if self._client is None:
                tracking = str(self._connection.workspace.mlflow_tracking_uri)
                match = _TRACKING_PATTERN.fullmatch(tracking)
                if match is None:
                    raise ServiceError(f"The workspace's tracking URI is {tracking!r}: expected azureml://.")
                client = self._connection.client
                login, manager = client._credential, str(client._base_url)  # noqa: SLF001 - MLClient doesn't return them
                token_scope = f"{manager.rstrip('/')}/.default"
                self._client, self._scope = pipeline_client(f"https://{match[1]}", login, token_scope), match[2]
            return self._client, self._scope
