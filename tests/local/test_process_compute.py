"""Runs in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.interfaces import ComputeBackend
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.run import Run
from mnistkit.testing import GroupBackendSuite


class TestConformance(GroupBackendSuite):
    """`ProcessCompute` keeps the contract of `GroupBackend`."""

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
