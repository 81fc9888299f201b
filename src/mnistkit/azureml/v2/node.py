"""On the node of a job that the SDK v2 submitted: metrics and tags of the run, over MLflow's REST API.

The node has a token and the address in its environment; the standard library does the rest, so that a job's environment
needs neither an SDK nor mlflow. ``python -m mnistkit.azureml.v2.node FOLDER DATA_FOLDER`` runs one attempt.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistkit.azureml.node import job
from mnistkit.azureml.node.forwarding import RunWriter
from mnistkit.azureml.properties import PREFIX

__all__ = ["STEPLESS", "MlflowRunWriter", "main", "open_writer"]

STEPLESS = f"{PREFIX}stepless"
"""The tag with the names of metrics that were logged without a step, as a JSON list: MLflow stores step 0 for them."""

_TRACKING_PATTERN = re.compile(r"azureml://([^/]+)/mlflow/v[12]\.0(/[^?]+)")
_REQUEST_SECONDS = 30.0
_MAX_TRIES = 4
_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class MlflowRunWriter(RunWriter):
    """Writes to a run over MLflow's REST API.

    Images and matrices are among the run's outputs already, which Azure uploads. MLflow has no properties: they become
    tags, which the other side tells by their names.

    Args:
        url: Of the API: ``https://.../api/2.0/mlflow``.
        run_id: The run.
        token: To authenticate with.
    """

    def __init__(self, url: str, run_id: str, token: str) -> None:
        self._url = url
        self._run_id = run_id
        self._token = token
        self._stepless: set[str] = set()

    def log_scalar(self, name: str, value: float, step: int | None, at: datetime) -> None:
        """Log one value of a metric."""
        if step is None and name not in self._stepless:
            self._stepless.add(name)
            self.set_tags({STEPLESS: json.dumps(sorted(self._stepless))})
        point = {"key": name, "value": value, "timestamp": int(at.timestamp() * 1000), "step": step or 0}
        self._post("runs/log-metric", point)

    def log_image(self, name: str, path: Path) -> None:
        """Do nothing: the file is among the outputs."""

    def log_matrix(self, name: str, matrix: Sequence[Sequence[float]], labels: Sequence[str]) -> None:
        """Do nothing: the file is among the outputs."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, all in one request: a text in several of them is never seen in part."""
        self._post("runs/log-batch", {"tags": [{"key": key, "value": value} for key, value in tags.items()]})

    def remove_tags(self, names: Sequence[str]) -> None:
        """Remove tags."""
        for key in names:
            self._post("runs/delete-tag", {"key": key})

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties, as tags."""
        self.set_tags(properties)

    def flush(self) -> None:
        """Do nothing: each request is answered when its value is stored."""

    def _post(self, path: str, values: dict[str, Any]) -> None:
        body = json.dumps({"run_id": self._run_id, **values}).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/{path}", body, headers)  # noqa: S310 - the platform's address
        for number in range(1, _MAX_TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as response:  # noqa: S310 - as above
                    response.read()
            except urllib.error.HTTPError as error:
                if error.code not in _RETRIED_STATUSES or number == _MAX_TRIES:
                    raise
            except OSError:
                if number == _MAX_TRIES:
                    raise
            else:
                return
            time.sleep(0.5 * 2**number)


def open_writer() -> MlflowRunWriter | None:
    """Return a writer to the run that this process belongs to; None if it belongs to none."""
    uri, run_id = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("MLFLOW_RUN_ID", "")
    if not uri or not run_id:
        return None
    match = _TRACKING_PATTERN.match(uri)
    base = f"https://{match[1]}/mlflow/v2.0{match[2]}" if match else uri.rstrip("/")
    return MlflowRunWriter(f"{base}/api/2.0/mlflow", run_id, os.environ.get("MLFLOW_TRACKING_TOKEN", ""))


def main(folder: Path) -> None:
    """Run the job in ``folder``, and exit with its exit code; see `mnistkit.azureml.node.job.main`."""
    job.main(folder, open_writer(), __name__)


def _flush() -> None:
    """Send what a script has logged through mlflow itself, which may buffer it."""
    if "mlflow" in sys.modules:
        with contextlib.suppress(Exception):
            sys.modules["mlflow"].flush_async_logging()


if __name__ == "__main__":
    from mnistkit.azureml.node import attempt  # the job's process doesn't need what it imports

    attempt.main(_flush)
