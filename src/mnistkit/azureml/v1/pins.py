"""What MNIST is, file by file, gzipped as Azure has it or plain; and the digits that an emulator has in its place."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from mnistkit.data.layout import find_idx_files
from mnistkit.data.manifest import DatasetManifest
from mnistkit.errors import ChecksumError
from mnistkit.utils.files import FileInfo, file_info, sha256_hex

__all__ = ["MNIST", "SYNTHETIC", "accepted", "are_digits_synthetic", "content", "identified", "way_out"]

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
"""What the four files of MNIST are."""

PLAIN: Final[Mapping[str, FileInfo]] = MappingProxyType(
    {
        "train-images-idx3-ubyte": FileInfo(
            47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": FileInfo(60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        "t10k-images-idx3-ubyte": FileInfo(7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        "t10k-labels-idx1-ubyte": FileInfo(10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    }
)
"""What they hold: the same data, however it was gzipped."""

SYNTHETIC: Final[Mapping[str, FileInfo]] = MappingProxyType(
    {
        "train-images-idx3-ubyte": FileInfo(
            1568016, "47e3eff3ce5b48fbe02e3d0a3b06384df6160985f313c2eaca9e49bf7bed8a6e"
        ),
        "train-labels-idx1-ubyte": FileInfo(2008, "e026daf3d28b630d395bff264d45247706f43ecba7d4f48422cba6b6a30e22d3"),
        "t10k-images-idx3-ubyte": FileInfo(313616, "ad6c8cfd60485e7fb4ad3359e983a3f238dd445c03dd994d28f403a4a3bcf1d6"),
        "t10k-labels-idx1-ubyte": FileInfo(408, "2e0e8968130b2f6e95667d5c172ff722d2e55b61e94e4564d214ebb2254150be"),
    }
)
"""What the emulator's synthetic digits hold: the same on every machine."""

_VARIABLE = "MNISTKIT_OPEN_DATASETS"  # set by the emulator, for its clients and jobs
_CLASSES = tuple("0123456789")


def are_digits_synthetic() -> bool:
    """Whether an emulator told this process that its synthetic digits stand in for MNIST."""
    return os.environ.get(_VARIABLE) == "synthetic"


def accepted(files: Mapping[str, FileInfo]) -> tuple[DatasetManifest, ...]:
    """All that may stand for the dataset of which ``files`` are the pins, the likeliest first.

    That is these very files. For MNIST it is also what they hold; or, where an emulator says that its digits stand in
    for MNIST, those alone: what is here must be what its nodes mount.
    """
    pinned = _manifest("mnist", files)
    if files != MNIST:
        return (pinned,)
    if are_digits_synthetic():
        return (_manifest("synthetic-digits", SYNTHETIC),)
    return (pinned, _manifest("mnist", PLAIN))


def content(path: Path, expected: FileInfo) -> bytes | None:
    """What a ``.gz`` holds, if that is as expected; it isn't inflated beyond the expected size."""
    try:
        with gzip.open(path) as stream:
            data = stream.read(expected.size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None
    return data if FileInfo(len(data), sha256_hex(data)) == expected else None


def identified(folder: Path, uri: str) -> DatasetManifest | None:
    """What the data is that was mounted at a folder of a node, verified by the pins of MNIST.

    Args:
        folder: There.
        uri: Of the data.

    Returns:
        The manifest to read the folder by; None if ``uri`` isn't the Open Dataset's, or has pins of its own.

    Raises:
        ChecksumError: It is something else.
        DataFormatError: A file is missing.
    """
    if not uri.startswith("azureml:") or "?" in uri:
        return None
    paths = {path.name: path for path in find_idx_files(folder).values()}
    infos = {path.relative_to(folder).as_posix(): file_info(path) for path in paths.values()}
    for manifest in accepted(MNIST):
        if all(_is_there(name, info, paths) for name, info in manifest.files.items()):
            return DatasetManifest(name=manifest.name, class_names=manifest.class_names, files=infos)
    kind = "MNIST" if manifest.name == "mnist" else manifest.name
    raise ChecksumError(f"The data at {folder} isn't {kind}: no pin fits {', '.join(sorted(paths))}. {way_out()}")


def way_out() -> str:
    """What helps where the data isn't what it should be."""
    if are_digits_synthetic():
        return f"{_VARIABLE}=synthetic says that an emulator serves its own digits: unset it, or have it do so."
    return (
        "Try again, or use data='mnist', which has other mirrors. Of an emulator it can be MNIST (--data FOLDER, as "
        "'mnistkit data fetch mnist' fills one) or the emulator's own digits; for other data, use data='idx:FOLDER'."
    )


def _is_there(name: str, info: FileInfo, paths: Mapping[str, Path]) -> bool:
    if name in paths:
        return file_info(paths[name]) == info
    return f"{name}.gz" in paths and content(paths[f"{name}.gz"], info) is not None


def _manifest(name: str, files: Mapping[str, FileInfo]) -> DatasetManifest:
    return DatasetManifest(name=name, class_names=_CLASSES, files=files)
