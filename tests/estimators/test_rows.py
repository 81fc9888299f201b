"""Rows as blocks, joined from parts, and the groups and random numbers that don't depend on where rows lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.data.idx import write_idx
from mnistkit.errors import DataFormatError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.estimators.group_sums import row_groups, uniforms
from mnistkit.estimators.joined_rows import JoinedRows
from mnistkit.estimators.rows import ArrayRows, FileRows, RowBlocks

N = 3000


@pytest.fixture(scope="module")
def images() -> Any:
    """Noise of 4 x 5 pixels."""
    return np.random.default_rng(0).integers(0, 256, (N, 4, 5), dtype=np.uint8)


def joined(images: Any, folder: Path) -> JoinedRows:
    """The images in three parts: a range of a file, an array, and the rest of the file."""
    write_idx(folder / "images", images)
    file, array = FileRows(folder / "images"), ArrayRows(images, scale=1 / 255)
    return JoinedRows([(file, 0, 700), (array, 700, 701), (array, 701, 2000), (file, 2000, N)])


def test_joined_rows_are_one_matrix(images: Any, tmp_path: Path) -> None:
    """Blocks within a part and over several, rows in any order, and a fit, are those of one array."""
    rows, flat = joined(images, tmp_path), images.reshape(N, -1)
    assert (rows.n_rows, rows.n_columns, rows.image_shape) == (N, 20, (4, 5))
    for start, stop in ((0, 700), (650, 750), (699, 2100), (2000, 2001), (N - 5, N), (0, N)):
        buffer = np.full((stop - start, 20), -1, np.float32)
        np.testing.assert_array_equal(rows.block(start, stop, buffer), flat[start:stop])
    numbers = np.random.default_rng(1).integers(0, N, 400)
    np.testing.assert_array_equal(rows.take(numbers), flat[numbers])
    assert rows.take(numbers[:0]).shape == (0, 20)
    y = (flat[:, 0].astype(int) + flat[:, 1]) // 128
    whole = ArrayRows(images, scale=1 / 255)
    one, other = (FastLogisticRegression(random_state=0).fit(each, y) for each in (whole, rows))
    np.testing.assert_array_equal(one.coef_, other.coef_)


def test_rows_of_other_kinds_arent_joined(images: Any) -> None:
    """Parts with other columns, types or scales are refused, with the number of the part."""
    rows = ArrayRows(images, scale=1 / 255)
    for other in (ArrayRows(images), ArrayRows(images[:, 1:], scale=1 / 255), ArrayRows(images.astype(float))):
        with pytest.raises(DataFormatError, match="Part 1"):
            JoinedRows([(rows, 0, 9), (other, 0, 9)])


def test_a_file_that_shrinks_is_an_error(images: Any, tmp_path: Path) -> None:
    """Rows that have gone since the file was looked at are a typed error, not old bytes."""
    write_idx(tmp_path / "images", images)
    rows = FileRows(tmp_path / "images")
    (tmp_path / "images").write_bytes((tmp_path / "images").read_bytes()[:-10])
    with pytest.raises(DataFormatError, match="shorter"):
        rows.block(N - 5, N, np.empty((5, 20), np.float32))


def test_rows_in_memory(images: Any, tmp_path: Path) -> None:
    """Rows become an array where that is small enough, and stay as they are elsewhere."""
    rows: RowBlocks = joined(images, tmp_path)
    assert rows.in_memory(N * 20 * 4 - 1, 1) is rows
    array = rows.in_memory(N * 20 * 4, 2)
    assert isinstance(array, ArrayRows)
    assert array.scale == rows.scale
    np.testing.assert_array_equal(array.take(np.arange(N)), images.reshape(N, -1))


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 60_000, 1 << 20, (1 << 20) + 1, 8_100_000, 10**9])
def test_groups_cover_all_rows(n: int) -> None:
    """Groups cover all rows, one after another: 16 up to a million rows, then more of 65,536 rows, at most 1024."""
    groups = row_groups(n)
    assert [start for start, _ in groups] == [0, *(stop for _, stop in groups)][: len(groups)]
    assert sum(stop - start for start, stop in groups) == n
    assert len(groups) <= 16 or n > 1 << 20
    assert len(groups) <= 1024
    assert max((stop - start for start, stop in groups), default=0) <= 1 << 16 or n > 1 << 26


@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (1, 1000), (10, 11), (333, 777), (998, 1000), (5, 5)])
def test_random_numbers_are_those_of_the_whole(start: int, stop: int) -> None:
    """A slice of the stream of random numbers is drawn without those before it, and is the same."""
    whole = np.random.default_rng(2**40 + 1).random(1000, dtype=np.float32)
    np.testing.assert_array_equal(uniforms(2**40 + 1, start, stop), whole[start:stop])
