"""The manifest of a registered version: its files and everything registered with them."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, fields, fields_dict, frozen

from mnistkit.errors import DataFormatError, IntegrityError, InvalidNameError, UsageError
from mnistkit.jobs.environment import library_versions
from mnistkit.models.files import FORMATS
from mnistkit.models.input import InputSpec
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo, sha256_hex
from mnistkit.utils.names import check_file
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["MANIFEST", "MAX_MANIFEST_BYTES", "Manifest", "check_listed", "read_version"]

MANIFEST: Final = "manifest.json"
"""The manifest's file name in the folder of a version."""

MAX_MANIFEST_BYTES: Final = 64 << 20
"""The largest manifest that is written or read."""

_SCHEMA_VERSION = 1


@frozen(kw_only=True)
class Manifest(ModelInfo):
    """The content of ``manifest.json``: a `ModelInfo`, and the files that it belongs to.

    The version's number isn't in it: that is its folder's name.

    Attributes:
        schema: The version of this layout.
        name: The model.
        nonce: Tells this registration from every other.
        created_at: UTC.
        files: Each file's size and sha256, by relative POSIX path.
        versions: Of Python and the libraries that made it.
    """

    name: str
    files: Mapping[str, FileInfo]
    schema: int = _SCHEMA_VERSION
    nonce: str = field(factory=lambda: uuid.uuid4().hex)
    created_at: datetime = field(factory=utc_now)
    versions: Mapping[str, str] = field(factory=library_versions)

    @classmethod
    def of(cls, name: str, info: ModelInfo, files: Mapping[str, FileInfo]) -> Manifest:
        """Return the manifest of a new version.

        Raises:
            UsageError: ``info`` isn't a `ModelInfo`.
        """
        if not isinstance(info, ModelInfo):
            raise UsageError(f"info={info!r:.80}: use ModelInfo(format='skops', ...).")
        return cls(name=name, files=files, **{each.name: getattr(info, each.name) for each in fields(ModelInfo)})

    def to_bytes(self) -> bytes:
        """Return canonical JSON: equal manifests give equal bytes.

        Raises:
            UsageError: It is larger than any registry reads.
        """
        data = to_json(self)
        if len(data) > MAX_MANIFEST_BYTES:
            raise UsageError(
                f"What {self.name!r} is to be registered with takes {len(data)} bytes, at most {MAX_MANIFEST_BYTES} "
                "are kept: register fewer files, or shorter texts."
            )
        return data

    @classmethod
    def parse(cls, data: bytes, source: str) -> Manifest:
        """Read what `to_bytes` wrote.

        Raises:
            IntegrityError: It isn't that.
        """
        try:
            manifest: Manifest = from_json(data, cls, source)
        except (DataFormatError, UsageError) as error:
            raise IntegrityError(
                f"{error} The manifest was damaged or edited, or a newer mnistkit wrote it: restore it, or delete this "
                "version."
            ) from error
        if manifest.schema != _SCHEMA_VERSION:
            raise IntegrityError(
                f"{source}: schema {manifest.schema}, expected {_SCHEMA_VERSION}: a newer mnistkit wrote it."
            )
        check_listed(manifest.files, source)
        return manifest

    def as_version(self, number: int, data: bytes, location: str) -> ModelVersion:
        """Return this manifest with its number, as users get it.

        Args:
            number: The version.
            data: The bytes that the manifest was read from or written as.
            location: Where the files are.
        """
        shared = {key: getattr(self, key) for key in _SHARED_KEYS}
        return ModelVersion(version=number, digest=sha256_hex(data), location=location, **shared)


def read_version(data: bytes, number: int, location: str, source: str) -> ModelVersion:
    """Return the version that a manifest describes.

    The same as ``Manifest.parse(...).as_version(...)``, in a third of the time: lists of versions need it.

    Args:
        data: What `Manifest.to_bytes` wrote.
        number: The version.
        location: Where the files are.
        source: Where the manifest is, for messages.

    Raises:
        IntegrityError: As from `Manifest.parse`.
    """
    try:
        plain = json.loads(data.decode())
        if _is_exact(plain) and b"\\ud" not in data:  # an escape that could be a lone surrogate: read with care
            shared = {key: plain.get(key) for key in _SHARED_KEYS}
            shared["created_at"] = datetime.fromisoformat(plain["created_at"])
            shared["files"] = {file: FileInfo(**info) for file, info in plain["files"].items()}
            shared["input"] = InputSpec(**plain["input"]) if plain.get("input") is not None else None
            return ModelVersion(version=number, digest=sha256_hex(data), location=location, **shared)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # the slow way below names what is wrong
    return Manifest.parse(data, source).as_version(number, data, location)


def check_listed(files: Mapping[str, FileInfo], source: str) -> None:
    """Refuse files of a version that no registry can hold: a name that leads out of its folder, or a negative size.

    Raises:
        IntegrityError: There is one.
    """
    for file, info in files.items():
        try:
            check_file(file, "file of a model")
        except InvalidNameError as error:
            raise IntegrityError(f"{source}: {error} It was damaged or forged.") from error
        if info.size < 0:
            raise IntegrityError(f"{source}: {file!r:.120} has {info.size} bytes: it was damaged or forged.")


_KEYS = fields_dict(Manifest).keys()
_SHARED_KEYS = _KEYS & fields_dict(ModelVersion).keys()
_TEXT_TYPES = {str}
_NUMBER_TYPES = {float}
_FILE_INFO_TYPES = {"size": int, "sha256": str}
_PLAIN_FILE_PATTERN = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")  # no part of it is empty, ``.`` or ``..``


def _is_exact(plain: Any) -> bool:
    """Return True if JSON has what `Manifest.to_bytes` writes, of the very types that it writes."""
    return (
        plain.keys() | {"input"} == _KEYS  # versions from before there was an input lack the key
        and type(plain["schema"]) is int
        and plain["schema"] == _SCHEMA_VERSION
        and plain["format"] in FORMATS
        and {type(plain[key]) for key in ("name", "nonce", "description", "created_at")} == _TEXT_TYPES
        and (plain["run_id"] is None or type(plain["run_id"]) is str)
        and {*map(type, plain["tags"].values()), *map(type, plain["versions"].values())} <= _TEXT_TYPES
        and set(map(type, plain["metrics"].values())) <= _NUMBER_TYPES
        and all(map(math.isfinite, plain["metrics"].values()))
        and all(
            {key: type(value) for key, value in info.items()} == _FILE_INFO_TYPES and info["size"] >= 0
            for info in plain["files"].values()
        )
        and all(map(_PLAIN_FILE_PATTERN.fullmatch, plain["files"]))
    )
