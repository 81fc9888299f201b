"""Runs in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.local.process_compute import ProcessCompute
from mnistkit.testing import ComputeBackendSuite


class TestConformance(ComputeBackendSuite):
    """`ProcessCompute` keeps the contract of `ComputeBackend`."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> ProcessCompute:
        """A backend without runs."""
        return ProcessCompute(tmp_path / "home")
