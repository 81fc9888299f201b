"""One job that has been submitted."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from mnistkit.emulator.jobs.plan import Plan
from mnistkit.emulator.jobs.references import Stamps

__all__ = ["LOCAL", "SERVERLESS", "Ended", "Job", "JobSteps"]

LOCAL = "local"
SERVERLESS = "serverless"
"""The target of jobs that name no cluster, which the SDK's second version submits."""


class Ended(Exception):  # noqa: N818 - it isn't an error
    """A job finishes before its script does, in a state, for a reason."""

    def __init__(self, status: str, why: str = "") -> None:
        super().__init__(why)
        self.status, self.why = status, why


class JobSteps(ABC):
    """The way of a job's files to its node and back, where no SDK does that in the job's process."""

    @abstractmethod
    def prepare(self, job: Job, own: Path) -> None:
        """Write the job's files into its working folder, and its inputs below a folder of its own."""

    @abstractmethod
    def command(self) -> str:
        """Return the command line for a shell, once it is prepared."""

    @abstractmethod
    def variables(self) -> Mapping[str, str]:
        """Return its environment variables beyond those of every job."""

    @abstractmethod
    def collect(self, job: Job) -> None:
        """Keep what the job has written beyond its working folder."""


class Job:
    """A job that has been submitted and hasn't finished.

    Attributes:
        run_id: Of its run.
        experiment: The name of its run's experiment.
        plan: What it is.
        snapshot_id: The files that it needs; None for none.
        steps: How its files come and go; None if the SDK in its process sees to that.
        is_canceled: Set when it is to end.
        is_done: Set when it has ended.
        stopped_why: Why it is to end, if nobody canceled it.
        folder: Its working folder.
        environment: The client's environment variables; empty if it isn't local.
        brought: The files of its data references, as they were brought, by the names of those.
        thread: What watches it, once that has begun.
    """

    def __init__(
        self, run_id: str, experiment: str, plan: Plan, snapshot_id: str | None, steps: JobSteps | None = None
    ) -> None:
        self.steps = steps
        self.run_id, self.experiment, self.plan, self.snapshot_id = run_id, experiment, plan, snapshot_id
        self.is_canceled = threading.Event()
        self.is_done = threading.Event()
        self.stopped_why = ""
        self.folder = Path()
        self.environment: Mapping[str, str] = {}
        self.brought: dict[str, Stamps] = {}
        self.thread: threading.Thread | None = None

    def pause(self, seconds: float) -> None:
        """Wait for some seconds, or until the job is canceled.

        Raises:
            Ended: It was.
        """
        if self.is_canceled.wait(seconds):
            raise Ended("Failed" if self.stopped_why else "Canceled", self.stopped_why)
