"""Data references: paths of datastores that a job has as files, without being datasets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.datastores import Datastores

__all__ = ["VARIABLE_PREFIX", "DatastoreFiles", "Reference", "Stamps", "references_of"]

VARIABLE_PREFIX = "AZUREML_DATAREFERENCE_"
_MODES = ("mount", "download", "upload")
_DEFAULT_DATASTORE = "workspaceblobstore"

Stamps = Mapping[Path, tuple[int, int]]
"""Of each file its time of change in nanoseconds, and its size in bytes."""


@frozen(kw_only=True)
class Reference:
    """A path of a datastore that a job reads or writes.

    Attributes:
        name: What the job calls it.
        datastore: The datastore.
        path: The path there, without a slash at either end.
        mode: ``mount`` brings what is there and keeps what the job changes; ``download`` brings, ``upload`` keeps.
        on_compute: Where the job wants it, below its working folder; empty for anywhere.
    """

    name: str
    datastore: str
    path: str
    mode: str
    on_compute: str

    @property
    def variable(self) -> str:
        """The environment variable with its path."""
        return f"{VARIABLE_PREFIX}{self.name}"

    def place(self, folder: Path, own: Path) -> Path:
        """Return the path that the job gets.

        Args:
            folder: The job's working folder.
            own: A folder for its data.
        """
        return folder / self.on_compute if self.on_compute else own / "references" / self.name


class DatastoreFiles:
    """Brings the files of datastores to nodes, and back."""

    def __init__(self, blobs: Blobs, datastores: Datastores) -> None:
        self._blobs, self._datastores = blobs, datastores

    def bring(self, reference: Reference, place: Path) -> Stamps:
        """Copy what a reference names; return the stamps of the files.

        The place itself isn't made where the datastore has nothing: the job decides if it writes a file or a folder.

        Raises:
            Refusal: 404: there is no such datastore.
        """
        container = self._datastores.container(reference.datastore)
        place.parent.mkdir(parents=True, exist_ok=True)
        if reference.mode == "upload":
            return {}
        prefix = reference.path
        for name in self._blobs.names(container, prefix):
            below = name[len(prefix) :]
            if prefix and below and not below.startswith("/"):
                continue
            target = place / below.lstrip("/") if below else place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._blobs.file(container, name), target)
        return _stamps(place)

    def keep(self, reference: Reference, place: Path, brought: Stamps) -> None:
        """Copy the files that are new or changed since they were brought to the datastore.

        Raises:
            Refusal: 404: there is no such datastore.
        """
        if reference.mode == "download":
            return
        container = self._datastores.container(reference.datastore)
        for file, stamp in _stamps(place).items():
            if brought.get(file) != stamp:
                below = "" if file == place else file.relative_to(place).as_posix()
                self._blobs.add_file(container, f"{reference.path}/{below}".strip("/"), file)


def references_of(configuration: Mapping[str, Any]) -> Sequence[Reference]:
    """Return the data references of a run configuration.

    Raises:
        Refusal: 400: one can't be read, or leads out of the job's folder.
    """
    return [_reference(name, about or {}) for name, about in (configuration.get("dataReferences") or {}).items()]


def _reference(name: str, about: Mapping[str, Any]) -> Reference:
    mode = str(about.get("mode") or "mount").lower()
    path = str(about.get("pathOnDataStore") or "").strip("/")
    on_compute = str(about.get("pathOnCompute") or "")
    if mode not in _MODES or not re.fullmatch(r"\w+", name):
        raise Refusal(400, f"The data reference {name!r} can't be had as {mode!r}: the modes are {_MODES}.")
    if on_compute.startswith("/") or ".." in on_compute.split("/") or ".." in path.split("/"):
        raise Refusal(400, f"The data reference {name!r} leads out of its folder: {on_compute or path!r}.")
    datastore = str(about.get("dataStoreName") or _DEFAULT_DATASTORE)
    return Reference(name=name, datastore=datastore, path=path, mode=mode, on_compute=on_compute)


def _stamps(place: Path) -> dict[Path, tuple[int, int]]:
    files = [place] if place.is_file() else [path for path in sorted(place.rglob("*")) if path.is_file()]
    stats = {file: file.stat() for file in files if not file.is_symlink()}
    return {file: (about.st_mtime_ns, about.st_size) for file, about in stats.items()}
