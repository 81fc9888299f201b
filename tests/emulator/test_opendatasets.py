"""Azure's Open Datasets over HTTP."""

from __future__ import annotations

import gzip
import re
import struct
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

pytest.importorskip("h11")

from emulator.conftest import Client
from mnistkit.data.idx import read_idx
from mnistkit.emulator import AzureMLEmulator, Settings
from mnistkit.emulator.synthetic import FILES, write_digits
from mnistkit.errors import NotFoundError

HOSTS = ["https://azureopendatastorage.azurefd.net", "https://azureopendatastorage.blob.core.windows.net"]
LABELS = "/mnist/t10k-labels-idx1-ubyte.gz"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with synthetic digits."""
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder, train=600, test=200)
    return folder


def test_digits_can_be_learned(digits: Path) -> None:
    """The synthetic digits are ten classes of 28x28 images that a linear classifier tells apart, but not perfectly."""
    arrays = [read_idx(digits / name) for name in FILES]
    assert [array.shape for array in arrays] == [(600, 28, 28), (600,), (200, 28, 28), (200,)]
    assert np.bincount(arrays[1]).tolist() == [60] * 10
    X, y, X_test, y_test = (array.reshape(len(array), -1).squeeze() for array in arrays)
    score = LogisticRegression(max_iter=50).fit(X / 255, y).score(X_test / 255, y_test)
    assert 0.7 < score < 1.0


def test_digits_are_the_same_each_time(digits: Path, tmp_path: Path) -> None:
    """The same seed gives the same digits, another one others."""
    write_digits(tmp_path, train=600, test=200)
    for name in FILES:
        assert gzip.decompress((tmp_path / name).read_bytes()) == gzip.decompress((digits / name).read_bytes())
    write_digits(tmp_path, train=600, test=200, seed=1)
    assert not np.array_equal(read_idx(tmp_path / FILES[0]), read_idx(digits / FILES[0]))


@pytest.mark.parametrize("host", HOSTS)
def test_files(client: Client, host: str) -> None:
    """Both of Azure's hosts serve the four files to anybody, whole and in parts."""
    whole = client.ask("GET", host + LABELS, token=None)
    assert whole.status == 200
    assert len(gzip.decompress(whole.data)) == 408
    part = client.ask("GET", host + LABELS, token=None, headers={"x-ms-range": "bytes=2-5"})
    assert (part.status, part.data) == (206, whole.data[2:6])
    assert part.headers["Content-Range"] == f"bytes 2-5/{len(whole.data)}"
    rest = client.ask("GET", host + LABELS, token=None, headers={"Range": "bytes=10-"})
    assert rest.data == whole.data[10:]
    head = client.ask("HEAD", host + LABELS, token=None)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(whole.data)))
    assert client.ask("GET", host + LABELS, token=None, headers={"Range": "bytes=9999-"}).status == 416
    assert client.ask("GET", host + LABELS, token=None, headers={"Range": "lines=1-2"}).status == 400


def test_days_of_the_week(client: Client) -> None:
    """The day of the week fits the date: the SDK's engine gives up on one that doesn't."""
    urls = (f"{HOSTS[1]}{LABELS}", f"{HOSTS[1]}/mnist?restype=container")
    texts = [client.ask("HEAD", url, token=None).headers["Last-Modified"] for url in urls]
    body = client.ask("GET", f"{HOSTS[1]}/mnist?restype=container&comp=list", token=None).data.decode()
    texts += re.findall("<Last-Modified>(.*?)<", body)
    assert len(texts) == 6
    for text in texts:
        assert format_datetime(parsedate_to_datetime(text), usegmt=True) == text


def test_listing(client: Client) -> None:
    """The container is listed, by prefix and in pages."""
    base = f"{HOSTS[1]}/mnist?restype=container&comp=list"

    def names(query: str) -> list[str]:
        return re.findall("<Name>(.*?)<", client.ask("GET", base + query, token=None).data.decode())

    assert names("") == sorted(FILES)
    assert names("&prefix=train-") == sorted(FILES)[2:]
    assert len(names("&maxresults=1")) == 1


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/mnist/nothing.gz", 404),
        ("/mnist/..%2f..%2fstate.sqlite", 404),
        ("/other/x.gz", 404),
        ("/other?restype=container&comp=list", 400),
        ("/mnist", 400),
        ("/mnist?restype=container&comp=lease", 400),
        (f"{LABELS}?color=red", 400),
    ],
)
def test_refused(client: Client, url: str, status: int) -> None:
    """Only these four files of this container are there."""
    assert client.ask("GET", HOSTS[1] + url, token=None).status == status


def test_nothing_can_be_written(client: Client) -> None:
    """The hosts are read only."""
    assert client.ask("PUT", HOSTS[1] + LABELS, body=b"x").status == 404


@pytest.mark.parametrize("gzipped", [True, False])
def test_own_data(digits: Path, tmp_path: Path, gzipped: bool) -> None:
    """A folder of the caller's is served: the files are found at any depth, and gzipped if they aren't."""
    data = tmp_path / "data" / "deep" / "down"
    data.mkdir(parents=True)
    for name in FILES:
        content = (digits / name).read_bytes()
        if gzipped:
            (data / name).write_bytes(content)
        else:
            (data / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    with AzureMLEmulator(settings=Settings(data=tmp_path / "data")) as emulator:
        for name in FILES:
            answer = Client(emulator).ask("GET", f"{HOSTS[0]}/mnist/{name}", token=None)
            assert gzip.decompress(answer.data) == gzip.decompress((digits / name).read_bytes())


def test_incomplete_data(digits: Path, tmp_path: Path) -> None:
    """A folder that lacks a file is refused at the start, by the name of the file."""
    (tmp_path / FILES[0]).write_bytes((digits / FILES[0]).read_bytes())
    with pytest.raises(NotFoundError, match=r"train-labels-idx1-ubyte\.gz"):
        AzureMLEmulator(settings=Settings(data=tmp_path)).start()


@pytest.mark.parametrize(("rows", "columns", "warned"), [(28, 28, False), (20, 28, True)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_of_another_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: int, columns: int, warned: bool, suffix: str
) -> None:
    """Images that don't have MNIST's size are served, and warned of at the start."""
    for name in FILES:
        is_images = "images" in name
        head = struct.pack(">IIII", 0x803, 1, rows, columns) if is_images else struct.pack(">II", 0x801, 1)
        content = head + bytes(rows * columns if is_images else 1)
        file = tmp_path / f"{name.removesuffix('.gz')}{suffix}"
        file.write_bytes(gzip.compress(content) if suffix else content)
    with AzureMLEmulator(settings=Settings(data=tmp_path)):
        pass
    assert ("20 x 28" in caplog.text) is warned
