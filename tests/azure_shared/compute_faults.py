"""What goes wrong between a job and Azure, for the backends of either SDK: the right error or a recovery."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mnistkit.azureml.runs.compute import WorkspaceCompute
from mnistkit.emulator import AzureMLEmulator, Fault
from mnistkit.errors import (
    AuthenticationError,
    DownloadError,
    QuotaError,
    RunTimeoutError,
    ServiceError,
    ServiceTimeoutError,
    ThrottledError,
)
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run

__all__ = ["DEADLINE", "ComputeFaultSuite", "NoData", "check_whole", "finished"]

DEADLINE = 120.0
SCRIPT = """
import os, sys
from mnistkit import get_context
with open(sys.argv[1], "a") as starts:
    starts.write("x")
for step in range(5):
    get_context().log("loss", 1 / (step + 1), step=step)
os.makedirs("outputs", exist_ok=True)
with open("outputs/model.txt", "w") as model:
    model.write("the model")
"""


class NoData(DataSource):
    """What a script that reads no data is submitted with."""

    @property
    def uri(self) -> str:
        return "none"

    def fetch(self, into: Path) -> Path:
        raise AssertionError("nobody asked for it")


def is_job(process: psutil.Process) -> bool:
    """Return True if it is a process of a job: what it runs lies in the emulator's folder, or is an attempt."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "mnistkit_job" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def finished(backend: WorkspaceCompute, job: ScriptJob) -> Run:
    """Submit, and wait for the end."""
    return Run(backend, backend.submit(job, NoData())).wait(DEADLINE)


def check_whole(run: Run, starts: Path) -> None:
    """Check that the job ran once, and that all that it logged is there."""
    assert run.state is RunState.COMPLETED, run.error
    assert starts.read_text() == "x"
    assert [point.value for point in run.series("loss")] == [1 / (step + 1) for step in range(5)]


class ComputeFaultSuite:
    """Faults between a job and Azure. A subclass names the SDK's ways.

    Attributes:
        submission: What the request that starts a job matches.
    """

    submission: str

    def cluster(self, workspace: Any, name: str, **options: Any) -> Any:
        """Return the backend on a cluster of that name."""
        raise NotImplementedError

    @pytest.fixture
    def starts(self, tmp_path: Path) -> Path:
        """A file that gets a character each time that the script starts."""
        return tmp_path / "starts"

    @pytest.fixture
    def job(self, tmp_path: Path, starts: Path) -> ScriptJob:
        """A script that notes that it was started, logs five values and leaves a file."""
        folder = tmp_path / "script"
        folder.mkdir()
        (folder / "train.py").write_text(SCRIPT)
        return ScriptJob(str(folder), arguments=(starts,))

    @pytest.fixture
    def backend(self, emulator: AzureMLEmulator, workspace: Any) -> Iterator[Any]:
        """A cluster that is there; nothing of it runs when the test is over."""
        backend = self.cluster(workspace, "faults")
        backend.ensure(timeout=DEADLINE)
        yield backend
        emulator.clear_faults()
        for record in backend.runs():
            backend.cancel(record.id)
        end = time.monotonic() + DEADLINE
        while left := [each for each in psutil.Process().children(recursive=True) if is_job(each)]:
            assert time.monotonic() < end, f"processes of jobs live on: {left}"
            time.sleep(0.1)

    def test_a_token_that_expires_between_two_requests_is_renewed(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path
    ) -> None:
        """A 401 while a run is followed doesn't end that. It is read once its job, which has a token too, is over."""
        run = finished(backend, job)
        emulator.inject(Fault("unauthorized", match=f"GET */runs/{run.id}", times=1))
        assert backend.get(run.id).state is RunState.COMPLETED
        emulator.inject(Fault("unauthorized", match=f"GET */runs/{run.id}", times=2))
        with pytest.raises(AuthenticationError, match="expired"):
            backend.get(run.id)

    @pytest.mark.parametrize(("kind", "times"), [("throttle", 2), ("unavailable", 2), ("reset", 1)])
    def test_a_submission_is_repeated(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path, kind: str, times: int
    ) -> None:
        """A submission that is throttled, refused or cut off is made again, and starts exactly one job."""
        emulator.inject(Fault(kind, match=self.submission, times=times, seconds=1))
        check_whole(finished(backend, job), starts)
        assert len(backend.runs()) == 1

    def test_a_job_whose_answers_are_all_lost_is_found(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path
    ) -> None:
        """A job that was taken is followed, even if each answer to its submission was lost."""
        emulator.inject(Fault("reset", match=self.submission, times=None))
        check_whole(finished(backend, job), starts)
        assert len(backend.runs()) == 1

    def test_a_refused_submission_is_a_failed_run(
        self, emulator: AzureMLEmulator, workspace: Any, backend: Any, job: ScriptJob, starts: Path
    ) -> None:
        """A job that Azure never takes is a Failed run that says why, found by later processes, and never started."""
        emulator.inject(Fault("throttle", match=self.submission, times=None))
        run = finished(backend, job)
        assert run.state is RunState.FAILED
        assert "ThrottledError" in (run.error or "")
        assert "try again in some minutes" in (run.error or "")
        assert not starts.exists()
        backend.cancel(run.id)  # which waits until it is known there
        later = self.cluster(workspace, "faults").get(run.id)
        assert (later.state, later.error) == (RunState.FAILED, run.error)
        assert later.started_at is None

    def test_throttling_is_waited_for_and_then_told(self, emulator: AzureMLEmulator, backend: Any) -> None:
        """Some 429s are waited for; if they don't end, it is a `ThrottledError` with its cause."""
        emulator.inject(Fault("throttle", match="/experiments", times=2, seconds=1))
        assert backend.runs() == ()
        emulator.inject(Fault("throttle", match="/experiments", times=None))
        with pytest.raises(ThrottledError, match="try again") as caught:
            backend.runs()
        assert caught.value.__cause__ is not None

    @pytest.mark.usefixtures("backend")
    def test_a_slow_answer_meets_the_deadline(self, emulator: AzureMLEmulator, workspace: Any) -> None:
        """An answer that doesn't come in time is a `ServiceTimeoutError`, which is a `TimeoutError` too."""
        hasty = self.cluster(workspace, "faults", seconds=0.5)
        emulator.inject(Fault("slow", match="/experiments", times=None, seconds=30))
        began = time.monotonic()
        with pytest.raises(ServiceTimeoutError, match=r"0\.5 s"):
            hasty.runs()
        assert time.monotonic() - began < 20

    def test_an_expired_token_is_told(self, emulator: AzureMLEmulator, backend: Any) -> None:
        """Credentials that aren't taken any more are an `AuthenticationError` that names the ways to log in."""
        emulator.inject(Fault("unauthorized", times=None))
        with pytest.raises(AuthenticationError, match="az login") as caught:
            backend.runs()
        assert isinstance(caught.value, PermissionError)

    def test_a_service_that_is_down_is_told(self, emulator: AzureMLEmulator, backend: Any) -> None:
        """A 503 that doesn't end is a `ServiceError` that says to try again."""
        emulator.inject(Fault("unavailable", match="/experiments", times=None))
        with pytest.raises(ServiceError, match="Try again"):
            backend.runs()

    def test_no_quota(self, emulator: AzureMLEmulator, workspace: Any, job: ScriptJob, starts: Path) -> None:
        """A cluster that finds no quota is a `QuotaError` with Azure's words, for its job too; nothing starts."""
        emulator.inject(Fault("quota", match="nothing-left", times=None))
        backend = self.cluster(workspace, "nothing-left")
        with pytest.raises(QuotaError, match="Delete it"):
            backend.ensure(timeout=DEADLINE)
        run = finished(backend, job)
        assert run.state is RunState.FAILED
        assert "QuotaError" in (run.error or "")
        assert not starts.exists()

    def test_stuck_in_the_queue(self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path) -> None:
        """A run that stays Queued: waiting ends at its deadline, and canceling ends the run, which never starts."""
        emulator.inject(Fault("stuck", times=None))
        run = Run(backend, backend.submit(job, NoData()))
        with pytest.raises(RunTimeoutError, match="Queued"):
            run.wait(3)
        run.cancel()
        assert run.wait(DEADLINE).state is RunState.CANCELED
        assert run.record.started_at is None
        assert not starts.exists()

    def test_late_metrics_are_waited_for(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path
    ) -> None:
        """Metrics that Azure has only some time after the run's end are the run's: it isn't done without them."""
        run = Run(backend, backend.submit(job, NoData()))
        end = time.monotonic() + DEADLINE
        while run.id in backend._pending or not backend._reader.state(run.id).is_terminal:  # asks for no metrics
            assert time.monotonic() < end, "it doesn't end"
            time.sleep(0.1)
        emulator.inject(Fault("late-metrics", times=4))
        check_whole(run.refresh(), starts)

    def test_an_empty_download_is_repeated(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, tmp_path: Path
    ) -> None:
        """A download that comes empty is made again; if it stays empty, it is a `DownloadError` without a file."""
        run = finished(backend, job)
        emulator.inject(Fault("empty-download", match="model.txt", times=1))
        assert run.download("outputs/model.txt", tmp_path / "a").read_text() == "the model"
        emulator.inject(Fault("empty-download", match="model.txt", times=None))
        with pytest.raises(DownloadError, match="3 times"):
            run.download("outputs/model.txt", tmp_path / "b")
        assert list((tmp_path / "b").iterdir()) == []

    def test_a_dying_job_tells_its_last_words(self, backend: Any, job: ScriptJob) -> None:
        """A job that dies is a Failed run with its exit code and the last lines of its log."""
        Path(job.source_directory, "train.py").write_text("print('almost there')\nraise SystemExit(7)\n")
        run = finished(backend, job)
        assert run.state is RunState.FAILED
        assert "code 7" in (run.error or "")
        assert "almost there" in (run.record.traceback or "")
        assert run.record.attempts[0].exit_code == 7
