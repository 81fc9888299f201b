"""The IDX reader's cost and exactness, measured from outside: in processes of their own, on each inflater."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from data.test_idx import DTYPES, INFLATERS, TINY, flips, naive_parse, zipped
from mnistkit.data.dataset import Dataset
from mnistkit.data.idx import encode_idx, parse_idx
from mnistkit.errors import DataError, DataFormatError

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MIB = 2**20

CHILD = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
module, kind, count = sys.argv[2], sys.argv[3], int(sys.argv[5])
for other in {"isal.isal_zlib", "zlib_ng.zlib_ng"} - {module}:
    sys.modules[other] = None
from data import test_idx
from mnistkit.data import idx
from mnistkit.errors import DataFormatError
parse = idx.parse_idx if kind == "ours" else test_idx.naive_parse

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def refused(data):
    try:
        parse(data)
    except DataFormatError:
        return True
    except Exception:
        return False
    return False

def measured(task):
    if task == "fuzz":
        test_idx.exceptions_of(parse, count)  # until the allocator has what it needs
    elif task == "64 MB":
        data = test_idx.deflate_bomb(test_idx.header(500, 500), 64)
    else:
        data = test_idx.BOMBS[task][0]()
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")  # the highest memory so far is forgotten
    before, started = status("VmRSS"), time.perf_counter()
    result = test_idx.exceptions_of(parse, count, seed=21) if task == "fuzz" else refused(data)
    seconds = time.perf_counter() - started
    return {"result": result, "seconds": seconds, "peak": status("VmHWM") - before}

refused(test_idx.TINY), refused(test_idx.zipped(test_idx.TINY)), refused(test_idx.zipped(b""))  # what is imported late
print(json.dumps([idx._inflater().__name__, {task: measured(task) for task in sys.argv[4].split(",")}]))
"""


@pytest.fixture(params=INFLATERS, scope="module")
def inflater(request: pytest.FixtureRequest) -> str:
    """The module of each inflater that is installed."""
    module: str = INFLATERS[request.param]
    if not importlib.util.find_spec(module.partition(".")[0]):
        pytest.skip(f"{request.param} isn't installed")
    return module


def measured(inflater: str, *tasks: str, kind: str = "ours", count: int = 0) -> dict[str, dict[str, Any]]:
    """Do tasks in a process of their own: of each its result, seconds, and by how many bytes memory grew at most."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parents[1]), inflater, kind, ",".join(tasks), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    used, outcomes = json.loads(done.stdout)
    assert used == inflater
    print(outcomes)
    return dict(outcomes)


@linux
def test_bombs_take_neither_memory_nor_time(inflater: str) -> None:
    """A process that refuses a bomb grows by less than 20 MB, and is done in a fraction of a second."""
    bombs = ("4 GB declared", "4 GB undeclared", "half a million members", "20 MB of file name")
    for outcome in measured(inflater, *bombs).values():
        assert outcome["result"] is True
        assert outcome["peak"] < 20e6
        assert outcome["seconds"] < 2  # less than a millisecond on an idle machine


@linux
def test_the_measurement_finds_a_naive_reader_out() -> None:
    """A naive reader inflates first: a small bomb's 64 MB are seen."""
    assert measured("zlib", "64 MB", kind="naive")["64 MB"]["peak"] > 60e6
    assert measured("zlib", "64 MB")["64 MB"]["peak"] < 20e6


@linux
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_stays_flat_under_damaged_files(inflater: str, count: int) -> None:
    """However many damaged files a process reads, only DataFormatError comes of it, and it doesn't grow."""
    outcome = measured(inflater, "fuzz", count=count)["fuzz"]
    assert outcome["result"] == {}
    assert outcome["peak"] < 16 * MIB  # 160 bytes for each of 100,000 files


arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(np.dtype(dtype), npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3))
)


def exactly(data: bytes, array: NDArray[np.generic]) -> bool:
    """Whether reading gives this very array, or is refused."""
    try:
        read = parse_idx(data)
    except DataFormatError:
        return True
    return (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())


@given(arrays, st.data())
@settings(max_examples=100, deadline=None)
def test_damage_to_a_gzip_is_refused_or_harmless(array: NDArray[np.generic], data: st.DataObject) -> None:
    """Of any array's .gz, each truncation, each flip of a bit and any byte put in is refused or changes nothing."""
    packed = zipped(encode_idx(array))
    assert exactly(packed, array)
    at = data.draw(st.integers(0, len(packed) - 1))
    assert exactly(packed[:at], array)
    assert exactly(packed[:at] + bytes([packed[at] ^ 1 << data.draw(st.integers(0, 7))]) + packed[at + 1 :], array)
    assert exactly(packed[:at] + data.draw(st.binary(min_size=1, max_size=4)) + packed[at:], array)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (0,), (2, 3), (2, 0, 3), (1, 2, 1, 2)], ids=str)
def test_every_flip_and_truncation_of_every_type(dtype: str, shape: tuple[int, ...]) -> None:
    """For each type and number of dimensions, all single-bit flips and truncations of the .gz."""
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    packed = zipped(encode_idx(array))
    assert all(exactly(flipped, array) for flipped in flips(packed))
    for length in range(len(packed)):
        with pytest.raises(DataFormatError):
            parse_idx(packed[:length])


def test_flips_find_a_naive_reader_out() -> None:
    """A flip in a plain header is enough for a naive reader to return another array."""
    seen = set()
    for flipped in flips(TINY[:12]):
        try:
            seen.add(naive_parse(flipped + TINY[12:]).shape)
        except Exception:  # noqa: BLE001, S112 - a naive reader raises all sorts of errors
            continue
    assert len(seen) > 1


def write(folder: Path, **changes: bytes) -> Path:
    """Write a dataset of two images to train and one to test, of which some files are other bytes."""
    files = {
        "train-images": encode_idx(np.zeros((2, 28, 28), np.uint8)),
        "train-labels": encode_idx(np.array([0, 1], np.uint8)),
        "t10k-images": encode_idx(np.zeros((1, 28, 28), np.uint8)),
        "t10k-labels": encode_idx(np.array([1], np.uint8)),
    }
    files |= {name.replace("_", "-"): data for name, data in changes.items()}
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}-idx{data[3]}-ubyte").write_bytes(data)
    return folder


MISFITS = {
    "a label too few": {"train_labels": encode_idx(np.zeros(1, np.uint8))},
    "20,000 images, 19,999 labels": {
        "train_images": struct.pack(">BBBBIII", 0, 0, 8, 3, 20_000, 2, 2) + bytes(80_000),
        "train_labels": encode_idx(np.zeros(19_999, np.uint8)),
        "t10k_images": encode_idx(np.zeros((1, 2, 2), np.uint8)),
    },
    "other size of test images": {"t10k_images": encode_idx(np.zeros((1, 28, 27), np.uint8))},
    "floating images": {"train_images": encode_idx(np.zeros((2, 28, 28), np.float32))},
    "signed labels": {"train_labels": encode_idx(np.zeros(2, np.int8))},
    "no images at all": {
        "train_images": encode_idx(np.zeros((0, 28, 28), np.uint8)),
        "train_labels": encode_idx(np.zeros(0, np.uint8)),
    },
    "images without width": {"train_images": encode_idx(np.zeros((2, 28, 0), np.uint8))},
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, misfit: str) -> None:
    """Whole files of which one doesn't go with the others are an error that names a file."""
    assert Dataset.from_folder(write(tmp_path / "good"))
    with pytest.raises(DataError, match=r"-idx\d-ubyte"):
        Dataset.from_folder(write(tmp_path / "bad", **MISFITS[misfit]))


def test_swapped_files_are_refused(tmp_path: Path) -> None:
    """Images under the labels' name and labels under the images' are told by their dimensions."""
    images, labels = encode_idx(np.zeros((2, 28, 28), np.uint8)), encode_idx(np.zeros(2, np.uint8))
    write(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(labels)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(images)
    with pytest.raises(DataFormatError, match="train-images-idx3-ubyte"):
        Dataset.from_folder(tmp_path)
