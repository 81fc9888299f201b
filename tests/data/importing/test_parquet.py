"""Parquet files become datasets."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit import load_dataset
from mnistkit.data import Dataset, import_parquet
from mnistkit.errors import DataFormatError, MissingExtraError, NotFoundError
from mnistkit.utils.markup import encode_grey
from support.tables import Sample

pytest.importorskip("PIL", reason="the extra 'cli' isn't installed")


@pytest.fixture
def pa() -> Any:
    """The module pyarrow."""
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' isn't installed")
    pytest.importorskip("pyarrow.parquet")
    return pyarrow


def encoded(image: Any) -> bytes:
    """An image as a PNG file."""
    return encode_grey(image.tobytes(), image.shape[1], image.shape[0])


FORMS = [
    lambda X: {"image": [{"bytes": encoded(image), "path": "a.png"} for image in X]},
    lambda X: {"image": [encoded(image) for image in X]},
    lambda X: {"img": X.tolist()},
    lambda X: {"pixels": X.reshape(len(X), -1).tolist()},
    lambda X: {"image": (X / 255).tolist()},
    lambda X: {f"pixel{i}": X.reshape(len(X), -1)[:, i] for i in (3, *range(3), *range(4, 16))},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [7, 1000])
def test_images_in_any_column(sample: Sample, tmp_path: Path, pa: Any, form: Any, rows: int, monkeypatch: Any) -> None:
    """Structs, bytes, lists of lists, flat lists, fractions and a column per pixel are the same images."""
    monkeypatch.setattr("mnistkit.data.importing.parquet._BATCH_ROWS", rows)
    pa.parquet.write_table(pa.table({"label": sample.y, **form(sample.X)}), tmp_path / "a.parquet")
    made = import_parquet(tmp_path / "a.parquet", tmp_path / "out")
    assert load_dataset(made.uri).sha256 == Dataset.from_arrays(sample.X, sample.y).sha256


def test_names_of_the_classes_are_found(sample: Sample, tmp_path: Path, pa: Any) -> None:
    """Hugging Face's metadata and labels that are categories name the classes; other columns are told."""
    table = pa.table({"image": sample.X.tolist(), "label": sample.y, "split": ["a"] * 30})
    features = {"label": {"names": ["ant", "bee", "cat"], "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    made = import_parquet([tmp_path / "a.parquet"], tmp_path / "a")
    assert made.class_names == ("ant", "bee", "cat")
    assert made.unused == ("split",)
    kinds = pa.array(np.array(["ant", "bee", "cat"])[sample.y]).dictionary_encode()
    pa.parquet.write_table(pa.table({"x": sample.X.tolist(), "kind": kinds}), tmp_path / "b.parquet")
    assert import_parquet(tmp_path / "b.parquet", tmp_path / "b", label="kind").class_names == ("ant", "bee", "cat")


def test_images_that_cannot_be_decoded_are_listed(sample: Sample, tmp_path: Path, pa: Any) -> None:
    """They are left out with their row and reason, like image files; images of other sizes are scaled."""
    files = [encoded(image) for image in sample.X]
    files[4], files[7] = b"nothing", encoded(np.kron(sample.X[7], np.ones((2, 2), np.uint8)))
    table = pa.table({"image": [*files, None], "label": [*sample.y, 0]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    made = import_parquet(tmp_path / "a.parquet", tmp_path / "out")
    assert (made.train + made.test, load_dataset(made.uri).train.images.shape[1:]) == (29, (4, 4))
    assert [(each.file, each.reason[:12]) for each in made.left_out] == [
        ("a.parquet, row 4", "is no pictur"),
        ("a.parquet, row 30", "has no image"),
    ]
    made = import_parquet(tmp_path / "a.parquet", tmp_path / "big", shape=(8, 8))
    assert load_dataset(made.uri).train.images.shape[1:] == (8, 8)


def test_what_is_no_table_of_images_is_refused(sample: Sample, tmp_path: Path, pa: Any) -> None:
    """Other files, missing columns, and columns of texts are refused with their names."""
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataFormatError, match="is no parquet file"):
        import_parquet(tmp_path / "a.parquet", tmp_path / "out")
    with pytest.raises(NotFoundError, match="no file"):
        import_parquet(tmp_path / "none.parquet", tmp_path / "out")
    pa.parquet.write_table(pa.table({"image": ["a", "b"], "label": [0, 1]}), tmp_path / "b.parquet")
    with pytest.raises(DataFormatError, match=r"b\.parquet, row 0: the image is no array of numbers"):
        import_parquet(tmp_path / "b.parquet", tmp_path / "out")
    with pytest.raises(DataFormatError, match="has no column 'photo'"):
        import_parquet(tmp_path / "b.parquet", tmp_path / "out", image="photo")
    with pytest.raises(DataFormatError, match="has no column 'kind'"):
        import_parquet(tmp_path / "b.parquet", tmp_path / "out", label="kind")
    pa.parquet.write_table(
        pa.table({**{name: ["x"] * 4 for name in "abcd"}, "label": [0, 1, 0, 1]}), tmp_path / "c.parquet"
    )
    with pytest.raises(DataFormatError, match=r"c\.parquet holds .* values: use images"):
        import_parquet(tmp_path / "c.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the error says what to install."""
    original = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnistkit\[parquet\]'"):
        import_parquet(tmp_path / "a.parquet", tmp_path / "out")
