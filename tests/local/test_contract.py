"""Compute on this machine keeps the contract of backends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mnistkit.interfaces import ComputeBackend
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.run import Run
from mnistkit.testing import GroupBackendSuite


class TestProcessCompute(GroupBackendSuite):
    """`ProcessCompute` keeps the contract of `SupportsGroups`."""

    detaches = True

    @pytest.fixture
    def backend(self, tmp_path: Path) -> ProcessCompute:
        """A backend without runs."""
        return ProcessCompute(tmp_path / "home", parallel=2)

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """Another one of the same folder."""
        assert isinstance(backend, ProcessCompute)
        return ProcessCompute(backend._root.parent)

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Cut the record off."""
        (Path(run.record.url) / "record.json").write_bytes(b'{"data": ')

    def lose(self, backend: ComputeBackend, run: Run) -> None:
        """Kill the process that wrote the last line."""
        os.kill(int(run.logs().splitlines()[-1].split()[-1]), signal.SIGKILL)

    def elsewhere(self, backend: ComputeBackend) -> str:
        """The same one in another program."""
        assert isinstance(backend, ProcessCompute)
        return f"from mnistkit.local import ProcessCompute\nbackend = ProcessCompute({str(backend._root.parent)!r})"


class TestInProcessCompute(GroupBackendSuite):
    """`InProcessCompute` keeps the contract of `SupportsGroups`."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> ComputeBackend:
        """A backend without runs."""
        return InProcessCompute(tmp_path / "home", parallel=2)

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """Another one of the same folder."""
        assert isinstance(backend, InProcessCompute)
        return InProcessCompute(backend._root.parent)

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Cut the record off."""
        (Path(run.record.url) / "record.json").write_bytes(b'{"data": ')
