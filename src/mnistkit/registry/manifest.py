"""The manifest of a registered version: what its files are and all that is said of them."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, fields_dict, frozen

from mnistkit.errors import DataFormatError, IntegrityError, UsageError
from mnistkit.jobs.environment import library_versions
from mnistkit.models.files import FORMATS
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo, sha256_hex
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["MANIFEST", "Manifest", "read_version"]

MANIFEST: Final = "manifest.json"
"""The manifest's file name in the folder of a version."""

_SCHEMA = 1


def _format(value: str) -> str:
    if value not in FORMATS:
        raise UsageError(f"format={value!r}: use one of {', '.join(FORMATS)}.")
    return value


def _metrics(values: Mapping[str, float] | None) -> dict[str, float]:
    """Finite numbers only: JSON has no others, and no comparison of models has a use for them."""
    metrics: dict[str, float] = {}
    for name, value in _keyed(values, "metric").items():
        try:
            metrics[name] = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"The metric {name!r} is {value!r}, not a number: register it as a tag.") from None
        if not math.isfinite(metrics[name]):
            raise UsageError(f"The metric {name!r} is {value}: registries keep finite numbers only. Leave it out.")
    return metrics


def _tags(values: Mapping[str, str] | None) -> dict[str, str]:
    tags = _keyed(values, "tag")
    for name, value in tags.items():
        if not isinstance(value, str):
            raise UsageError(f"The tag {name!r} is {value!r}, not a text: write {str(value)!r}.")
    return tags


@frozen(kw_only=True)
class Manifest:
    """The content of ``manifest.json``. The version's number isn't in it: that is its folder's name.

    Attributes:
        schema: The version of this layout.
        name: The model.
        nonce: Tells this registration from every other.
        created_at: UTC.
        format: One of `mnistkit.registry.FORMATS`.
        files: Each file's size and sha256, by relative POSIX path.
        versions: Of Python and the libraries that made it.
        metrics: Finite numbers by name.
        tags: Free text by key.
        description: Free text.
        run_id: The run that made it, if any.
    """

    name: str
    format: str = field(converter=_format)
    files: Mapping[str, FileInfo]
    metrics: Mapping[str, float] = field(converter=_metrics)
    tags: Mapping[str, str] = field(converter=_tags)
    description: str = ""
    run_id: str | None = None
    schema: int = _SCHEMA
    nonce: str = field(factory=lambda: uuid.uuid4().hex)
    created_at: datetime = field(factory=utc_now)
    versions: Mapping[str, str] = field(factory=library_versions)

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal manifests give equal bytes.

        Raises:
            UsageError: A text in it can't be written as UTF-8.
        """
        try:
            return to_json(self)
        except ValueError as error:
            raise UsageError(f"{self.name!r} can't be registered with these tags or description: {error}.") from error

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
        if manifest.schema != _SCHEMA:
            raise IntegrityError(f"{source}: schema {manifest.schema}, expected {_SCHEMA}: a newer mnistkit wrote it.")
        return manifest

    def as_version(self, number: int, data: bytes, location: str) -> ModelVersion:
        """What users get: this manifest with its number.

        Args:
            number: The version.
            data: The bytes that the manifest was read from or written as.
            location: Where the files are.
        """
        return ModelVersion(
            name=self.name,
            version=number,
            created_at=self.created_at,
            format=self.format,
            files=self.files,
            digest=sha256_hex(data),
            metrics=self.metrics,
            tags=self.tags,
            description=self.description,
            run_id=self.run_id,
            versions=self.versions,
            location=location,
        )


def read_version(data: bytes, number: int, location: str, source: str) -> ModelVersion:
    """The version that a manifest describes: ``Manifest.parse(...).as_version(...)``, in a third of the time.

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
        if _is_exact(plain):
            fields = {key: plain[key] for key in _SHARED}
            fields["created_at"] = datetime.fromisoformat(plain["created_at"])
            fields["files"] = {file: FileInfo(**info) for file, info in plain["files"].items()}
            return ModelVersion(version=number, digest=sha256_hex(data), location=location, **fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # to be said with care
    return Manifest.parse(data, source).as_version(number, data, location)


_KEYS = fields_dict(Manifest).keys()
_SHARED = _KEYS & fields_dict(ModelVersion).keys()
_TEXTS = {str}
_NUMBERS = {float}
_INFO = {"size": int, "sha256": str}


def _is_exact(plain: Any) -> bool:
    """Whether JSON has what `Manifest.to_bytes` writes, of the very types that it writes: nothing to convert."""
    return (
        plain.keys() == _KEYS
        and plain["schema"] == _SCHEMA
        and plain["format"] in FORMATS
        and {type(plain[key]) for key in ("name", "nonce", "description", "created_at")} == _TEXTS
        and (plain["run_id"] is None or type(plain["run_id"]) is str)
        and {*map(type, plain["tags"].values()), *map(type, plain["versions"].values())} <= _TEXTS
        and set(map(type, plain["metrics"].values())) <= _NUMBERS
        and all(map(math.isfinite, plain["metrics"].values()))
        and all({key: type(value) for key, value in info.items()} == _INFO for info in plain["files"].values())
    )


def _keyed(values: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    for key in values or {}:
        if not isinstance(key, str):
            raise UsageError(f"The {what} {key!r} has no text for a name: use {str(key)!r}.")
    return dict(values or {})
