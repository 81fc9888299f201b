"""Submission of jobs through the SDK v1: data, environment, folder, and one request that starts the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from mnistkit.azureml.calls import call
from mnistkit.azureml.runs.pending import RunSubmitter, duration_seconds
from mnistkit.azureml.runs.records import end_properties, job_properties
from mnistkit.azureml.v1._sdk import is_estimator_available, sdk
from mnistkit.azureml.v1.data import mount
from mnistkit.azureml.v1.environments import environment_of, registered
from mnistkit.azureml.v1.history import SdkHistory
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.source import DataSource
from mnistkit.errors import NotFoundError, RunNotFoundError, ServiceError
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.runs.record import RunRecord, RunState

__all__ = ["SdkSubmitter", "SubmitWith"]

SubmitWith = Literal["estimator", "script_run_config"]
"""The SDK's class that a run is submitted with: the tutorial's, or its successor."""

_DATA_OPTION = "--data-folder"
_MAX_CONCURRENT = 4  # submissions: the SDK uploads a snapshot in each
_log = logging.getLogger(__name__)


@frozen
class SdkSubmitter(RunSubmitter):
    """Submits jobs to one cluster of a workspace.

    Attributes:
        connection: To the workspace.
        history: Of its runs.
        target: Returns the SDK's compute target, and creates the cluster if need be.
        submit_with: The SDK's class.
        mode: How the data reaches the node.
        max_seconds: The time limit of a run whose job sets none.
        seconds: The deadline of one call.
    """

    connection: Connection
    history: SdkHistory
    target: Callable[[], Any]
    submit_with: SubmitWith
    mode: Literal["mount", "download"]
    max_seconds: int
    seconds: float | None
    _slots: threading.Semaphore = field(factory=lambda: threading.Semaphore(_MAX_CONCURRENT), init=False)
    _environments: dict[str, Any] = field(factory=dict, init=False)

    @property
    def module(self) -> str:
        """The module that runs the job on the node."""
        return "mnistkit.azureml.v1.node"

    def mount(self, data: DataSource) -> Any:
        """Return the SDK's input for data; see `mnistkit.azureml.v1.data.mount`."""
        return mount(self.connection.workspace, data, mode=self.mode)

    def submit(self, record: RunRecord, folder: Path, entry: str, mounted: Any) -> None:
        """Start a run; see `RunSubmitter.submit`. A second request with the same id is refused."""
        with self._slots:
            workspace, job = self.connection.workspace, record.job
            wanted = environment_of(job)
            environment = self._environments.get(wanted.name) or registered(workspace, wanted)
            self._environments[wanted.name] = environment
            config = self._configuration(job, folder, entry, environment, mounted)
            experiment = call(
                f"getting the experiment {job.experiment}", sdk().Experiment, workspace, job.experiment,
                seconds=self.seconds,
            )  # fmt: skip
            try:
                run = call(
                    f"submitting the run {record.id}", experiment.submit, config, run_id=record.id, seconds=self.seconds
                )
            except (ServiceError, NotFoundError):
                run = self._find(record.id)
                if run is None:
                    raise
            self.history.keep(run)
            self._describe(run, record)

    def keep_ended(self, record: RunRecord, state: RunState, error: str | None, trace: str | None) -> None:
        """Record in the workspace a run that was never submitted; see `RunSubmitter.keep_ended`."""
        experiment = call(
            f"getting the experiment {record.experiment}", sdk().Experiment, self.connection.workspace,
            record.experiment, seconds=self.seconds,
        )  # fmt: skip
        run = call(
            f"recording the run {record.id}", experiment.start_logging, run_id=record.id, snapshot_directory=None,
            outputs=False, seconds=self.seconds,
        )  # fmt: skip
        call("recording how it ended", run.add_properties, end_properties(state, error, trace), seconds=self.seconds)
        self._describe(run, record)
        if state is RunState.CANCELED:
            call("canceling it", run.cancel, seconds=self.seconds)
        else:
            call("recording that it failed", run.fail, error_details=error, seconds=self.seconds)

    def _find(self, run_id: str) -> Any:
        """Return the run of a request whose response was lost; None if there is none, as far as can be found out."""
        try:
            return self.history.handle(run_id)
        except (RunNotFoundError, ServiceError):
            return None

    def _describe(self, run: Any, record: RunRecord) -> None:
        assert record.provenance is not None, "every run that is submitted here has it"  # noqa: S101 - for the type
        properties = job_properties(record.job, record.data, record.created_at, record.provenance)
        call(f"describing the run {record.id}", run.add_properties, properties, seconds=self.seconds)
        if record.job.tags:
            call(f"tagging the run {record.id}", run.set_tags, dict(record.job.tags), seconds=self.seconds)

    def _configuration(self, job: Job, folder: Path, entry: str, environment: Any, mounted: Any) -> Any:
        """Return the SDK's description of the run."""
        core, target, seconds = sdk(), self.target(), duration_seconds(job, self.max_seconds)
        own = job.environment.variables if isinstance(job, ScriptJob) and job.environment else {}
        if self.submit_with == "estimator" and _has_estimator():
            estimator = sdk("azureml.train.estimator").Estimator(
                str(folder),
                compute_target=target,
                entry_script=entry,
                script_params={_DATA_OPTION: mounted} if mounted is not None else None,
                environment_definition=environment,
                max_run_duration_seconds=seconds,
            )
            config = core.ScriptRunConfig(str(folder), run_config=estimator.run_config)
        else:
            config = core.ScriptRunConfig(
                str(folder),
                script=entry,
                arguments=[_DATA_OPTION, mounted] if mounted is not None else [],
                compute_target=target,
                environment=environment,
                max_run_duration_seconds=seconds,
            )
        config.run_config.environment_variables = {**(config.run_config.environment_variables or {}), **own}
        return config


@cache
def _has_estimator() -> bool:
    if is_estimator_available():
        return True
    _log.warning("This release of the Azure ML SDK has no Estimator: runs are submitted with ScriptRunConfig.")
    return False
