"""The same images in any layout are the same dataset, and an imported one keeps the contract of sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit import load_dataset
from mnistkit.data import (
    Dataset,
    FolderSource,
    export_pictures,
    import_csv,
    import_npy,
    import_npz,
    import_parquet,
    import_pictures,
)
from mnistkit.interfaces import DataSource
from mnistkit.testing import DataSourceSuite
from support.tables import Sample, write_csv

pytest.importorskip("PIL", reason="the extra 'cli' isn't installed")


def from_csv(sample: Sample, folder: Path) -> str:
    """Two CSV files."""
    train = write_csv(folder / "train.csv", sample.X, sample.y)
    test = write_csv(folder / "test.csv", sample.X_test, sample.y_test)
    return import_csv(train, folder / "out", test=test).uri


def from_npz(sample: Sample, folder: Path) -> str:
    """An archive as keras has it."""
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez_compressed(folder / "mnist.npz", **dict(zip(names, sample.arrays, strict=True)))
    return import_npz(folder / "mnist.npz", folder / "out").uri


def from_npy(sample: Sample, folder: Path) -> str:
    """Four files."""
    paths = [folder / f"{i}.npy" for i in range(4)]
    for path, array in zip(paths, sample.arrays, strict=True):
        np.save(path, array)
    return import_npy(*paths[:2], folder / "out", test_images=paths[2], test_labels=paths[3]).uri


def from_pictures(sample: Sample, folder: Path) -> str:
    """A folder of images."""
    pictures = export_pictures(Dataset.from_arrays(*sample.arrays), folder / "pictures")
    return import_pictures(pictures, folder / "out", size=(4, 4)).uri


def from_parquet(sample: Sample, folder: Path) -> str:
    """Two parquet files with PNG files in them."""
    pa = pytest.importorskip("pyarrow", reason="the extra 'parquet' isn't installed")
    import pyarrow.parquet as pq

    from mnistkit.utils.markup import encode_grey

    paths = []
    for name, X, y in (("train", sample.X, sample.y), ("test", sample.X_test, sample.y_test)):
        images = [{"bytes": encode_grey(image.tobytes(), 4, 4), "path": None} for image in X]
        pq.write_table(pa.table({"image": images, "label": y}), folder / f"{name}.parquet")
        paths.append(folder / f"{name}.parquet")
    return import_parquet(paths[0], folder / "out", test=paths[1]).uri


LAYOUTS = [from_csv, from_npz, from_npy, from_pictures, from_parquet]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_dataset(
    sample: Sample, tmp_path: Path, layout: Callable[[Sample, Path], str]
) -> None:
    """Arrays, CSV, npz, npy, parquet and image files of the same images have one digest and the same classes."""
    expected = Dataset.from_arrays(*sample.arrays)
    made = load_dataset(layout(sample, tmp_path))
    assert made.sha256 == expected.sha256
    assert made.class_names == expected.class_names
    assert len(made.test) == 10


def test_every_layout_has_the_same_test_split(sample: Sample, tmp_path: Path) -> None:
    """Where the test split is chosen, the same images are chosen from every layout."""
    expected = Dataset.from_arrays(sample.X, sample.y, test_fraction=0.3, seed=5).sha256
    options: dict[str, Any] = {"test_fraction": 0.3, "seed": 5}
    np.savez(tmp_path / "mine.npz", X=sample.X / 255, Y=sample.y)
    flat = tmp_path / "pictures"
    export_pictures(Dataset.from_arrays(sample.X, sample.y, sample.X[:3], sample.y[:3]), tmp_path / "both")
    (tmp_path / "both" / "train").rename(flat)
    made = [
        import_csv(write_csv(tmp_path / "a.csv", sample.X, sample.y), tmp_path / "a", **options),
        import_npz(tmp_path / "mine.npz", tmp_path / "b", **options),
        import_pictures(flat, tmp_path / "c", size=(4, 4), **options),
    ]
    assert {load_dataset(each.uri).sha256 for each in made} == {expected}


class TestImportedSource(DataSourceSuite):
    """A dataset that was imported keeps the contract of data sources."""

    fills_folder = False

    @pytest.fixture
    def source(self, sample: Sample, tmp_path: Path) -> DataSource:
        """Imported from an archive."""
        (tmp_path / "a").mkdir()
        return FolderSource(Path(from_npz(sample, tmp_path / "a").removeprefix("idx:")))

    @pytest.fixture
    def another(self, sample: Sample, tmp_path: Path) -> DataSource:
        """Imported from a table, of other images."""
        (tmp_path / "b").mkdir()
        other = Sample(255 - sample.X, sample.y, sample.X_test, sample.y_test)
        return FolderSource(Path(from_csv(other, tmp_path / "b").removeprefix("idx:")))

    @pytest.fixture
    def unavailable(self, tmp_path: Path) -> DataSource:
        """A table that wasn't imported."""
        (tmp_path / "train.csv").write_text("label,pixel0\n")
        return FolderSource(tmp_path / "train.csv")
