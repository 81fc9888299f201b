"""The contract of `ComputeBackend` when programs and machines are lost or differ, as tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.testing.compute_base import ComputeSuiteBase

__all__ = ["LossSuite"]

_SKEW_SECONDS = 600
_COUNTS = """\
import os, sys, time
for i in range(int(sys.argv[1])):
    print('line', i, os.getpid(), flush=True)
    time.sleep(0.05)
"""
_SUBMITTER = """\
import sys, time
from pathlib import Path
from mnistkit.data import FolderSource
from mnistkit.jobs import ScriptJob
{backend}
data, script, lines, detach = sys.argv[1:]
job = ScriptJob(script, arguments=(int(lines),))
record = backend.submit(job, FolderSource(Path(data)), detach=detach == 'True')
print(record.id, flush=True)
time.sleep(600)
"""
_SKEWED_CLOCK = f"""\
import datetime, time
_time = time.time
time.time = lambda: _time() + {_SKEW_SECONDS}
class _Skewed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(_time() + {_SKEW_SECONDS}, tz)
datetime.datetime, _plain = _Skewed, datetime.datetime
"""


class LossSuite(ComputeSuiteBase):
    """Promises about what is lost; part of `ComputeBackendSuite`, skipped without the hooks `lose` and `elsewhere`."""

    interface = "ComputeBackend"

    def lose(self, backend: ComputeBackend, run: Run) -> None:
        """Kill what runs a running run, as a loss of its machine would: the worker, or the process of the job."""
        pytest.skip(f"lose() isn't overridden: nothing can take from {backend!r} what runs {run.id}")

    def elsewhere(self, backend: ComputeBackend) -> str:
        """Return Python code that makes the same backend in another program, as ``backend``."""
        pytest.skip(f"elsewhere() isn't overridden: no other program can make {backend!r}")

    @pytest.fixture
    def counting(self, script: Path) -> Path:
        """A folder with a script that writes as many lines as its argument says, 20 a second."""
        (script / "train.py").write_text(_COUNTS)
        return script

    def test_a_loss_is_a_failed_run(self, backend: ComputeBackend, source: DataSource, counting: Path) -> None:
        """A run that loses what runs it is Failed, as ``killed``, and keeps the text that `logs` has returned."""
        run = Run(backend, backend.submit(ScriptJob(str(counting), arguments=(2000,)), source))
        self.wait_for_log(run, "line 3")
        text = run.logs()
        self.lose(backend, run)
        assert run.wait(self.deadline).state is RunState.FAILED
        assert [attempt.cause for attempt in run.record.attempts] == ["killed"]
        assert run.logs().startswith(text)

    def test_a_loss_is_another_attempt(self, backend: ComputeBackend, source: DataSource, counting: Path) -> None:
        """With ``retries`` it is tried again; the log goes on behind what was lost, without a line twice."""
        run = Run(backend, backend.submit(ScriptJob(str(counting), arguments=(30,), retries=1), source))
        self.wait_for_log(run, "line 3")
        text = run.logs()
        self.lose(backend, run)
        assert run.wait(self.deadline).state is RunState.COMPLETED, run.error
        assert [attempt.cause for attempt in run.record.attempts] == ["killed", None]
        assert run.logs().startswith(text)
        lines = [line for line in run.logs().splitlines() if line.startswith("line")]
        assert len(lines) == len(set(lines))
        assert [line.split()[1] for line in lines[-30:]] == [str(i) for i in range(30)]
        times = [transition.at for transition in run.record.transitions]
        assert times == sorted(times)

    def test_a_detached_run_outlives_its_program(
        self, backend: ComputeBackend, source: DataSource, counting: Path, tmp_path: Path
    ) -> None:
        """A detached run completes though the program that submitted it is killed, and a later one has its results."""
        self.require("detaches")
        program, run_id = self._submitted(backend, source, counting, tmp_path, lines=30, detach=True)
        _kill(program)
        run = Run(self.reopened(backend), backend.get(run_id)).wait(self.deadline)
        assert run.state is RunState.COMPLETED, run.error
        assert "line 29" in run.logs()

    def test_a_run_ends_with_its_program(
        self, backend: ComputeBackend, source: DataSource, counting: Path, tmp_path: Path
    ) -> None:
        """A run that isn't detached is Failed when the program that submitted it is killed."""
        program, run_id = self._submitted(backend, source, counting, tmp_path, lines=2000, detach=False)
        _kill(program)
        run = Run(self.reopened(backend), backend.get(run_id)).wait(self.deadline)
        assert run.state is RunState.FAILED
        assert run.error

    def test_times_are_of_one_clock(
        self, backend: ComputeBackend, source: DataSource, counting: Path, tmp_path: Path
    ) -> None:
        """All times of a record are of the clock of the program that submitted the run, wherever it ran, in order."""
        (tmp_path / "clock").mkdir()
        (tmp_path / "clock" / "sitecustomize.py").write_text(_SKEWED_CLOCK)
        before = time.time() + _SKEW_SECONDS
        program, run_id = self._submitted(
            backend, source, counting, tmp_path, lines=3, detach=False, path=tmp_path / "clock"
        )
        run = Run(self.reopened(backend), backend.get(run_id)).wait(self.deadline)
        _kill(program)
        times = [transition.at.timestamp() for transition in run.record.transitions]
        assert run.state is RunState.COMPLETED, run.error
        assert times == sorted(times)
        assert before - 1 < times[0]
        assert times[-1] < time.time() + _SKEW_SECONDS + 1

    def _submitted(
        self,
        backend: ComputeBackend,
        source: DataSource,
        script: Path,
        tmp_path: Path,
        *,
        lines: int,
        detach: bool,
        path: Path | None = None,
    ) -> tuple[subprocess.Popen[str], str]:
        """Return another program that has submitted a run which is Running, and the run's id."""
        code = _SUBMITTER.format(backend=self.elsewhere(backend))
        data = source.fetch(tmp_path / "data")
        search = os.pathsep.join(filter(None, (str(path or ""), os.environ.get("PYTHONPATH", ""))))
        program = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", code, str(data), str(script), str(lines), str(detach)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search},
        )
        assert program.stdout is not None
        with program.stdout as stream:
            run_id = stream.readline().strip()
        run, end = Run(backend, backend.get(run_id)), time.monotonic() + self.deadline
        while run.refresh().state is not RunState.RUNNING and not run.state.is_terminal:
            assert time.monotonic() < end, run.state
            time.sleep(0.02)
        return program, run_id


def _kill(program: subprocess.Popen[str]) -> None:
    program.kill()
    program.wait()
