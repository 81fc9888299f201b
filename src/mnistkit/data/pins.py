"""MNIST, file by file: sizes in bytes and sha256s, gzipped as its mirrors have it and plain."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mnistkit.utils.files import FileInfo

__all__ = ["DIGITS", "MNIST", "MNIST_PLAIN"]

DIGITS: Final = tuple("0123456789")
"""The class names of MNIST, label 0 first."""

MNIST: Final[Mapping[str, FileInfo]] = MappingProxyType(
    {
        "train-images-idx3-ubyte.gz": FileInfo(
            9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte.gz": FileInfo(
            28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte.gz": FileInfo(
            1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte.gz": FileInfo(4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    }
)
"""The four files of MNIST as they are published, gzipped."""

MNIST_PLAIN: Final[Mapping[str, FileInfo]] = MappingProxyType(
    {
        "train-images-idx3-ubyte": FileInfo(
            47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": FileInfo(60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        "t10k-images-idx3-ubyte": FileInfo(7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        "t10k-labels-idx1-ubyte": FileInfo(10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    }
)
"""What the four files hold: the same data, however it was gzipped."""
