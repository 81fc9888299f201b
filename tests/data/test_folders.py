"""The sources that need no network: scikit-learn's digits and the user's own folder."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mnistkit.data import folders as data
from mnistkit.data.dataset import Dataset
from mnistkit.data.folders import DigitsSource, FolderSource
from mnistkit.data.idx import write_idx
from mnistkit.data.manifest import MANIFEST
from mnistkit.errors import ChecksumError, DataFormatError, NotFoundError, StorageError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.testing import DataSourceSuite
from mnistkit.utils import files

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FETCH = (
    "import sys; from pathlib import Path; from mnistkit.data.folders import DigitsSource; "
    "DigitsSource().fetch(Path(sys.argv[1]))"
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits, not to be changed."""
    return DigitsSource().fetch(tmp_path_factory.mktemp("digits") / "new" / "folder")


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def four_files(folder: Path) -> Path:
    """A tiny dataset in a new folder."""
    folder.mkdir(parents=True)
    for name in FILES:
        write_idx(folder / name, np.ones((3, 2, 2) if "images" in name else 3, np.uint8))
    return folder


class TestDigitsSource(DataSourceSuite):
    """The digits keep the contract."""

    @pytest.fixture
    def source(self) -> DataSource:
        """The digits."""
        return DigitsSource()


class TestFolderSource(DataSourceSuite):
    """A folder keeps the contract."""

    fills_folder = False

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        """A tiny folder."""
        return FolderSource(four_files(tmp_path / "mine"))

    @pytest.fixture
    def another(self, tmp_path: Path) -> DataSource:
        """A folder with one other image."""
        folder = four_files(tmp_path / "other")
        write_idx(folder / FILES[0], np.zeros((3, 2, 2), np.uint8))
        return FolderSource(folder)

    @pytest.fixture
    def unavailable(self, tmp_path: Path) -> DataSource:
        """A folder that isn't there."""
        return FolderSource(tmp_path / "nowhere")


def test_digits_are_scikit_learns(digits: Path) -> None:
    """Train and test together are scikit-learn's 1797 images, each once, scaled to 0 to 255 and rounded."""
    dataset = Dataset.from_folder(digits, uri="digits")
    assert repr(dataset) == "Dataset('digits', train=1437, test=360, images=8x8, classes=10)"
    assert dataset.class_names == tuple("0123456789")
    bunch = load_digits()
    expected = sorted(
        (np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes(), label)
        for image, label in zip(bunch.images, bunch.target, strict=True)
    )
    got = sorted(
        (image.tobytes(), label)
        for split in (dataset.train, dataset.test)
        for image, label in zip(split.images, split.labels, strict=True)
    )
    assert got == expected
    assert dataset.train.images.max() == 255


def test_digits_are_stratified(digits: Path) -> None:
    """The test split has a fifth of each class, to the image."""
    dataset = Dataset.from_folder(digits)
    train, test = np.bincount(dataset.train.labels), np.bincount(dataset.test.labels)
    assert np.abs(test - (train + test) / 5).max() < 1


def test_digits_folder_holds_the_files_and_the_manifest(digits: Path) -> None:
    """There are four plain IDX files and dataset.json, and nothing is left over."""
    assert set(contents(digits)) == {*FILES, MANIFEST}


def test_digits_again_keep_what_is_there(digits: Path, tmp_path: Path) -> None:
    """A second fetch writes nothing, a fetch elsewhere gives the same bytes."""
    before = stamps(digits)
    assert DigitsSource().fetch(digits) == digits
    assert stamps(digits) == before
    assert contents(DigitsSource().fetch(tmp_path)) == contents(digits)


def test_digits_there_already_need_no_scikit_learn(digits: Path) -> None:
    """What is there is verified without the import of scikit-learn."""
    check = f"{FETCH}; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check, str(digits)], check=False, timeout=120).returncode == 0


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "missing"])
def test_damaged_file_is_replaced(digits: Path, tmp_path: Path, name: str, damage: str) -> None:
    """A file that isn't what it should be is written again; the others are kept."""
    for file, content in contents(digits).items():
        (tmp_path / file).write_bytes(content)
    before, path = stamps(tmp_path), tmp_path / name
    good = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        bad = {"flipped": good[:-1] + bytes([good[-1] ^ 1]), "truncated": good[:-1], "longer": good + b"\0"}
        path.write_bytes(bad[damage])
    DigitsSource().fetch(tmp_path)
    assert contents(tmp_path) == contents(digits)
    assert {file: stamp for file, stamp in stamps(tmp_path).items() if file != name} == {
        file: stamp for file, stamp in before.items() if file != name
    }


def test_many_processes_fetch_at_once(digits: Path, tmp_path: Path) -> None:
    """Four processes that fetch into one folder, with a bad file in it, all succeed and leave the right files."""
    (tmp_path / FILES[0]).write_bytes(b"junk")
    started = [subprocess.Popen([sys.executable, "-c", FETCH, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(timeout=120) for process in started] == [0] * 4
    assert contents(tmp_path) == contents(digits)


@pytest.mark.parametrize("after", range(5))
def test_interrupted_fetch_leaves_nothing_half_written(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whichever write fails, what is there under a final name is whole, no part stays, and a retry completes it."""
    replace, calls = Path.replace, iter(range(5))

    def failing(self: Path, target: Path) -> Path:
        if next(calls) == after:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "replace", failing)
        with pytest.raises(StorageError, match=r"Can't write .*No space left on device.*MNISTKIT_CACHE"):
            DigitsSource().fetch(tmp_path)
    assert len(contents(tmp_path)) == after
    assert contents(tmp_path).items() <= contents(digits).items()
    DigitsSource().fetch(tmp_path)
    assert contents(tmp_path) == contents(digits)


def test_other_digits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits that aren't the pinned ones are an error that tells expected and got; nothing is written."""
    pinned = {**data._PINNED, FILES[3]: files.FileInfo(368, "0" * 64)}
    monkeypatch.setattr(data, "_PINNED", pinned)
    with pytest.raises(ChecksumError, match=rf"{FILES[3]} made from scikit-learn .*expected .*{'0' * 64}.*, got "):
        DigitsSource().fetch(tmp_path)
    assert contents(tmp_path) == {}


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    """A folder that can't be made, and a file name that a folder has taken, are errors naming path and variable."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Can't write to .*file.below.*MNISTKIT_CACHE"):
        DigitsSource().fetch(tmp_path / "file" / "below")
    (tmp_path / "taken" / FILES[0]).mkdir(parents=True)
    with pytest.raises(StorageError, match=rf"Can't write .*{FILES[0]}.*MNISTKIT_CACHE"):
        DigitsSource().fetch(tmp_path / "taken")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_read_only_place_that_has_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing has to be written, nothing needs to be writable; who may write anywhere is told otherwise here."""
    before = contents(DigitsSource().fetch(tmp_path / "data"))
    monkeypatch.setattr(os, "access", lambda path, mode, **_: not mode & os.W_OK)
    (tmp_path / "data").chmod(0o555)
    try:
        assert contents(DigitsSource().fetch(tmp_path / "data")) == before
    finally:
        (tmp_path / "data").chmod(0o755)


def test_digits_uri() -> None:
    """The uri is "digits" both ways; anything else isn't."""
    assert DigitsSource.from_uri("digits") == DigitsSource()
    assert DigitsSource().uri == "digits"
    for uri in ("", "Digits", "digits:8", "mnist"):
        with pytest.raises(UsageError, match="use 'digits'"):
            DigitsSource.from_uri(uri)


def test_folder_is_used_in_place(tmp_path: Path) -> None:
    """The folder itself is returned; nothing is copied and ``into`` isn't even made."""
    folder = four_files(tmp_path / "mine")
    before = stamps(folder)
    assert FolderSource(folder).fetch(tmp_path / "into") == folder
    assert not (tmp_path / "into").exists()
    assert stamps(folder) == before


def test_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    """A missing folder and a missing file are named, by fetch and not before."""
    source = FolderSource(tmp_path / "nothing")
    with pytest.raises(NotFoundError, match="nothing is not a folder"):
        source.fetch(tmp_path / "into")
    folder = four_files(tmp_path / "mine")
    (folder / FILES[1]).unlink()
    with pytest.raises(DataFormatError, match=rf"lacks {FILES[1]} \(plain or \.gz"):
        FolderSource(folder).fetch(tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_folder_uri_is_absolute_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder is resolved when the source is made: changing the working directory changes nothing."""
    monkeypatch.chdir(tmp_path)
    source = FolderSource.from_uri("idx:data/mine")
    monkeypatch.chdir("/")
    assert source.uri == f"idx:{tmp_path / 'data' / 'mine'}"
    assert FolderSource.from_uri(source.uri) == source == FolderSource(tmp_path / "data" / "mine")
    assert FolderSource(Path("x")).folder.is_absolute()


def test_folder_uri_expands_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the user's home; a colon within the path belongs to it."""
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(tmp_path))
    assert FolderSource.from_uri("idx:~/mine").folder == tmp_path / "mine"
    assert FolderSource.from_uri("idx:/a:b/c").folder == Path("/a:b/c").absolute()


@pytest.mark.parametrize("uri", ["idx:", "idx: ", "idx", "", "file:/data", "idx:~nobody-of-that-name/x"])
def test_folder_uri_that_names_no_folder(uri: str) -> None:
    """An empty path, another scheme and an unknown user are usage errors that quote the uri."""
    with pytest.raises(UsageError, match=f"^{uri!r}"):
        FolderSource.from_uri(uri)


@pytest.mark.parametrize("source", [DigitsSource(), FolderSource(Path("/data"))])
def test_sources_are_values(source: DataSource) -> None:
    """A source compares, hashes and travels to another process as a value."""
    back = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    assert back == source
    assert hash(back) == hash(source)
    assert back.uri == source.uri
    assert isinstance(source, DataSource)
