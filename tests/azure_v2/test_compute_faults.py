"""What goes wrong between a job and Azure, through the SDK v2: the right error or a recovery, with exactly one job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from mnistkit.azureml.v2 import AmlCompute
from mnistkit.emulator import Fault
from mnistkit.errors import (
    DownloadError,
    NotFoundError,
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

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator

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


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """A file that gets a character each time that the script starts."""
    return tmp_path / "starts"


@pytest.fixture
def job(tmp_path: Path, starts: Path) -> ScriptJob:
    """A script that notes that it was started, logs five values and leaves a file."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return ScriptJob(str(folder), arguments=(starts,))


@pytest.fixture
def backend(emulator: AzureMLEmulator, workspace: Any) -> Iterator[AmlCompute]:
    """A cluster that is there; nothing of it runs when the test is over."""
    backend = AmlCompute(workspace, name="faults")
    backend.ensure(timeout=DEADLINE)
    yield backend
    emulator.clear_faults()
    for record in backend.runs():
        backend.cancel(record.id)
    end = time.monotonic() + DEADLINE
    while left := [each for each in psutil.Process().children(recursive=True) if is_job(each)]:
        assert time.monotonic() < end, f"processes of jobs live on: {left}"
        time.sleep(0.1)


def is_job(process: psutil.Process) -> bool:
    """Return True if it is a process of a job: what it runs lies in the emulator's folder, or is an attempt."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "mnistkit_job" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def finished(backend: AmlCompute, job: ScriptJob) -> Run:
    """Submit, and wait for the end."""
    return Run(backend, backend.submit(job, NoData())).wait(DEADLINE)


def check_whole(run: Run, starts: Path) -> None:
    """Check that the job ran once, and that all that it logged is there."""
    assert run.state is RunState.COMPLETED, run.error
    assert starts.read_text() == "x"
    assert [point.value for point in run.series("loss")] == [1 / (step + 1) for step in range(5)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("throttle", match="PUT */jobs/", times=2, seconds=1),
        Fault("unavailable", match="PUT */jobs/", times=2),
        Fault("reset", match="PUT */jobs/", times=1),
        Fault("unavailable", match="PUT */codes/", times=1),
        Fault("reset", match="PUT *.blob.", times=1),
    ],
    ids=lambda fault: f"{fault.kind} {fault.match}",
)
def test_a_submission_is_repeated(
    emulator: AzureMLEmulator, backend: AmlCompute, job: ScriptJob, starts: Path, fault: Fault
) -> None:
    """A submission that is throttled, refused or cut off is made again, and starts exactly one job."""
    emulator.inject(fault)
    check_whole(finished(backend, job), starts)
    assert len(backend.runs()) == 1


def test_a_job_whose_answers_are_all_lost_is_found(
    emulator: AzureMLEmulator, backend: AmlCompute, job: ScriptJob, starts: Path
) -> None:
    """A job that was taken is followed, even if each answer to its submission was lost."""
    emulator.inject(Fault("reset", match="PUT */jobs/", times=None))
    check_whole(finished(backend, job), starts)
    assert len(backend.runs()) == 1


def test_a_refused_submission_is_a_failed_run(
    emulator: AzureMLEmulator, backend: AmlCompute, job: ScriptJob, starts: Path
) -> None:
    """A job that Azure never takes is a Failed run that says why, found by later processes, and never started."""
    emulator.inject(Fault("throttle", match="PUT */jobs/", times=None))
    run = finished(backend, job)
    assert run.state is RunState.FAILED
    assert "ThrottledError" in (run.error or "")
    assert not starts.exists()
    backend.cancel(run.id)  # which waits until it is known there
    later = AmlCompute(backend.client, name="faults").get(run.id)
    assert (later.state, later.error) == (RunState.FAILED, run.error)
    assert later.started_at is None


def test_throttling_is_waited_for_and_then_told(emulator: AzureMLEmulator, backend: AmlCompute) -> None:
    """Some 429s are waited for; if they don't end, it is a `ThrottledError` with its cause."""
    emulator.inject(Fault("throttle", match="/experiments", times=2, seconds=1))
    assert backend.runs() == ()
    emulator.inject(Fault("throttle", match="/experiments", times=None))
    with pytest.raises(ThrottledError, match="try again") as caught:
        backend.runs()
    assert caught.value.__cause__ is not None


def test_a_slow_answer_meets_the_deadline(emulator: AzureMLEmulator, backend: AmlCompute) -> None:
    """An answer that doesn't come in time is a `ServiceTimeoutError`."""
    hasty = AmlCompute(backend.client, name="faults", seconds=0.5)
    emulator.inject(Fault("slow", match="/experiments", times=None, seconds=30))
    with pytest.raises(ServiceTimeoutError, match=r"0\.5 s"):
        hasty.runs()


def test_a_service_that_is_down_is_told(emulator: AzureMLEmulator, backend: AmlCompute) -> None:
    """A 503 that doesn't end is a `ServiceError` that says to try again."""
    emulator.inject(Fault("unavailable", match="/experiments", times=None))
    with pytest.raises(ServiceError, match="Try again"):
        backend.runs()


def test_no_quota(emulator: AzureMLEmulator, workspace: Any, job: ScriptJob, starts: Path) -> None:
    """A cluster that finds no quota is a `QuotaError` with Azure's words, for its job too; nothing starts."""
    emulator.inject(Fault("quota", match="nothing-left", times=None))
    backend = AmlCompute(workspace, name="nothing-left")
    with pytest.raises(QuotaError, match="Delete it"):
        backend.ensure(timeout=DEADLINE)
    run = finished(backend, job)
    assert run.state is RunState.FAILED
    assert "QuotaError" in (run.error or "")
    assert not starts.exists()


def test_stuck_in_the_queue(emulator: AzureMLEmulator, backend: AmlCompute, job: ScriptJob, starts: Path) -> None:
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
    emulator: AzureMLEmulator, backend: AmlCompute, job: ScriptJob, starts: Path
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
    emulator: AzureMLEmulator, backend: AmlCompute, job: ScriptJob, tmp_path: Path
) -> None:
    """A download that comes empty is made again; if it stays empty, it is a `DownloadError`, and no file is left."""
    run = finished(backend, job)
    emulator.inject(Fault("empty-download", match="model.txt", times=1))
    assert run.download("outputs/model.txt", tmp_path / "a").read_text() == "the model"
    emulator.inject(Fault("empty-download", match="model.txt", times=None))
    with pytest.raises(DownloadError, match="3 times"):
        run.download("outputs/model.txt", tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []


def test_a_dying_job_tells_its_last_words(backend: AmlCompute, job: ScriptJob) -> None:
    """A job that dies is a Failed run with its exit code and the last lines of its log."""
    Path(job.source_directory, "train.py").write_text("print('almost there')\nraise SystemExit(7)\n")
    run = finished(backend, job)
    assert run.state is RunState.FAILED
    assert "code 7" in (run.error or "")
    assert "almost there" in (run.record.traceback or "")
    assert run.record.attempts[0].exit_code == 7


def test_a_serverless_job_needs_no_cluster(workspace: Any, job: ScriptJob, starts: Path) -> None:
    """A serverless job runs without a cluster, and none is made."""
    backend = AmlCompute(workspace, name="never-made", serverless=True)
    check_whole(finished(backend, job), starts)
    with pytest.raises(NotFoundError):
        backend.status()
