"""A backend of processes as one would write it in a hurry: the fault tests of the real one must be seen to fail on it.

No session, no supervisor, ``terminate()`` on cancel, a pipe that nobody reads before the end, states written by
whoever comes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.runs.folder.backend import StoredRuns
from mnistkit.runs.record import RunRecord, RunState

__all__ = ["NaiveProcessCompute"]


class NaiveProcessCompute(StoredRuns):
    """Starts each script at once with ``Popen``, and waits for it on a thread."""

    def __init__(self, home: str | os.PathLike[str]) -> None:
        super().__init__(home, None)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Start them."""
        return tuple(self._start(run_id, job) for run_id, job in zip(self._create(jobs, data), jobs, strict=True))

    def _start(self, run_id: str, job: Job) -> RunRecord:
        assert isinstance(job, ScriptJob)
        self.processes[run_id] = process = subprocess.Popen(
            [sys.executable, job.entry_script, *job.arguments],
            cwd=self._store.folder(run_id) / "code",
            env={**os.environ, **(job.environment.variables if job.environment else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._store.advance(run_id, RunState.RUNNING)
        threading.Thread(target=self._wait, args=(run_id, job, process), daemon=True).start()
        return self.get(run_id)

    def cancel(self, run_id: str) -> None:
        """End the process and say so."""
        if not self.get(run_id).state.is_terminal:
            self.processes[run_id].terminate()
            self._store.advance(run_id, RunState.CANCELED)

    def _wait(self, run_id: str, job: ScriptJob, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(job.timeout)
        except subprocess.TimeoutExpired:
            process.terminate()
            code = process.wait()
        if code == 0:
            assert process.stdout is not None
            self._store.log_file(run_id).write_bytes(process.stdout.read())
            self._store.advance(run_id, RunState.COMPLETED)
        elif code > 0 or job.timeout:
            self._store.advance(run_id, RunState.FAILED, error=f"exited with code {code}")
