"""The model files of a registered version, and their bytes, verified."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from mnistkit.errors import IntegrityError, ModelError, UsageError
from mnistkit.models.files import FORMAT_BY_SUFFIX, MODEL_FILES, no_loader, parts
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.files import FileInfo, sha256_hex

__all__ = ["check_digest", "model_file", "read_verified"]


def model_file(version: ModelVersion) -> str:
    """The file of a version that is the model, or stands for it.

    Raises:
        ModelError: There is none, or more than one.
    """
    if version.format not in MODEL_FILES:
        raise no_loader(version.id, version.format)
    if version.files.keys() >= set(parts(MODEL_FILES[version.format])):
        return MODEL_FILES[version.format]
    suffixes = tuple(suffix for suffix, kind in FORMAT_BY_SUFFIX.items() if kind == version.format)
    found = [file for file in version.files if file.endswith(suffixes) and version.files.keys() >= set(parts(file))]
    if len(found) != 1:
        raise ModelError(
            f"{version.id} should hold {MODEL_FILES[version.format]}, or one other {' or '.join(suffixes)} "
            f"file; its files: {', '.join(sorted(version.files))}. Use registry.download and load it yourself."
        )
    return found[0]


def read_verified(registry: ModelRegistry, version: ModelVersion, files: Iterable[str]) -> dict[str, bytes]:
    """Those of these files that the version has, by name: each read once, and compared with its manifest.

    Raises:
        IntegrityError: One isn't what was registered.
    """
    contents = {}
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        copied = registry.download(version, Path(folder) / "files")
        for file in files:
            if file not in version.files:
                continue
            data = (copied / file).read_bytes()
            got = FileInfo(len(data), sha256_hex(data))
            if got != version.files[file]:
                registered = version.files[file].sha256
                raise IntegrityError(f"{version.id}: {file} has sha256 {got.sha256}, registered was {registered}.")
            contents[file] = data
    return contents


def check_digest(version: ModelVersion, expected: str | None) -> None:
    """Make sure that a version has the digest that was noted; None if none was.

    Raises:
        IntegrityError: It has another one.
        UsageError: ``expected`` is no digest.
    """
    if expected is None:
        return
    if not isinstance(expected, str) or len(expected) != 64:  # noqa: PLR2004 - hexadecimal digits of a sha256
        raise UsageError(f"expect_digest={expected!r:.80}: use all 64 digits of the version's digest.")
    if expected.lower() != version.digest:
        raise IntegrityError(
            f"{version.id} has digest {version.digest}, expected {expected.lower()}: its manifest isn't the one "
            "whose digest you noted. Don't load it before you know why."
        )
