"""An observer that mirrors runs to MLflow while they run."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from mnistkit.errors import MnistkitError, NotFoundError, RunNotFoundError
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.mlflow._sdk import check_installed
from mnistkit.mlflow.address import TRACKING_VARIABLE, Address
from mnistkit.mlflow.runs import RunMirror, script_points, script_variables
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.observers import RunObserver
from mnistkit.runs.record import MetricPoint, RunRecord
from mnistkit.utils.lifetime import finish_at_exit
from mnistkit.utils.redaction import public_text

__all__ = ["MlflowRuns"]

_log = logging.getLogger(__name__)

_MIN_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 10.0
_RETRY_SECONDS = 15.0
_EXIT_SECONDS = 30.0


class MlflowRuns(RunObserver):
    """Mirrors the runs of a trainer to MLflow while they run: ``Trainer(..., observers=[MlflowRuns(uri)])``.

    A thread reads the records of unfinished runs and writes what is new to MLflow, until they have finished; a program
    that ends waits for it, 30 seconds at most. Trouble with MLflow fails no run and delays none: it is one warning,
    and ``mnistkit runs mirror`` writes later what is missing.

    A `ScriptJob` gets ``MLFLOW_TRACKING_URI`` and ``MLFLOW_RUN_ID``, so that plain ``mlflow`` in the script logs to the
    same MLflow run; what it logged as metrics is in `Run.metrics` once the run has finished. The variables hold no
    password: for a server that needs one, set it in the job's own environment.

    Args:
        uri: As for `MlflowRegistry`.

    Raises:
        UsageError: The uri is neither a file's nor a server's.
        MissingExtraError: MLflow isn't installed.
    """

    def __init__(self, uri: str) -> None:
        check_installed()
        self._address = Address.parse(uri)
        self._backend: ComputeBackend | None = None
        self._thread: threading.Thread | None = None
        self._reset()

    @classmethod
    def from_home(cls, home: str | os.PathLike[str], *, uri: str | None = None) -> MlflowRuns:
        """Return an observer that mirrors to ``uri``.

        Args:
            home: The folder for runs and models.
            uri: As in the class; None for ``MLFLOW_TRACKING_URI``, else the file ``mlflow/mlflow.db`` in ``home``.
        """
        return cls(Address.of_home(Path(home), uri, TRACKING_VARIABLE).uri)

    def __repr__(self) -> str:
        return f"MlflowRuns({self._address.shown!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_address": self._address, "_backend": self._backend}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _thread=None)
        self._reset()

    def observing(self, backend: ComputeBackend) -> None:
        """Keep the backend, to read records and files from."""
        self._backend = backend

    def prepared(self, job: Job) -> Job:
        """Return a script's job with the variables for plain ``mlflow``; another job as it is."""
        if not isinstance(job, ScriptJob) or self._is_down():
            return job
        with contextlib.suppress(NotFoundError):  # the backend raises it
            job.check()
            return self._with_variables(job)
        return job

    def logged_elsewhere(self, record: RunRecord) -> Sequence[MetricPoint]:
        """Return the metrics that plain ``mlflow`` in a script logged."""
        if self._is_down():
            return ()
        try:
            return script_points(self._address, record)
        except MnistkitError as error:
            self._warn(error)
            return ()

    def submitted(self, record: RunRecord) -> None:
        """Begin to mirror a run."""
        with self._lock:
            self._unfinished[record.id] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mnistkit-mlflow", daemon=True)
                self._thread.start()
                finish_at_exit(self, MlflowRuns._finish)
        self._wake.set()

    def finished(self, record: RunRecord) -> None:  # noqa: ARG002 - the thread reads it anew
        """Mirror the end of a run soon."""
        self._wake.set()

    def wait(self, timeout: float = _EXIT_SECONDS) -> bool:
        """Wait until MLflow has all of the runs that have finished, and return True if it does in time.

        Args:
            timeout: Seconds.
        """
        deadline, pause = time.monotonic() + timeout, 0.05
        while time.monotonic() < deadline:
            self._wake.set()
            with self._lock:
                runs = list(self._unfinished)
            if not any(self._is_over(run_id) for run_id in runs):
                return True
            time.sleep(pause)
            pause = min(pause * 1.5, _MIN_PAUSE_SECONDS)
        return False

    def _reset(self) -> None:
        self._mirror = RunMirror(self._address)
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._unfinished: dict[str, None] = {}  # in order; a run is in it once, whatever happens to it
        self._down_until = 0.0
        self._has_warned = self._is_ending = False

    def _with_variables(self, job: ScriptJob) -> Job:
        try:
            variables = script_variables(self._address, job.experiment)
        except MnistkitError as error:
            self._warn(error)
            return job
        environment = job.environment or Environment.current()
        return attrs.evolve(
            job, environment=attrs.evolve(environment, variables={**variables, **environment.variables})
        )

    def _is_over(self, run_id: str) -> bool:
        try:
            return self._backend is not None and self._backend.get(run_id).state.is_terminal
        except MnistkitError:
            return False

    def _work(self) -> None:
        pause = _MIN_PAUSE_SECONDS
        while True:
            is_woken = self._wake.wait(pause)
            self._wake.clear()
            with self._lock:
                runs = list(self._unfinished)
                if not runs:
                    self._thread = None
                    return
            pause = _MIN_PAUSE_SECONDS if is_woken else min(pause * 1.5, _MAX_PAUSE_SECONDS)
            if self._is_down() and not self._is_ending:
                continue
            for run_id in runs:
                if not self._write(run_id):
                    break

    def _write(self, run_id: str) -> bool:
        """Write what is new of a run; return False if MLflow is in trouble."""
        assert self._backend is not None  # noqa: S101 - there is a run
        try:
            record = self._backend.get(run_id)
        except RunNotFoundError:  # deleted meanwhile
            self._unfinished.pop(run_id, None)
            return True
        except (MnistkitError, OSError):
            return True
        try:
            self._mirror.write(self._backend, record)
        except Exception as error:  # noqa: BLE001 - nothing that happens to MLflow is the run's
            self._warn(error)
            return False
        self._has_warned = False
        if record.state.is_terminal:
            self._unfinished.pop(run_id, None)
        return True

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def _warn(self, error: Exception) -> None:
        self._down_until = time.monotonic() + _RETRY_SECONDS
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "Runs aren't mirrored to MLflow for now: %s What is missing there is written later, or by: "
                "mnistkit runs mirror",
                public_text(str(error)),
            )

    def _finish(self) -> None:
        """Write the ends of runs that have finished, before the program ends; detached ones are left."""
        self._is_ending, self._down_until = True, 0.0
        if not self.wait(_EXIT_SECONDS):
            _log.warning("Some runs aren't in MLflow as they are: mnistkit runs mirror writes what is missing.")
