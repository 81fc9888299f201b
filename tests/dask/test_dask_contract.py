"""Compute on a Dask cluster keeps the contract of backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnistkit.dask import DaskCompute
from mnistkit.interfaces import ComputeBackend
from mnistkit.runs.run import Run
from mnistkit.testing import GroupBackendSuite
from support.dask_clusters import DaskCluster


class TestDaskCompute(GroupBackendSuite):
    """`DaskCompute` keeps the contract of `SupportsGroups` on a cluster of two workers."""

    detaches = True

    @pytest.fixture
    def backend(self, tmp_path: Path, cluster: DaskCluster) -> Iterator[DaskCompute]:
        """A backend without runs."""
        backend = DaskCompute(tmp_path / "home", address=cluster.address)
        yield backend
        backend.close()

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """Another one of the same folder, on the same cluster."""
        assert isinstance(backend, DaskCompute)
        return DaskCompute(backend._root.parent, address=backend._connection.place)

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Cut the record off."""
        (Path(run.record.url) / "record.json").write_bytes(b'{"data": ')
