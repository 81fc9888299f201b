"""Runs on their way into a workspace: staged, sent on a thread, and recorded also if they never arrive."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve

from mnistkit.azureml.open_dataset import PinnedOpenDataset
from mnistkit.azureml.runs.staging import needs_data, stage
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError
from mnistkit.jobs.job import Job
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.redaction import redacted

__all__ = ["Pending", "RunSubmitter", "duration_seconds"]

_ATTEMPT_SECONDS, _START_SECONDS = 60, 600
_log = logging.getLogger(__name__)


def duration_seconds(job: Job, otherwise: int) -> int:
    """Return a run's time limit in seconds: that of all attempts, with a minute for each and ten around them.

    Args:
        job: The job.
        otherwise: The limit of a job without ``timeout``.
    """
    if job.timeout is None:
        return otherwise
    return int((job.timeout + _ATTEMPT_SECONDS) * (job.retries + 1)) + _START_SECONDS


class RunSubmitter(ABC):
    """Submits runs to a cluster, through one of the SDKs."""

    @property
    @abstractmethod
    def module(self) -> str:
        """The module whose ``main`` runs the job on the node."""

    @abstractmethod
    def mount(self, data: DataSource) -> Any:
        """Make data available to nodes, and return the SDK's input for it."""

    @abstractmethod
    def submit(self, record: RunRecord, folder: Path, entry: str, mounted: Any) -> None:
        """Start a run; exactly one, however often the request has to be repeated.

        Args:
            record: With the run's id, job and provenance.
            folder: The staged folder.
            entry: The file to start in it.
            mounted: What `mount` returned; None for a job without data.

        Raises:
            ServiceError: It wasn't started, as far as can be found out.
        """

    @abstractmethod
    def keep_ended(self, record: RunRecord, state: RunState, error: str | None, trace: str | None) -> None:
        """Record in the workspace a run that was never submitted to the cluster, so that it can be found later.

        Raises:
            ServiceError: The workspace didn't take it.
        """


class Pending:
    """A run that was submitted here and isn't in the workspace yet.

    Attributes:
        record: As it is now.
    """

    def __init__(self, record: RunRecord, data: DataSource, submitter: RunSubmitter) -> None:
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
            self._entry = stage(
                record.job, record.data, self._folder / "job", module=submitter.module, pins=_pins(data)
            )
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
