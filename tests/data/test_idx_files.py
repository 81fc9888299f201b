"""IDX files: written whole or not at all, read back, and what can't be read or written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mnistkit.data.idx import read_idx, read_idx_bytes, write_idx
from mnistkit.errors import NotFoundError, StorageError


@pytest.mark.parametrize("name", ["a-idx2-ubyte", "a-idx2-ubyte.gz", "a.GZ"])
def test_write_and_read(tmp_path: Path, name: str) -> None:
    """A file is gzip exactly if its name says so, reads back the same, and nothing else is left in the folder."""
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    write_idx(tmp_path / name, array)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.lower().endswith(".gz")
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_written_gzip_is_deterministic(tmp_path: Path) -> None:
    """Equal arrays give equal files under any name: no time and no file name is in them."""
    for name in ("one.gz", "two.gz"):
        write_idx(tmp_path / name, np.arange(6, dtype=np.uint8))
    data = (tmp_path / "one.gz").read_bytes()
    assert data == (tmp_path / "two.gz").read_bytes()
    assert data[3:10] == bytes([0, 0, 0, 0, 0, 2, 255])


def test_read_of_an_endless_device_ends() -> None:
    """A device that never ends isn't read at all."""
    device = Path("/dev/zero")
    if not device.exists():
        pytest.skip("this system has no /dev/zero")
    for read in (read_idx_bytes, read_idx):
        with pytest.raises(StorageError, match="Can't read /dev/zero: Not a regular file"):
            read(device)


def test_file_errors_are_named(tmp_path: Path) -> None:
    """A missing file, a folder in place of a file, and an unwritable place are errors that name the path."""
    with pytest.raises(NotFoundError, match="nothing-here isn't there"):
        read_idx(tmp_path / "nothing-here")
    with pytest.raises(StorageError, match="Can't read"):
        read_idx(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Can't write .*file.a"):
        write_idx(tmp_path / "file" / "a", np.zeros(1, np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder_is_created(tmp_path: Path) -> None:
    """A file is written into a folder that isn't there yet, with its parents."""
    write_idx(tmp_path / "new" / "folder" / "a", np.arange(3, dtype=np.uint8))
    assert read_idx(tmp_path / "new" / "folder" / "a").tolist() == [0, 1, 2]
