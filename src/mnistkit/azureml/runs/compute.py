"""The runs of a workspace as a `ComputeBackend`, over the history and the submitter of either SDK."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mnistkit.azureml.runs.files import fetch_file
from mnistkit.azureml.runs.history import History
from mnistkit.azureml.runs.pending import Pending, RunSubmitter
from mnistkit.azureml.runs.reader import RunReader
from mnistkit.azureml.runs.records import NOTE_TAG
from mnistkit.data.source import DataSource
from mnistkit.errors import RunNotFoundError, UsageError
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.jobs.spec import check_classifier
from mnistkit.runs.annotations import check_annotation, joined_notes
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.lifetime import finish_at_exit
from mnistkit.utils.names import check_file

__all__ = ["WorkspaceCompute", "check_job"]

_RUN_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_CANCEL_SECONDS = 10.0
_MAX_REQUESTS = 8


class WorkspaceCompute(ComputeBackend):
    """Runs jobs in a workspace, and finds them there from any process.

    The runs' records, logs, metrics and files are the workspace's; nothing is kept on this machine. Making one does no
    I/O.

    Args:
        history: Reads the runs of the workspace.
        submitter: Submits runs to it.
    """

    def __init__(self, history: History, submitter: RunSubmitter) -> None:
        self._history = history
        self._submitter = submitter
        self._reader = RunReader(history)
        self._lock = threading.Lock()
        self._pending: OrderedDict[str, Pending] = OrderedDict()
        self._threads: dict[str, threading.Thread] = {}
        self._mounting: dict[str, threading.Lock] = {}

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:  # noqa: ARG002 - every run outlives this process
        """Stage the job and return; data and job are sent on a thread. See `ComputeBackend.submit`.

        At its exit a program waits until its submitted runs are in the workspace; from then on they don't need it.
        """
        check_job(job)
        at = utc_now()
        record = RunRecord(
            id=f"mnistkit-{at:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            job=job,
            data=data.uri,
            transitions=(Transition(RunState.QUEUED, at),),
            tags=dict(job.tags),
            provenance=Provenance.of(job),
        )
        pending = Pending(record, data, self._submitter)
        finish_at_exit(self, WorkspaceCompute._finish)  # the SDKs send on thread pools
        with self._lock:
            self._pending[record.id] = pending
            self._threads[record.id] = pending.start(self._mount, self._forget_pending)
        return record

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""
        with self._lock:
            pending = self._pending.get(run_id)
        return pending.record if pending is not None else self._reader.record(_checked(run_id))

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Return all records of runs that mnistkit submitted, newest first; see `ComputeBackend.runs`."""
        with self._lock:
            waiting = {run_id: pending.record for run_id, pending in self._pending.items()}
        found = [run for run in self._history.list_runs(experiment) if run.id not in waiting]
        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            read = [record for record in pool.map(self._reader.listed, found) if record is not None]
        mine = [record for record in waiting.values() if experiment in {None, record.experiment}]
        return tuple(sorted([*read, *mine], key=lambda record: (record.created_at, record.id), reverse=True))

    def cancel(self, run_id: str) -> None:
        """Request a run's cancellation; see `ComputeBackend.cancel`."""
        with self._lock:
            pending = self._pending.get(run_id)
        if pending is not None and pending.cancel():
            return
        state = self._reader.state(_checked(run_id))
        if state.is_terminal or state is RunState.CANCEL_REQUESTED:
            return
        self._history.cancel(run_id)
        deadline = time.monotonic() + _CANCEL_SECONDS
        while self._reader.state(run_id) in {RunState.QUEUED, RunState.PREPARING} and time.monotonic() < deadline:
            time.sleep(0.1)
        self._reader.forget(run_id)

    def annotate_run(
        self, run_id: str, tags: Mapping[str, str | None], note: str | None = None, *, replace_note: bool = False
    ) -> None:
        """Set tags of the run in the workspace; the note is one of them. See `SupportsAnnotations.annotate_run`.

        A run on its way into the workspace is waited for.

        Raises:
            UsageError: A tag that was given with the job is to be removed: the workspace keeps the job.
        """
        given = check_annotation(tags, note)
        with self._lock:
            sending = self._threads.get(run_id)
        if sending is not None:
            sending.join()
        run = self._history.get(_checked(run_id))
        record = self._reader.record(run_id)
        removed = [key for key, value in given.items() if value is None and key in record.tags]
        if kept := [key for key in removed if key in record.job.tags]:
            raise UsageError(f"The tag {kept[0]!r} was given with the job, and stays with it: set it to another value.")
        changed = {key: value for key, value in given.items() if value is not None}
        if note is not None:
            changed[NOTE_TAG] = joined_notes("" if replace_note else run.tags.get(NOTE_TAG, ""), note)
        if changed:
            self._history.set_tags(run_id, changed)
        if removed:
            self._history.remove_tags(run_id, removed)
        self._reader.forget(run_id)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """Return the run's log; see `ComputeBackend.logs`."""
        with self._lock:
            if run_id in self._pending:
                return ""
        return self._reader.log(_checked(run_id))[start:]

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one file of a run, verified by the node's list of files; see `ComputeBackend.download`.

        Raises:
            DownloadError: What arrived isn't what the run wrote, also after another try.
        """
        files = self.get(run_id).files
        check_file(file)
        return fetch_file(self._history, run_id, file, files, into)

    def _mount(self, data: DataSource) -> Any:
        """Make data available to nodes, once for all jobs that wait for the same."""
        with self._lock:
            one_at_a_time = self._mounting.setdefault(data.uri, threading.Lock())
        with one_at_a_time:
            return self._submitter.mount(data)

    def _forget_pending(self, run_id: str) -> None:
        with self._lock:
            self._pending.pop(run_id, None)
            self._threads.pop(run_id, None)

    def _finish(self) -> None:
        """Wait until all submitted runs are in the workspace."""
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()


def check_job(job: Job) -> None:
    """Raise if a job can't run anywhere, before anything is sent.

    Raises:
        SpecError: The model of a training can't be built, or is no classifier.
        NotFoundError: The script isn't there.
    """
    if isinstance(job, TrainingJob):
        check_classifier(job.model.build())
    else:
        job.check()


def _checked(run_id: str) -> str:
    if not isinstance(run_id, str) or not _RUN_ID_PATTERN.fullmatch(run_id):
        raise RunNotFoundError(f"{run_id!r:.120} isn't the id of a run: 'mnistkit runs list' shows them.")
    return run_id
