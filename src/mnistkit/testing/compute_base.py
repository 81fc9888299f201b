"""The base of the suites of `ComputeBackend`: fixtures, hooks, and data that is held back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from attrs import frozen

from mnistkit.errors import NotFoundError
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import Job
from mnistkit.runs.run import Run
from mnistkit.testing.contract import ContractSuite

__all__ = ["ComputeSuiteBase", "HeldData"]


@frozen
class HeldData(DataSource):
    """A source that delivers another one's data only once the file ``gate`` is there."""

    source: DataSource
    gate: Path
    seconds: float

    @property
    def uri(self) -> str:
        """The other one's."""
        return self.source.uri

    def fetch(self, into: Path) -> Path:
        """Wait, and fetch."""
        end = time.monotonic() + self.seconds
        while not self.gate.exists():
            if time.monotonic() > end:
                raise NotFoundError(f"{self.gate.name} never came: planted by the test")
            time.sleep(0.01)
        return self.source.fetch(into)


class ComputeSuiteBase(ContractSuite):
    """Fixtures, hooks and capabilities that every suite of `ComputeBackend` shares; see `ComputeBackendSuite`."""

    interface = "ComputeBackend"
    deadline: float = 60.0
    runs_scripts: bool = True
    ends_leftovers: bool = True
    detaches: bool = False

    @pytest.fixture
    def backend(self) -> ComputeBackend:
        """The backend under test."""
        raise NotImplementedError("define a fixture 'backend' in the subclass")

    @pytest.fixture
    def source(self, tiny_mnist: DataSource) -> DataSource:
        """The data that jobs are fitted on; the default is fixture ``tiny_mnist``."""
        return tiny_mnist

    @pytest.fixture
    def script(self, tmp_path: Path) -> Path:
        """A folder for a script; skips the test where the backend takes none."""
        self.require("runs_scripts")
        folder = tmp_path / "script"
        folder.mkdir()
        return folder

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """The same backend as a later process makes it."""
        pytest.skip(f"reopened() isn't overridden: nothing tells what a later process finds of {backend!r}")

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Make the record of a run unreadable behind the backend's back."""
        pytest.skip(f"damage() isn't overridden: nothing can reach the record of {run.id} in {backend!r}")

    def finished(self, backend: ComputeBackend, job: Job, source: DataSource) -> Run:
        """Submit, and wait for the end."""
        return Run(backend, backend.submit(job, source)).wait(self.deadline)

    def wait_for_log(self, run: Run, text: str) -> None:
        """Wait until the run's log holds ``text``."""
        end = time.monotonic() + self.deadline
        while text not in run.logs():
            assert time.monotonic() < end, f"{text!r} never came; the log is {run.logs()!r}"
            assert not run.refresh().state.is_terminal, run.error
            time.sleep(0.02)
