"""Files that create a folder when somebody unpickles them."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def traps(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Twelve of them, by what they are."""
    trap = Trap(marker)
    for protocol in range(6):
        yield f"pickle protocol {protocol}", pickle.dumps(trap, protocol)
    raw = pickle.dumps(trap)
    yield "gzip", gzip.compress(raw)
    yield "lzma", lzma.compress(raw)
    for name, compress in (("joblib", 0), ("joblib gzip", ("gzip", 3)), ("joblib bz2", ("bz2", 3))):
        stream = io.BytesIO()
        joblib.dump([trap, np.zeros(3)], stream, compress=compress)
        yield name, stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("schema.json", raw)
        archive.writestr("model.pkl", raw)
    yield "inside a zip", stream.getvalue()
