"""Submission of jobs through the SDK v1: data, environment, folder, and one request that starts the run."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, field, frozen

from mnistkit.azureml.calls import call
from mnistkit.azureml.open_dataset import PinnedOpenDataset
from mnistkit.azureml.runs.records import end_properties, job_properties
from mnistkit.azureml.runs.staging import needs_data, stage
from mnistkit.azureml.v1._sdk import is_estimator_available, sdk
from mnistkit.azureml.v1.environments import environment_of, registered
from mnistkit.azureml.v1.runs.history import History
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, NotFoundError, RunNotFoundError, ServiceError
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.redaction import redacted

__all__ = ["Pending", "SubmitWith", "Submitter"]

SubmitWith = Literal["estimator", "script_run_config"]
"""The SDK's class that a run is submitted with: the tutorial's, or its successor."""

_DATA_OPTION = "--data-folder"
_ATTEMPT_SECONDS, _START_SECONDS = 60, 600
_MAX_CONCURRENT = 4  # submissions: the SDK uploads a snapshot in each
_NODE_MODULE = "mnistkit.azureml.v1.node"
_log = logging.getLogger(__name__)


@frozen
class Submitter:
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
    history: History
    target: Callable[[], Any]
    submit_with: SubmitWith
    mode: Literal["mount", "download"]
    max_seconds: int
    seconds: float | None
    _slots: threading.Semaphore = field(factory=lambda: threading.Semaphore(_MAX_CONCURRENT), init=False)
    _environments: dict[str, Any] = field(factory=dict, init=False)

    def duration(self, job: Job) -> int:
        """Return the run's time limit in seconds: that of all attempts, with a minute for each and ten around them."""
        if job.timeout is None:
            return self.max_seconds
        return int((job.timeout + _ATTEMPT_SECONDS) * (job.retries + 1)) + _START_SECONDS

    def submit(self, record: RunRecord, folder: Path, entry: str, mounted: Any) -> None:
        """Start a run; exactly one, however often the request has to be repeated.

        Raises:
            ServiceError: It wasn't started, as far as can be found out.
        """
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
        """Record in the workspace a run that was never submitted to the cluster, so that it can be found later.

        Raises:
            ServiceError: The workspace didn't take it.
        """
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
        core, target, seconds = sdk(), self.target(), self.duration(job)
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


class Pending:
    """A run that was submitted here and isn't in the workspace yet.

    Attributes:
        record: As it is now.
    """

    def __init__(self, record: RunRecord, data: DataSource, submitter: Submitter) -> None:
        """Stage the job as it is now.

        Raises:
            StorageError: The disk is full.
        """
        self.record = record
        self._data = data
        self._submitter = submitter
        self._lock = threading.Lock()
        self._is_submitting = False
        self._done = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="mnistkit-"))
        self._entry = ""
        self._problem: Exception | None = None
        try:
            self._entry = stage(record.job, record.data, self._folder / "job", module=_NODE_MODULE, pins=_pins(data))
        except (MnistkitError, OSError) as error:
            self._problem = error

    def start(self, mount: Callable[[DataSource], Any], gone: Callable[[str], None]) -> threading.Thread:
        """Start sending it, on a thread of its own.

        Args:
            mount: Makes the data available to the node, and returns the SDK's input for it.
            gone: Called with the run's id when the workspace has the run.
        """
        thread = threading.Thread(target=self._run, args=(mount, gone), name=self.record.id, daemon=True)
        thread.start()
        return thread

    def cancel(self) -> bool:
        """Cancel it before it is submitted, else wait until it is; return True if it ended here."""
        with self._lock:
            if not self._is_submitting:
                if not self.record.state.is_terminal:
                    self._enter(RunState.CANCELED)
                return True
        self._done.wait()
        return self.record.state.is_terminal

    def _run(self, mount: Callable[[DataSource], Any], gone: Callable[[str], None]) -> None:
        try:
            self._send(mount)
        except Exception as error:  # noqa: BLE001 - any error is the run's
            line = redacted("".join(traceback.format_exception_only(error)).strip())
            self._fail(line, redacted("".join(traceback.format_exception(error))))
        kept = True
        if self.record.state.is_terminal:
            kept = self._keep()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._done.set()
        if kept:
            gone(self.record.id)

    def _send(self, mount: Callable[[DataSource], Any]) -> None:
        if self._problem is not None:
            raise self._problem
        mounted = mount(self._data) if needs_data(self.record.job) else None
        with self._lock:
            if self.record.state.is_terminal:
                return
            self._is_submitting = True
        self._submitter.submit(self.record, self._folder / "job", self._entry, mounted)

    def _fail(self, error: str, trace: str) -> None:
        with self._lock:
            if not self.record.state.is_terminal:
                self.record = evolve(self.record, error=error, traceback=trace)
                self._enter(RunState.FAILED)

    def _keep(self) -> bool:
        try:
            self._submitter.keep_ended(self.record, self.record.state, self.record.error, self.record.traceback)
        except MnistkitError as error:
            record = self.record
            _log.warning("Run %s is %s; the workspace couldn't record that: %s", record.id, record.state, error)
            return False
        return True

    def _enter(self, state: RunState) -> None:
        transition = Transition(state, max(utc_now(), self.record.transitions[-1].at))
        self.record = evolve(self.record, transitions=(*self.record.transitions, transition))


def _pins(data: DataSource) -> tuple[DatasetManifest, ...]:
    """Return what the node must find mounted: it has neither this machine's settings nor the source's own pins."""
    return data.accepted() if isinstance(data, PinnedOpenDataset) else ()


@cache
def _has_estimator() -> bool:
    if is_estimator_available():
        return True
    _log.warning("This release of the Azure ML SDK has no Estimator: runs are submitted with ScriptRunConfig.")
    return False
