"""The way of a job into the workspace: its data, its environment, its folder, one request that starts it."""

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

from mnistkit.azureml.v1._sdk import call, is_estimator_there, sdk
from mnistkit.azureml.v1.environments import node_environment, registered
from mnistkit.azureml.v1.runs.history import History
from mnistkit.azureml.v1.runs.records import ended, of_job
from mnistkit.azureml.v1.runs.staging import needs_data, stage
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, NotFoundError, RunNotFoundError, ServiceError
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.redaction import redacted

__all__ = ["Pending", "SubmitWith", "Submitter"]

SubmitWith = Literal["estimator", "script_run_config"]
"""The SDK's classes that a run is submitted with: the tutorial's, or what came after it."""

_DATA = "--data-folder"
_AT_ONCE = 4
_log = logging.getLogger(__name__)


@frozen
class Submitter:
    """Submits jobs to one cluster of a workspace.

    Attributes:
        connection: To the workspace.
        history: Of its runs.
        target: Gives the SDK's compute target, creating the cluster if need be.
        submit_with: With what.
        mode: How the data reaches the node.
        max_seconds: After which Azure ends a run whose job says nothing.
        seconds: The deadline of one call.
    """

    connection: Connection
    history: History
    target: Callable[[], Any]
    submit_with: SubmitWith
    mode: Literal["mount", "download"]
    max_seconds: int
    seconds: float | None
    _slots: threading.Semaphore = field(factory=lambda: threading.Semaphore(_AT_ONCE), init=False)
    _environments: dict[str, Any] = field(factory=dict, init=False)

    def duration(self, job: Job) -> int:
        """Seconds after which Azure ends the run: all attempts of a job that limits them, and some time around."""
        if job.timeout is None:
            return self.max_seconds
        return int((job.timeout + 60) * (job.retries + 1)) + 600

    def submit(self, record: RunRecord, folder: Path, entry: str, mounted: Any) -> None:
        """Start a run; exactly one, however often the request has to be repeated.

        Raises:
            ServiceError: It wasn't started, for all that can be found out.
        """
        with self._slots:
            workspace, job = self.connection.workspace, record.job
            wanted = node_environment(job)
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
                run = self._taken_all_the_same(record.id)
            self.history.keep(run)
            self._describe(run, record)

    def keep_ended(self, record: RunRecord, state: RunState, error: str | None, trace: str | None) -> None:
        """Make a run that never came to the cluster known to the workspace, for who looks later.

        Raises:
            ServiceError: The workspace couldn't be told.
        """
        experiment = call(
            f"getting the experiment {record.experiment}", sdk().Experiment, self.connection.workspace,
            record.experiment, seconds=self.seconds,
        )  # fmt: skip
        run = call(
            f"noting the run {record.id}", experiment.start_logging, run_id=record.id, snapshot_directory=None,
            outputs=False, seconds=self.seconds,
        )  # fmt: skip
        call("noting how it ended", run.add_properties, ended(state, error, trace), seconds=self.seconds)
        self._describe(run, record)
        if state is RunState.CANCELED:
            call("canceling it", run.cancel, seconds=self.seconds)
        else:
            call("noting that it failed", run.fail, error_details=error, seconds=self.seconds)

    def _taken_all_the_same(self, run_id: str) -> Any:
        """The run of a request whose answer was lost; raises what is being handled if there is none."""
        try:
            return self.history.handle(run_id)
        except (RunNotFoundError, ServiceError):
            pass
        raise  # noqa: PLE0704 - it is called where the error of the request is handled

    def _describe(self, run: Any, record: RunRecord) -> None:
        assert record.provenance is not None, "every run that is submitted here has it"  # noqa: S101 - for the type
        properties = of_job(record.job, record.data, record.created_at, record.provenance)
        call(f"describing the run {record.id}", run.add_properties, properties, seconds=self.seconds)
        if record.job.tags:
            call(f"tagging the run {record.id}", run.set_tags, dict(record.job.tags), seconds=self.seconds)

    def _configuration(self, job: Job, folder: Path, entry: str, environment: Any, mounted: Any) -> Any:
        """The SDK's description of the run."""
        core, target, seconds = sdk(), self.target(), self.duration(job)
        own = job.environment.variables if isinstance(job, ScriptJob) and job.environment else {}
        if self.submit_with == "estimator" and _has_estimator():
            estimator = sdk("azureml.train.estimator").Estimator(
                str(folder),
                compute_target=target,
                entry_script=entry,
                script_params={_DATA: mounted} if mounted is not None else None,
                environment_definition=environment,
                max_run_duration_seconds=seconds,
            )
            config = core.ScriptRunConfig(str(folder), run_config=estimator.run_config)
        else:
            config = core.ScriptRunConfig(
                str(folder),
                script=entry,
                arguments=[_DATA, mounted] if mounted is not None else [],
                compute_target=target,
                environment=environment,
                max_run_duration_seconds=seconds,
            )
        config.run_config.environment_variables = {**(config.run_config.environment_variables or {}), **own}
        return config


class Pending:
    """A run that was submitted here and isn't in the workspace yet, on its way there.

    Attributes:
        record: As it is now.
    """

    def __init__(self, record: RunRecord, data: DataSource, submitter: Submitter) -> None:
        """Stage the job as it is now.

        Raises:
            StorageError: There is no place for it.
        """
        self.record = record
        self._data = data
        self._submitter = submitter
        self._lock = threading.Lock()
        self._is_going = False
        self._done = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="mnistkit-"))
        self._entry = ""
        self._problem: Exception | None = None
        try:
            self._entry = stage(record.job, record.data, self._folder / "job")
        except (MnistkitError, OSError) as error:
            self._problem = error

    def start(self, mount: Callable[[DataSource], Any], gone: Callable[[str], None]) -> threading.Thread:
        """Begin, on a thread of its own.

        Args:
            mount: Makes the data available to the node, and returns the SDK's input for it.
            gone: Called with the run's id when the workspace knows the run.
        """
        thread = threading.Thread(target=self._go, args=(mount, gone), name=self.record.id, daemon=True)
        thread.start()
        return thread

    def cancel(self) -> bool:
        """End it if it isn't on its way to the cluster, else wait until it is there; whether it has ended here."""
        with self._lock:
            if not self._is_going:
                if not self.record.state.is_terminal:
                    self._enter(RunState.CANCELED)
                return True
        self._done.wait()
        return self.record.state.is_terminal

    def _go(self, mount: Callable[[DataSource], Any], gone: Callable[[str], None]) -> None:
        try:
            self._send(mount)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why the run failed
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
            self._is_going = True
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
            _log.warning("Run %s is %s, and only this process knows: %s", self.record.id, self.record.state, error)
            return False
        return True

    def _enter(self, state: RunState) -> None:
        transition = Transition(state, max(utc_now(), self.record.transitions[-1].at))
        self.record = evolve(self.record, transitions=(*self.record.transitions, transition))


@cache
def _has_estimator() -> bool:
    if is_estimator_there():
        return True
    _log.warning("This release of the Azure ML SDK has no Estimator any more: runs are submitted with ScriptRunConfig.")
    return False
