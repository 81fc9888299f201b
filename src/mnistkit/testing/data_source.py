"""The contract of `DataSource`, as tests to subclass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mnistkit.dataset import Dataset, find_idx_files
from mnistkit.errors import DataError
from mnistkit.interfaces import DataSource, KnownContent

__all__ = ["DataSourceSuite"]


class DataSourceSuite:
    """Subclass it with a fixture ``source`` that returns the source under test.

    ::

        class TestMySource(DataSourceSuite):
            @pytest.fixture
            def source(self):
                return MySource("...")
    """

    @pytest.fixture
    def source(self) -> DataSource:
        """The source under test."""
        raise NotImplementedError("define a fixture 'source' in the subclass")

    def test_is_a_data_source(self, source: DataSource) -> None:
        """A source is a `DataSource`."""
        assert isinstance(source, DataSource)

    def test_uri_is_stable(self, source: DataSource) -> None:
        """The uri is a text that stays the same."""
        uri = source.uri
        assert isinstance(uri, str)
        assert uri
        assert source.uri == uri

    def test_fetch_returns_a_readable_folder(self, source: DataSource, tmp_path: Path) -> None:
        """`fetch` returns an existing folder whose four IDX files fit each other."""
        folder = source.fetch(tmp_path / "data")
        assert folder.is_dir()
        dataset = Dataset.from_folder(folder)
        assert len(dataset.train) > 0
        assert len(dataset.test) > 0

    def test_fetch_is_idempotent(self, source: DataSource, tmp_path: Path) -> None:
        """A second `fetch` gives the same folder and the same data."""
        first = source.fetch(tmp_path / "data")
        digest = Dataset.from_folder(first).sha256
        second = source.fetch(tmp_path / "data")
        assert second == first
        assert Dataset.from_folder(second).sha256 == digest

    def test_known_content_is_known_before_it_is_fetched(self, source: DataSource, tmp_path: Path) -> None:
        """A source with `KnownContent.digests` says the same before and after `fetch`, and fetches nothing for it."""
        if not isinstance(source, KnownContent):
            pytest.skip("this source doesn't say what it holds")
        before = dict(source.digests())
        assert before
        source.fetch(tmp_path / "data")
        assert dict(source.digests()) == before

    def test_fetch_leaves_nothing_half_written(self, source: DataSource, tmp_path: Path) -> None:
        """After `fetch`, the folder given holds no temporary files."""
        into = tmp_path / "data"
        source.fetch(into)
        assert [path for path in into.rglob("*") if path.name.startswith(".")] == []

    def test_fetch_in_parallel(self, source: DataSource, tmp_path: Path) -> None:
        """Several callers may fetch into one folder at once, and each gets whole data."""
        with ThreadPoolExecutor(4) as pool:
            folders = list(pool.map(lambda _: source.fetch(tmp_path / "data"), range(4)))
        digests = {Dataset.from_folder(folder).sha256 for folder in folders}
        assert len(digests) == 1

    def test_damaged_data_is_replaced_or_refused(self, source: DataSource, tmp_path: Path) -> None:
        """A file damaged in the folder given is fetched again, or refused with a `DataError`: never delivered."""
        into = tmp_path / "data"
        folder = source.fetch(into)
        if folder != into and into not in folder.parents:
            pytest.skip("this source delivers a folder of its own")
        digest = Dataset.from_folder(folder).sha256
        victim = find_idx_files(folder)["test-labels"]
        data = bytearray(victim.read_bytes())
        data[-1] ^= 1
        victim.chmod(0o644)
        victim.write_bytes(bytes(data))
        try:
            again = Dataset.from_folder(source.fetch(into))
        except DataError:
            return
        assert again.sha256 == digest
