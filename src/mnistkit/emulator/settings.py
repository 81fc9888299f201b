"""Settings of the emulator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import Attribute, field, frozen
from attrs.converters import optional

from mnistkit.errors import UsageError

__all__ = ["Settings", "folder_file", "parse_places"]

_HOST_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_BLOB_PATTERN = re.compile(r"[a-z0-9]{3,24}/[a-z0-9$]([a-z0-9-]{0,61}[a-z0-9])?")
_PATH_PATTERN = re.compile(r"[A-Za-z0-9._~%+@,=-]+(/[A-Za-z0-9._~%+@,=-]+)*")


def _places(value: Mapping[str, Path | str]) -> dict[str, Path]:
    return {place.strip("/"): Path(folder).expanduser().absolute() for place, folder in value.items()}


@frozen(kw_only=True)
class Settings:
    """The behaviour of an emulator.

    Attributes:
        data: The folder with MNIST's four files, at any depth, that Open Datasets serves; None for synthetic digits.
        blobs: Folders to serve in place of containers of other storage accounts, by ``ACCOUNT/CONTAINER``.
        web: Folders to serve in place of parts of other hosts, by ``HOST`` or ``HOST/PATH``.
        phase_seconds: How long a job stays Queued, Preparing and Finalizing each, beyond what that takes anyway.
        check_environment: Whether a job fails whose requirements this interpreter doesn't meet.
        job_seconds: How long a job may take that sets itself no limit.
        job_bytes: How much a job may write.
    """

    data: Path | None = field(default=None, converter=optional(Path))
    blobs: Mapping[str, Path] = field(factory=dict, converter=_places)
    web: Mapping[str, Path] = field(factory=dict, converter=_places)
    phase_seconds: float = 0.0
    check_environment: bool = False
    job_seconds: float = 24 * 3600.0
    job_bytes: int = 10 << 30

    @blobs.validator
    @web.validator
    def _check_places(self, attribute: Attribute[object], value: Mapping[str, Path]) -> None:
        for place, folder in value.items():
            host, _, path = place.partition("/")
            if attribute.name == "blobs":
                is_right, shape = _BLOB_PATTERN.fullmatch(place) is not None, "ACCOUNT/CONTAINER"
            else:
                is_path = not path or _PATH_PATTERN.fullmatch(path) is not None
                is_right = _HOST_PATTERN.fullmatch(host) is not None and is_path
                shape = "HOST or HOST/PATH, in lower case the host"
            if not is_right:
                raise UsageError(f"{place!r} can't be served from a folder: expected {shape}.")
            if not folder.is_dir():
                raise UsageError(f"There is no folder {folder} to serve in place of {place}.")

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, beyond Azure's, that it stands in for."""
        return frozenset(place.partition("/")[0] for place in self.web)

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        for name in ("phase_seconds", "job_seconds", "job_bytes"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name}={value}: use a number from 0 on.")


def parse_places(texts: Iterable[str], option: str) -> dict[str, Path]:
    """Return folders by place, from texts such as ``ACCOUNT/CONTAINER=FOLDER``.

    Raises:
        UsageError: One of them isn't of that shape.
    """
    found = {}
    for text in texts:
        place, equals, folder = text.partition("=")
        if not equals or not place or not folder:
            raise UsageError(f"{option} {text!r}: expected a place, =, and a folder.")
        found[place] = Path(folder)
    return found


def folder_file(folder: Path, name: str) -> Path | None:
    """Return the regular file of that name in a folder; None if there is none, or if it leads out of the folder."""
    if "\0" in name or ".." in name.split("/") or name.startswith("/"):
        return None
    try:
        file = (folder / name).resolve()
        is_inside = file.is_relative_to(folder.resolve())
        return file if is_inside and file.is_file() else None
    except OSError:
        return None
