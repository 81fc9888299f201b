"""The contract of `DataSource`, as tests to subclass."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.data.layout import find_idx_files
from mnistkit.errors import DataError, NotFoundError, StorageError
from mnistkit.interfaces import DataSource, SupportsDigests, SupportsPins
from mnistkit.testing.contract import ContractSuite
from mnistkit.utils.files import file_info

__all__ = ["DataSourceSuite"]

_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "cut off": lambda data: data[: len(data) // 2],
    "emptied": lambda _: b"",
}


class DataSourceSuite(ContractSuite):
    """Subclass it with a fixture ``source`` that returns the source under test.

    ::

        class TestMySource(DataSourceSuite):
            @pytest.fixture
            def source(self):
                return MySource("...")

    Two more fixtures are worth having: ``another``, a source of other data, and ``unavailable``, one whose data can't
    be had. Their tests are skipped without them.

    Attributes:
        fills_folder: Whether `DataSource.fetch` fills the folder that it is given, rather than return one of its own.
    """

    interface = "DataSource"
    fills_folder: bool = True

    @pytest.fixture
    def source(self) -> DataSource:
        """The source under test."""
        raise NotImplementedError("define a fixture 'source' in the subclass")

    @pytest.fixture
    def another(self) -> DataSource:
        """A source of the same class, of other data."""
        pytest.skip("no fixture 'another': nothing to compare the source with")

    @pytest.fixture
    def unavailable(self) -> DataSource:
        """A source of the same class, whose data can't be had."""
        pytest.skip("no fixture 'unavailable': this source's data is always there")

    def test_is_a_data_source(self, source: DataSource) -> None:
        """A source is a `DataSource`."""
        assert isinstance(source, DataSource)

    # What identifies the data

    def test_uri_is_stable(self, source: DataSource) -> None:
        """The uri is a text that stays the same, and telling it opens no file and no connection."""
        with _opened() as opened:
            uri = source.uri
        assert opened == []
        assert isinstance(uri, str)
        assert uri
        assert source.uri == uri

    def test_uri_is_the_same_in_every_process(self, source: DataSource) -> None:
        """The same source gives the same uri in every process."""
        assert _in_processes(_uri, source, None) == [source.uri] * 2

    def test_uri_tells_data_apart(self, source: DataSource, another: DataSource) -> None:
        """Sources of different data have different uris, and different digests where they know them."""
        assert source.uri != another.uri
        if isinstance(source, SupportsDigests) and isinstance(another, SupportsDigests):
            assert dict(source.digests()) != dict(another.digests())

    # What is fetched

    def test_fetch_returns_a_readable_folder(self, source: DataSource, tmp_path: Path) -> None:
        """`fetch` creates the folder given, and returns an existing one whose four IDX files fit each other."""
        into = tmp_path / "new" / "folder"
        folder = source.fetch(into)
        assert folder.is_dir()
        assert (folder == into or into in folder.parents) is self.fills_folder, f"{folder}: see fills_folder"
        dataset = Dataset.from_folder(folder)
        assert len(dataset.train) > 0
        assert len(dataset.test) > 0

    def test_fetch_is_idempotent(self, source: DataSource, tmp_path: Path) -> None:
        """A second `fetch` returns the same folder, and leaves every file in it as it was, byte for byte."""
        folder = source.fetch(tmp_path / "data")
        before = _visible(folder)
        assert source.fetch(tmp_path / "data") == folder
        assert _visible(folder) == before

    def test_fetch_leaves_nothing_half_written(self, source: DataSource, tmp_path: Path) -> None:
        """After `fetch`, the folder given holds no temporary files."""
        into = tmp_path / "data"
        source.fetch(into)
        assert [path for path in into.rglob("*") if path.name.startswith(".")] == []

    def test_fetch_in_threads(self, source: DataSource, tmp_path: Path) -> None:
        """Several threads may fetch into one folder at once, and each gets whole data."""
        together = Barrier(4, timeout=60)

        def fetch(_: int) -> str:
            together.wait()
            return Dataset.from_folder(source.fetch(tmp_path / "data")).sha256

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(fetch, range(4)))) == 1

    def test_fetch_in_processes(self, source: DataSource, tmp_path: Path) -> None:
        """Several processes may fetch into one folder at once, and each gets whole data."""
        digests = _in_processes(_fetched, source, tmp_path / "data")
        assert digests == [Dataset.from_folder(source.fetch(tmp_path / "alone")).sha256] * 2

    @pytest.mark.parametrize("damage", _DAMAGES)
    def test_damaged_data_is_replaced_or_refused(self, source: DataSource, tmp_path: Path, damage: str) -> None:
        """A damaged file in the folder given is fetched again, or refused with a `DataError`: never delivered."""
        self.require("fills_folder")
        into = tmp_path / "data"
        folder = source.fetch(into)
        digest = Dataset.from_folder(folder).sha256
        victim = find_idx_files(folder)["test-labels"]
        victim.chmod(0o644)
        victim.write_bytes(_DAMAGES[damage](victim.read_bytes()))
        with contextlib.suppress(DataError):
            assert Dataset.from_folder(source.fetch(into)).sha256 == digest

    def test_missing_data_is_replaced(self, source: DataSource, tmp_path: Path) -> None:
        """A file that is missing in the folder given is fetched again."""
        self.require("fills_folder")
        folder = source.fetch(tmp_path / "data")
        digest = Dataset.from_folder(folder).sha256
        find_idx_files(folder)["train-images"].unlink()
        assert Dataset.from_folder(source.fetch(tmp_path / "data")).sha256 == digest

    # What goes wrong

    def test_a_full_disk_leaves_nothing_half_written(self, source: DataSource, tmp_path: Path) -> None:
        """When the disk is full, `fetch` raises `StorageError`, and nothing half-written has a final name."""
        self.require("fills_folder")
        pytest.importorskip("resource", reason="this system can't limit the size of files")
        good = _visible(source.fetch(tmp_path / "good"))
        most = max(len(data) for data in good.values())
        assert _in_processes(_fetched_on_a_full_disk, source, (tmp_path / "full", most // 2), n=1) == ["StorageError"]
        visible = _visible(tmp_path / "full")
        assert {name for name, data in visible.items() if data != good.get(name)} == set()
        assert _visible(source.fetch(tmp_path / "full")) == good

    def test_a_folder_that_cant_be_made(self, source: DataSource, tmp_path: Path) -> None:
        """`fetch` raises `StorageError` if the folder given can't be made."""
        self.require("fills_folder")
        (tmp_path / "file").write_bytes(b"in the way")
        with pytest.raises(StorageError):
            source.fetch(tmp_path / "file" / "data")

    def test_data_that_cant_be_had(self, unavailable: DataSource, tmp_path: Path) -> None:
        """Data that can't be had is a `DataError` or a `NotFoundError`, and nothing is left under a final name."""
        with pytest.raises((DataError, NotFoundError)):
            unavailable.fetch(tmp_path / "data")
        assert _visible(tmp_path / "data") == {}

    # What is known without fetching

    def test_known_content_is_known_before_it_is_fetched(self, source: DataSource, tmp_path: Path) -> None:
        """`SupportsDigests.digests` are sha256s by file, the same before and after `fetch`, without a connection."""
        if not isinstance(source, SupportsDigests):
            pytest.skip("this source doesn't say what it holds")
        with _opened("socket.") as opened:
            before = dict(source.digests())
        assert opened == []
        assert before
        source.fetch(tmp_path / "data")
        assert dict(source.digests()) == before

    def test_expected_content_is_what_is_there(self, source: DataSource, tmp_path: Path) -> None:
        """`SupportsPins.expected` is None where a file is missing, and else tells each file's size and sha256."""
        if not isinstance(source, SupportsPins):
            pytest.skip("this source doesn't know its files without reading them")
        into = tmp_path / "data"
        assert source.expected(into) is None
        source.fetch(into)
        manifest = source.expected(into)
        assert manifest is not None
        assert {name: file_info(into / name) for name in manifest.files} == manifest.files
        assert {into / name for name in manifest.files} >= set(find_idx_files(into).values())
        find_idx_files(into)["test-images"].unlink()
        assert source.expected(into) is None


def _visible(folder: Path) -> Mapping[str, bytes]:
    """The files with final names: those that aren't hidden."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    visible = {name: path for name, path in files.items() if not any(part.startswith(".") for part in name.parts)}
    return {name.as_posix(): path.read_bytes() for name, path in visible.items()}


_watchers: list[tuple[str, list[str]]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    for prefix, seen in _watchers:
        path = str(arguments[0]) if arguments else ""
        imports = event == "open" and Path(path).suffix in {".py", ".pyc", ".so", ".pyd"}
        if event.startswith(prefix or ("open", "socket.", "subprocess.")) and not imports:
            seen.append(f"{event} {path}")


@contextlib.contextmanager
def _opened(prefix: str = "") -> Iterator[list[str]]:
    """The files, connections and processes that the block opens; imports don't count."""
    if not hasattr(_watch, "installed"):  # an audit hook stays for good
        sys.addaudithook(_watch)
        _watch.installed = True  # type: ignore[attr-defined]  # a mark on the function
    seen: list[str] = []
    _watchers.append((prefix, seen))
    try:
        yield seen
    finally:
        _watchers.remove((prefix, seen))


def _in_processes(
    function: Callable[[DataSource, Any], str], source: DataSource, argument: Any, n: int = 2
) -> list[str]:
    """Call ``function`` in ``n`` new processes at once; skip the test if the source can't be sent to one."""
    try:
        ForkingPickler.dumps(source)
    except Exception as error:  # noqa: BLE001 - whatever a class raises that can't be pickled
        pytest.skip(f"this source can't be sent to another process: {error!r}")
    context = multiprocessing.get_context("spawn")
    with (
        pytest.MonkeyPatch.context() as patch,
        ProcessPoolExecutor(n, context, initializer=_meet, initargs=(context.Barrier(n),)) as pool,
    ):
        patch.setenv("PYTHONHASHSEED", "random")  # a runner such as tox may have fixed it, which hides what varies
        try:
            for arrived in [pool.submit(_uri, source, None) for _ in range(n)]:
                arrived.result(timeout=300)
        except BrokenProcessPool:
            pytest.skip("this source can't be sent to another process: its module can't be imported there")
        calls = [pool.submit(function, source, argument) for _ in range(n)]
        return [call.result(timeout=300) for call in calls]


def _meet(barrier: Any) -> None:
    barrier.wait(timeout=120)


def _uri(source: DataSource, _: None) -> str:
    return source.uri


def _fetched(source: DataSource, into: Path) -> str:
    return Dataset.from_folder(source.fetch(into)).sha256


def _fetched_on_a_full_disk(source: DataSource, into_and_most: tuple[Path, int]) -> str:
    """Fetch where no file may have more than so many bytes; returns the error's name."""
    import resource

    into, most = into_and_most
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        source.fetch(into)
    except Exception as error:  # noqa: BLE001 - which error it is, is the question
        return type(error).__name__
    return "no error"
