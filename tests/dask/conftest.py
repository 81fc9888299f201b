"""One cluster for all tests that don't harm it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("distributed", reason="the extra 'dask' isn't installed")

from support.dask_clusters import DaskCluster, dask_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers, in processes of their own."""
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found
