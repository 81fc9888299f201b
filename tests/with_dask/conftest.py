"""One cluster for all tests that don't harm it; Dask must be installed: the extra ``dask``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from support.dask_clusters import DaskCluster, dask_cluster

collect_ignore_glob = [] if importlib.util.find_spec("distributed") else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers, in processes of their own."""
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found
