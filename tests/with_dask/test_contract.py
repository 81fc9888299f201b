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

    @pytest.fixture(autouse=True)
    def _workers(self, cluster: DaskCluster) -> Iterator[None]:
        """Two workers, also after a test has killed one."""
        self.cluster = cluster
        yield
        while len(cluster.alive) < 2:
            cluster.add_worker()

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

    def lose(self, backend: ComputeBackend, run: Run) -> None:
        """Kill the worker."""
        self.cluster.kill(self.cluster.worker_of(run.refresh().record.host))

    def elsewhere(self, backend: ComputeBackend) -> str:
        """The same one in another program."""
        assert isinstance(backend, DaskCompute)
        home, address = str(backend._root.parent), backend._connection.place
        return f"from mnistkit.dask import DaskCompute\nbackend = DaskCompute({home!r}, address={address!r})"
