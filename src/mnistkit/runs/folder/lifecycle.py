"""A run's way through its attempts and states, written down as it goes."""

from __future__ import annotations

import os
import signal
from typing import Any

from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import Attempt, RunState
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import open_regular

__all__ = ["Course", "signal_name"]

_TAIL_LINES, _TAIL_BYTES = 50, 1 << 16


class Course:
    """A run on its way, for the process that owns it from then on.

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
        self.attempts = 0
        self.is_over = False
        self._began_at = utc_now()
        store.adopt(run_id)

    @property
    def is_canceled(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._store.is_asked_to_stop(self.id)

    def begin(self) -> None:
        """Note that an attempt begins."""
        self.attempts += 1
        self._began_at = utc_now()
        if self._store.state(self.id) is not RunState.PREPARING:
            self.enter(RunState.PREPARING)

    def enter(self, state: RunState) -> None:
        """Note that the run is in a state now."""
        self._store.advance(self.id, state)

    def complete(self) -> None:
        """Note that the attempt, and so the run, ended well."""
        self._end(RunState.COMPLETED, self.attempt())

    def cancel(self) -> None:
        """Note that the run ended because somebody asked it to."""
        self._end(RunState.CANCELED, self.attempt())

    def fail(self, attempt: Attempt, *, traceback: str | None = None, is_final: bool = False) -> None:
        """Note that an attempt ended badly; so does the run, unless its job allows another, or somebody asked to stop.

        Args:
            attempt: What `attempt` returned, with its cause and error.
            traceback: Where it failed; None for the last lines of the log.
            is_final: Whether another attempt makes no sense, whatever the job says.
        """
        again = attempt.cause in self.job.retry_on and self.attempts <= self.job.retries and not is_final
        if again and self.is_canceled:
            self._end(RunState.CANCELED, attempt)
        elif again:
            self._store.set_attempt_aside(self.id, self.attempts)
            self._store.advance(self.id, RunState.QUEUED, attempt=attempt)
        else:
            self._end(RunState.FAILED, attempt, error=attempt.error, traceback=traceback or self._last_lines())

    def attempt(self, **how: Any) -> Attempt:
        """The present attempt, ended now; ``how`` are fields of `Attempt`."""
        return Attempt(started_at=self._began_at, ended_at=utc_now(), **how)

    def attempt_by_exit(self, code: int) -> Attempt:
        """The present attempt, whose process ended now with that code, or by a signal if it is negative."""
        what = self.job.entry_script if isinstance(self.job, ScriptJob) else "The training process"
        if code >= 0:
            return self.attempt(cause="error", error=f"{what} exited with code {code}.", exit_code=code)
        name = signal_name(-code)
        guess = " The system was probably out of memory: mnistkit didn't send it." if name == "SIGKILL" else ""
        return self.attempt(cause="killed", error=f"{what} was killed by {name}.{guess}", signal=name)

    def attempt_by_timeout(self) -> Attempt:
        """The present attempt, ended now because its time was over."""
        error = f"It was not done after its timeout of {self.job.timeout:g} s, and was ended."
        return self.attempt(cause="timeout", error=error)

    def _end(self, state: RunState, attempt: Attempt, **why: str | None) -> None:
        if state is not RunState.COMPLETED and isinstance(self.job, TrainingJob):
            self._store.clear_outputs(self.id)  # a model that isn't whole must not be taken for one
        self._store.advance(self.id, state, attempt=attempt, **why)
        self.is_over = True

    def _last_lines(self) -> str:
        try:
            with open_regular(self.log_file) as stream:
                stream.seek(max(stream.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
                text = stream.read().decode("utf-8", errors="backslashreplace")
        except FileNotFoundError:  # the job has removed it
            return ""
        return "\n".join(text.splitlines()[-_TAIL_LINES:])


def signal_name(number: int) -> str:
    """``"SIGSEGV"`` for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
