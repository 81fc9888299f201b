"""Submission of jobs through the SDK v2: data, environment, folder, and one request that starts the run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from mnistkit.azureml.calls import call
from mnistkit.azureml.environments import node_environment
from mnistkit.azureml.runs.pending import RunSubmitter, duration_seconds
from mnistkit.azureml.runs.records import end_properties, job_properties
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.data import job_input
from mnistkit.azureml.v2.environments import register_environment
from mnistkit.azureml.v2.history import SdkHistory
from mnistkit.azureml.v2.storage import Storage
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.data.source import DataSource
from mnistkit.errors import ConflictError, NotFoundError, RunNotFoundError, ServiceError
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.utils.clock import utc_now

__all__ = ["SdkSubmitter", "command_line"]

_MAX_TRIES = 3
_MAX_CONCURRENT = 4  # submissions: the SDK uploads a folder in each
_FINAL_STATUS = {RunState.CANCELED: "Canceled", RunState.FAILED: "Failed"}


def command_line(entry: str, *, has_data: bool) -> str:
    """Return the command that starts a staged folder on the node; the service fills in the data's folder."""
    return f"python {entry}" + (" --data-folder ${{inputs.data}}" if has_data else "")


@frozen
class SdkSubmitter(RunSubmitter):
    """Submits jobs to one cluster of a workspace, or without a cluster.

    Attributes:
        connection: To the workspace.
        history: Of its runs.
        target: Returns the cluster's name, and creates it if need be; None for serverless compute.
        vm_size: The machine type of serverless compute.
        mode: How the data reaches the node.
        max_seconds: The time limit of a run whose job sets none.
        seconds: The deadline of one call.
    """

    connection: Connection
    history: SdkHistory
    target: Callable[[], str] | None
    vm_size: str
    mode: Literal["mount", "download"]
    max_seconds: int
    seconds: float | None
    _slots: threading.Semaphore = field(factory=lambda: threading.Semaphore(_MAX_CONCURRENT), init=False)
    _environments: dict[str, str] = field(factory=dict, init=False)

    @property
    def module(self) -> str:
        """The module that runs the job on the node."""
        return "mnistkit.azureml.v2.node"

    def mount(self, data: DataSource) -> Any:
        """Return the SDK's input for data; see `mnistkit.azureml.v2.data.job_input`."""
        return job_input(Storage(self.connection), data, mode=self.mode)

    def submit(self, record: RunRecord, folder: Path, entry: str, mounted: Any) -> None:
        """Start a run; see `RunSubmitter.submit`. The request names the run: sent again, it changes nothing."""
        with self._slots:
            job = self._command(record, folder, entry, mounted)
            for number in range(1, _MAX_TRIES + 1):
                try:
                    self._send(record.id, job)
                except ConflictError:
                    # A file whose upload was answered by nothing is there when it is sent again; another try uploads
                    # the folder to another place.
                    if number == _MAX_TRIES:
                        raise
                else:
                    return

    def _send(self, run_id: str, job: Any) -> None:
        """Send the request that starts a run, unless it has been started by one whose response was lost."""
        create = self.connection.client.jobs.create_or_update
        try:
            call(f"submitting the run {run_id}", create, job, seconds=self.seconds)
        except (ServiceError, NotFoundError):
            if not self._is_submitted(run_id):
                raise

    def keep_ended(self, record: RunRecord, state: RunState, error: str | None, trace: str | None) -> None:
        """Record in the workspace a run that was never submitted; see `RunSubmitter.keep_ended`."""
        values = {
            "status": _FINAL_STATUS[state],
            "endTimeUtc": utc_now().isoformat(),
            "properties": {**_properties(record), **end_properties(state, error, trace)},
            "tags": dict(record.job.tags),
        }
        self.history.service.ensure_experiment(record.experiment)
        self.history.service.change_run(record.experiment, record.id, values)

    def _command(self, record: RunRecord, folder: Path, entry: str, mounted: Any) -> Any:
        """Return the SDK's description of the run; everything that it refers to is in the workspace by then."""
        own = record.job.environment.variables if isinstance(record.job, ScriptJob) and record.job.environment else {}
        job = sdk().command(
            name=record.id,
            display_name=record.id,
            experiment_name=record.experiment,
            code=str(folder),
            command=command_line(entry, has_data=mounted is not None),
            environment=self._environment(record),
            inputs={} if mounted is None else {"data": mounted},
            environment_variables=dict(own),
            compute=None if self.target is None else self.target(),
            instance_type=self.vm_size if self.target is None else None,
            tags=dict(record.job.tags),
            properties=_properties(record),
        )
        job.set_limits(timeout=duration_seconds(record.job, self.max_seconds))
        return job

    def _environment(self, record: RunRecord) -> str:
        wanted = node_environment(record.job)
        if wanted.name not in self._environments:
            self._environments[wanted.name] = register_environment(self.connection.client, wanted)
        return self._environments[wanted.name]

    def _is_submitted(self, run_id: str) -> bool:
        """Return True if a request whose response was lost has started the run."""
        try:
            self.history.get(run_id)
        except (RunNotFoundError, ServiceError):
            return False
        return True


def _properties(record: RunRecord) -> dict[str, str]:
    assert record.provenance is not None, "every run that is submitted here has it"  # noqa: S101 - for the type
    return job_properties(record.job, record.data, record.created_at, record.provenance)
