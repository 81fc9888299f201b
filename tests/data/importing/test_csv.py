"""CSV files of labels and pixels become datasets."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit import load_dataset
from mnistkit.data import Dataset, import_csv
from mnistkit.data.importing.csv_rows import parse_integers
from mnistkit.errors import DataFormatError, NotFoundError, StorageError, UsageError
from mnistkit.utils import progress
from support.tables import Sample, write_csv

pd = pytest.importorskip("pandas", reason="pandas isn't installed")


def digest(files: Any, tmp_path: Path, **options: Any) -> str:
    """The digest of the dataset that files become."""
    return load_dataset(import_csv(files, tmp_path / "out", **options).uri).sha256


def left(folder: Path) -> list[str]:
    """What is in a folder, beside the cache of the test."""
    return sorted(each.name for each in folder.iterdir() if each.name != "mnistkit-cache")


@pytest.fixture
def expected(sample: Sample) -> str:
    """The digest of the same images as arrays, with a chosen test split."""
    return Dataset.from_arrays(sample.X, sample.y).sha256


@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_the_same_dataset_as_its_arrays(
    sample: Sample, expected: str, tmp_path: Path, where: str, header: bool, end: str
) -> None:
    """With a header or without, the label first or last, lines of any system: the digest is that of the arrays."""
    path = write_csv(tmp_path / "train.csv", sample.X, sample.y, header=header, where=where, end=end)
    assert digest(path, tmp_path, label=None if header else where) == expected


def test_the_outcome_says_what_was_made(sample: Sample, tmp_path: Path, steps: Any) -> None:
    """Counts, names and the brightest pixel are told, progress is reported, and nothing else is left."""
    path = write_csv(tmp_path / "train.csv", sample.X, sample.y)
    made = import_csv(path, tmp_path / "out", test_fraction=0.5, name="mine")
    assert (made.train, made.test, made.class_names, made.brightest) == (15, 15, ("0", "1", "2"), 255)
    assert load_dataset(made.uri).name == "mine"
    assert left(tmp_path) == ["out", "train.csv"]
    assert not [each for each in (tmp_path / "out").iterdir() if each.name.startswith(".")]
    assert steps[-1].finished
    assert steps[-2].done == steps[-2].total == path.stat().st_size


def test_several_files_and_a_test_file(sample: Sample, tmp_path: Path) -> None:
    """Files are read one after the other, also gzip; a test file is the test split."""
    first = write_csv(tmp_path / "a.csv", sample.X[:10], sample.y[:10])
    second = write_csv(tmp_path / "b.csv", sample.X[10:], sample.y[10:])
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(first.read_bytes()))
    test = write_csv(tmp_path / "test.csv", sample.X_test, sample.y_test)
    assert digest([packed, second], tmp_path, test=test) == Dataset.from_arrays(*sample.arrays).sha256


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename(columns={"label": "Class"}),
        lambda table: table[[*table.columns[1:], "label"]],
        lambda table: table[[*table.columns[1:5], "label", *table.columns[5:]]],
        lambda table: table[["label", *sorted(table.columns[1:])]],
        lambda table: table.rename(columns={f"pixel{i}": f"{i // 4 + 1}x{i % 4 + 1}" for i in range(16)}),
        lambda table: table.rename(columns={f"pixel{i}": str(i) for i in range(16)}),
        lambda table: table.assign(label=table["label"].astype(float)),
        lambda table: table.astype(float),
        lambda table: (table.drop(columns="label") / 255).assign(label=table["label"]),
    ],
)
@pytest.mark.parametrize("options", [{}, {"index": False}, {"sep": ";"}, {"quoting": 1, "index": False}])
def test_tables_of_pandas(sample: Sample, expected: str, tmp_path: Path, change: Any, options: Any) -> None:
    """What pandas writes, with its index or not, in any order of columns, as numbers of any kind, is the same."""
    table = pd.DataFrame(sample.X.reshape(30, -1), columns=[f"pixel{i}" for i in range(16)])
    table.insert(0, "label", sample.y)
    change(table).to_csv(tmp_path / "train.csv", **options)
    assert digest(tmp_path / "train.csv", tmp_path) == expected


def test_labels_may_be_texts(sample: Sample, tmp_path: Path) -> None:
    """Texts name the classes, in every place where they stand, quoted or not; numbers with gaps name themselves."""
    names = np.array(["ant, red", "bee", "cäte"])
    pd.DataFrame(sample.X.reshape(30, -1)).assign(kind=names[sample.y]).to_csv(tmp_path / "a.csv", index=False)
    made = import_csv(tmp_path / "a.csv", tmp_path / "a", label="kind")
    assert made.class_names == ("ant, red", "bee", "cäte")
    plain = write_csv(tmp_path / "b.csv", sample.X, names[sample.y % 2 + 1], header=False, where="last")
    assert import_csv(plain, tmp_path / "b").class_names == ("bee", "cäte")
    gaps = write_csv(tmp_path / "c.csv", sample.X, sample.y * 10 + 1)
    made = import_csv(gaps, tmp_path / "c")
    assert made.class_names == ("1", "11", "21")
    assert load_dataset(made.uri).train.labels.max() == 2


def test_masks_are_bytes_and_fractions_are_scaled(sample: Sample, tmp_path: Path) -> None:
    """0 and 1 are bytes; where one pixel is 1.0, the numbers are fractions, also in rows that are whole."""
    masks = (sample.X > 99).astype(np.uint8)
    write_csv(tmp_path / "whole.csv", masks, sample.y)
    assert load_dataset(import_csv(tmp_path / "whole.csv", tmp_path / "a").uri).train.images.max() == 1
    path = write_csv(tmp_path / "mixed.csv", masks, sample.y)
    path.write_text(path.read_text() + ",".join(["1", "0.5", *["0"] * 15]) + "\n")
    made = load_dataset(import_csv(path, tmp_path / "b").uri)
    values = set(np.unique(np.concatenate([made.train.images, made.test.images])).tolist())
    assert values == {0, 128, 255}


@pytest.mark.parametrize(
    ("line", "cell", "text", "expected"),
    [
        (3, 5, "abc", "line 3, column 5 (pixel3): 'abc' is no number; pixels are 0 to 255"),
        (2, 17, "", "line 2, column 17 (pixel15): the cell is empty"),
        (31, 2, "256", "line 31, column 2 (pixel0): 256 is no pixel"),
        (4, 3, "-1", "line 4, column 3 (pixel1): -1 is no pixel"),
        (4, 3, "nan", "line 4, column 3 (pixel1): nan is no pixel"),
        (5, 3, "1,2", "line 5: it has 18 cells, but the first line has 17"),
        (7, 1, " ", "line 7, column 1 (label): the label is missing"),
    ],
)
def test_a_bad_cell_is_named(sample: Sample, tmp_path: Path, line: int, cell: int, text: str, expected: str) -> None:
    """The message has file, line and column; nothing is made."""
    path = write_csv(tmp_path / "train.csv", sample.X, sample.y)
    rows = [row.split(",") for row in path.read_text().splitlines()]
    rows[line - 1][cell - 1] = text
    path.write_text("\n".join(map(",".join, rows)))
    with pytest.raises(DataFormatError) as raised:
        import_csv(path, tmp_path / "out")
    assert f"{path}, {expected}" in str(raised.value)
    assert left(tmp_path) == ["train.csv"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty"),
        (b"label,pixel0,pixel1,pixel2,pixel3\n", "holds no image"),
        ("label,a,b,c,d\n0,1,2,3,4\n".encode("utf-16"), "null bytes"),
        (b"label,a,b,c\n0,1,2,3\n", "has 3 columns of pixels beside the labels: expected the square"),
        (b"label,pixel0,pixel1,pixel2,pixel4\n0,1,2,3,4\n", "some are missing, or there twice"),
        (b"id,pixel0,pixel1,pixel2,pixel3\n0,1,2,3,4\n", "has no column of labels"),
        (b"just text\nof a letter\n", "a label and pixels with commas"),
        (b"\x1f\x8b\x08nothing", "is damaged"),
        (b"label,a,b,c,d\n\xe9,1,2,3,4\n", "line 2: it isn't UTF-8"),
        (b"9,1,2,3,4\n9,1,2,3,4\n5,1,2,3,4\n", "label='last'"),
        (b"a,1,2,3,4\nb,1,2,3,4\n", "no class has two images"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    """Other files, and tables without labels or with a number of pixels that makes no image, are refused."""
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(DataFormatError, match=expected):
        import_csv(tmp_path / "x.csv", tmp_path / "out")
    assert left(tmp_path) == ["x.csv"]


def test_misuse_is_refused(sample: Sample, tmp_path: Path) -> None:
    """Missing files, a folder, a share beside a test file, and columns that aren't there are named."""
    path = write_csv(tmp_path / "train.csv", sample.X, sample.y)
    with pytest.raises(NotFoundError, match=r"no file .*none\.csv"):
        import_csv(tmp_path / "none.csv", tmp_path / "out")
    with pytest.raises(StorageError, match="Is a directory"):
        import_csv(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match=r"test_fraction=0\.1 out"):
        import_csv(path, tmp_path / "out", test=path, test_fraction=0.1)
    with pytest.raises(UsageError, match=r"test_fraction=2"):
        import_csv(path, tmp_path / "out", test_fraction=2)
    with pytest.raises(DataFormatError, match="has no column 'kind'"):
        import_csv(path, tmp_path / "out", label="kind")
    with pytest.raises(DataFormatError, match="in the column 'pixel15', but there is one called 'label'"):
        import_csv(path, tmp_path / "out", label="last")
    with pytest.raises(UsageError, match="is there already"):
        import_csv(path, tmp_path)
    other = write_csv(tmp_path / "test.csv", sample.X_test[:, :2, :2], sample.y_test)
    with pytest.raises(DataFormatError, match=r"4x4, and test\.csv of 2x2"):
        import_csv(path, tmp_path / "out", test=other)


@given(rows=st.lists(st.lists(st.integers(0, 255), min_size=3, max_size=3), min_size=1, max_size=20))
def test_array_arithmetic_reads_whole_numbers(rows: list[list[int]]) -> None:
    """Numbers of one to three digits, whatever stands before them, are what they are."""
    text = "".join(",".join(map(str, row)) + "\n" for row in rows).encode()
    found = parse_integers(text, 3, ord(","))
    assert found is not None
    assert found.tolist() == rows


@given(text=st.text(alphabet='0129,\n -."', max_size=40))
def test_array_arithmetic_reads_nothing_else(text: str) -> None:
    """Whatever isn't rows of whole numbers in 0..255 is left to the slow way."""
    found = parse_integers(text.encode(), 2, ord(",")) if text else None
    if found is not None:
        assert [list(map(int, line.split(","))) for line in text.splitlines()] == found.tolist()


def test_blocks_end_anywhere(sample: Sample, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is read in blocks of any size is the same dataset, and its lines keep their numbers."""
    path = write_csv(tmp_path / "train.csv", sample.X, sample.y, end="\r\n")
    for size in (7, 64, 1000):
        monkeypatch.setattr("mnistkit.data.importing.csv_table._BLOCK_BYTES", size)
        assert load_dataset(import_csv(path, tmp_path / f"{size}").uri).sha256 == expected
    path.write_text(path.read_text()[:-3] + "x\n")
    with pytest.raises(DataFormatError, match="line 31, column 17"):
        import_csv(path, tmp_path / "out")


def test_an_interrupted_import_leaves_nothing(sample: Sample, tmp_path: Path) -> None:
    """Ctrl-C while a file is read ends the import, and no folder stays behind."""
    path = write_csv(tmp_path / "train.csv", sample.X, sample.y)

    def interrupt(_: progress.Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.listening(interrupt):
        import_csv(path, tmp_path / "out")
    assert left(tmp_path) == ["train.csv"]
