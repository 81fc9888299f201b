"""Fixtures of the tests of datasets on the web."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from mnistkit.data.idx import encode_idx
from mnistkit.data.web import CATALOG, PinnedFile, WebDataset
from support.mirrors import (
    Mirror,
    info,
    serving,
    upright_images,
)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror that runs as long as the test."""
    with serving() as served:
        yield served


@pytest.fixture(autouse=True)
def _no_proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        if not request.node.get_closest_marker("network"):
            monkeypatch.delenv(name)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder to fetch into; not there yet."""
    return tmp_path / "cache"


@pytest.fixture
def emnist(mirror: Mirror) -> dict[str, WebDataset]:
    """Two EMNIST sets in one archive: images lie transposed in it, letters' labels start at 1."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for split, first in (("letters", 1), ("digits", 0)):
            for part, images in (("train", upright_images()), ("test", upright_images()[:4])):
                stem = f"gzip/emnist-{split}-{part}"
                labels = np.arange(len(images), dtype=np.uint8) + first
                archive.writestr(f"{stem}-images-idx3-ubyte.gz", gzip.compress(encode_idx(images.transpose(0, 2, 1))))
                archive.writestr(f"{stem}-labels-idx1-ubyte.gz", gzip.compress(encode_idx(labels)))
    mirror.files["gzip.zip"] = packed.getvalue()
    files = (PinnedFile("gzip.zip", info(packed.getvalue())),)
    mirrors = (f"{mirror.url}/good",)
    return {split: evolve(CATALOG[f"emnist-{split}"], files=files, mirrors=mirrors) for split in ("letters", "digits")}
