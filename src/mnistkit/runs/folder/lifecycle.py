"""The life cycle of a run: its attempts and states, recorded as they come."""

from __future__ import annotations

import os
from typing import Any

from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.runs.folder.attempts import may_retry, outcome_by_exit, outcome_by_timeout
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import Attempt, RunState
from mnistkit.utils.clock import utc_now
from mnistkit.utils.regular import open_regular

__all__ = ["RunLifecycle"]

_MAX_TAIL_LINES, _MAX_TAIL_BYTES = 100, 1 << 16  # lines: what Python 3.14 itself prints of a crash takes about 60


class RunLifecycle:
    """A run that is carried out, for the process that owns it from then on.

    Attributes:
        id: The run's id.
        job: What it runs.
        folder: Its folder.
        log_file: Where its output goes.
        attempts: How many attempts have begun.
        is_over: Whether it has reached a terminal state.
    """

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self.id = run_id
        self.job: Job = store.job(run_id)
        self.folder = store.folder(run_id)
        self.log_file = store.log_file(run_id)
        self.attempts = len(store.read(run_id).attempts)  # those that another machine made
        self.is_over = False
        self._began_at = utc_now()
        store.adopt(run_id)

    @property
    def is_canceled(self) -> bool:
        """Return True if its end was requested."""
        return self._store.is_cancel_requested(self.id)

    def begin(self) -> None:
        """Record that an attempt begins."""
        self.attempts += 1
        self._began_at = utc_now()
        if self._store.state(self.id) is not RunState.PREPARING:
            self.enter(RunState.PREPARING)

    def enter(self, state: RunState) -> None:
        """Record that the run entered a state."""
        self._store.advance(self.id, state)

    def complete(self) -> None:
        """Record that the attempt, and so the run, completed."""
        self._end(RunState.COMPLETED, self.attempt())

    def cancel(self) -> None:
        """Record that the run was ended on request."""
        self._end(RunState.CANCELED, self.attempt())

    def fail(self, attempt: Attempt, *, traceback: str | None = None, is_final: bool = False) -> None:
        """Record that an attempt ended badly: the run fails, unless its job allows another attempt.

        Args:
            attempt: What `attempt` returned, with its cause and error.
            traceback: Where it failed; None for the last lines of the log.
            is_final: Whether another attempt makes no sense, whatever the job says.
        """
        job = self.job
        again = not is_final and may_retry(attempt.cause, self.attempts, retries=job.retries, retry_on=job.retry_on)
        if again and self.is_canceled:
            self._end(RunState.CANCELED, attempt)
        elif again:
            self._store.set_attempt_aside(self.id, self.attempts)
            self._store.advance(self.id, RunState.QUEUED, attempt=attempt)
        else:
            self._end(RunState.FAILED, attempt, error=attempt.error, traceback=traceback or self._last_lines())

    def attempt(self, **how: Any) -> Attempt:
        """Return the present attempt, ended now; ``how`` are fields of `Attempt`."""
        return Attempt(started_at=self._began_at, ended_at=utc_now(), **how)

    def attempt_by_exit(self, code: int) -> Attempt:
        """Return the present attempt, whose process exited with ``code``, or by a signal if that is negative."""
        what = self.job.entry_script if isinstance(self.job, ScriptJob) else "The training process"
        return self.attempt(**outcome_by_exit(what, code))

    def attempt_by_timeout(self) -> Attempt:
        """Return the present attempt, ended now because its time was over."""
        return self.attempt(**outcome_by_timeout(self.job.timeout or 0))

    def _end(self, state: RunState, attempt: Attempt, **why: str | None) -> None:
        if state is not RunState.COMPLETED and isinstance(self.job, TrainingJob):
            self._store.clear_outputs(self.id)  # a model that isn't whole must not be taken for one
        self._store.advance(self.id, state, attempt=attempt, **why)
        self.is_over = True

    def _last_lines(self) -> str:
        try:
            with open_regular(self.log_file, within=self.folder) as stream:
                stream.seek(max(stream.seek(0, os.SEEK_END) - _MAX_TAIL_BYTES, 0))
                text = stream.read().decode("utf-8", errors="backslashreplace")
        except FileNotFoundError:  # the job has removed it
            return ""
        return "\n".join(text.splitlines()[-_MAX_TAIL_LINES:])
