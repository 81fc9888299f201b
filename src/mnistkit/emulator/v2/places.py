"""Files by URI: of datastores, jobs, assets, and of public containers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.artifacts import CONTAINER, ORIGIN, container_of
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.services.opendatasets import OpenDatasets
from mnistkit.emulator.settings import Settings, folder_file
from mnistkit.emulator.workspace import Workspace

__all__ = ["ARTIFACT_STORE", "Place", "Places"]

ARTIFACT_STORE = "workspaceartifactstore"
_DATASTORE_PATTERN = re.compile(r"azureml:/+(?:subscriptions/.+?/)?datastores/([^/]+)/(?:paths/)?(.+)", re.IGNORECASE)
_JOB_PATTERN = re.compile(
    r"(?:azureml:/+jobs/([^/]+)/outputs/([^/]+)(?:/paths)?|runs:/+([^/]+))(?:/(.*))?", re.IGNORECASE
)
_ASSET_PATTERN = re.compile(r"(?:azureml:/*|/)?(?:.+/)?(data|models|codes)/([^/]+)/versions/([^/]+)", re.IGNORECASE)
_SHORT_PATTERN = re.compile(r"azureml:([^/:]+):([^/:]+)")
_WASB_PATTERN = re.compile(r"wasbs?://([^@/]+)@([^/]+)(/.*)?")
_ARTIFACT_OUTPUTS = frozenset({"artifacts", "default"})


@frozen
class Place:
    """A blob, or all blobs below a path.

    Attributes:
        container: Of the workspace's storage account.
        path: In it, without a slash at either end; empty for all of it.
    """

    container: str
    path: str


class Places:
    """Finds the files that a URI names.

    Attributes:
        asset_uri: Returns the URI of a version of ``data``, ``models`` or ``codes``, by kind, name and version.
        output_uri: Returns the URI of a named output of a job.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        datastores: Datastores,
        blobs: Blobs,
        opendatasets: OpenDatasets,
        settings: Settings,
    ) -> None:
        self._workspace, self._datastores, self._blobs = workspace, datastores, blobs
        self._opendatasets, self._settings = opendatasets, settings
        self.asset_uri: Callable[[str, str, str], str] = _no_asset
        self.output_uri: Callable[[str, str], str] = _no_asset

    def place(self, uri: str) -> Place | None:
        """Return the place that a URI names; None if it isn't in the workspace's storage account.

        Raises:
            Refusal: 400: it can't be read; 404: what it refers to isn't there.
        """
        if found := _DATASTORE_PATTERN.fullmatch(uri):
            return Place(self.container(found[1]), unquote(found[2]).strip("/"))
        if found := _JOB_PATTERN.fullmatch(uri):
            return self._job_place(found[1] or found[3], found[2] or "artifacts", found[4] or "")
        if found := _SHORT_PATTERN.fullmatch(uri):
            return self.place(self.asset_uri("data", found[1], found[2]))
        if uri.startswith(("https://", "http://", "wasb")):
            host, container, path = _split_url(uri)
            return Place(container, path) if host == self._workspace.blob_host else None
        if found := _ASSET_PATTERN.fullmatch(uri):
            return self.place(self.asset_uri(found[1].lower(), found[2], found[3]))
        if uri.startswith("azureml://registries/"):
            raise NotEmulated("services", f"Registries aren't emulated: {uri!r} can't be read.")
        raise Refusal(400, f"{uri!r} isn't a URI that the emulator can read.")

    def container(self, datastore: str) -> str:
        """Return the container of a datastore.

        Raises:
            Refusal: 404: there is no such datastore.
        """
        return CONTAINER if datastore.lower() == ARTIFACT_STORE else self._datastores.container(datastore)

    def uri(self, datastore: str, path: str) -> str:
        """Return the long URI of a path in a datastore."""
        mine = self._workspace
        where = f"subscriptions/{mine.subscription_id}/resourcegroups/{mine.resource_group}/workspaces/{mine.name}"
        return f"azureml://{where}/datastores/{datastore}/paths/{path}"

    def datastore_uri(self, uri: str) -> str:
        """Return a URI as the long one of a datastore's path; as it is, if it is in no datastore of the workspace.

        Raises:
            Refusal: As `place`.
        """
        place = self.place(uri)
        if place is None:
            return uri
        slash = "/" if uri.endswith("/") else ""
        if found := _DATASTORE_PATTERN.fullmatch(uri):
            return self.uri(found[1], f"{place.path}{slash}")
        stores = {self.container(name): name for name in (*self._datastores.names(), ARTIFACT_STORE)}
        return self.uri(stores[place.container], f"{place.path}{slash}") if place.container in stores else uri

    def files(self, uri: str) -> dict[str, Path]:
        """Return the files below a URI by their paths in it; of a single file, that by an empty path.

        Raises:
            Refusal: As `place`; 404: there is none.
        """
        place = self.place(uri)
        if place is None:
            found = self._public_files(self._resolved(uri))
        else:
            found = {}
            for name in self._blobs.names(place.container, place.path):
                if name == place.path:
                    found[""] = self._blobs.file(place.container, name)
                elif not place.path or name.startswith(f"{place.path}/"):
                    found[name[len(place.path) :].lstrip("/")] = self._blobs.file(place.container, name)
            found = {"": found[""]} if "" in found else found
        if not found:
            raise Refusal(404, f"There are no files at {uri!r}.", code="NotFound")
        return found

    def copy(self, uri: str, folder: Path) -> Path:
        """Copy what a URI names below a folder; return the folder, or the file if the URI names one.

        Raises:
            Refusal: As `files`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for path, file in self.files(uri).items():
            if not path:
                found = self._resolved(uri).partition("?")[0].rstrip("/").rpartition("/")[2]
                # of a URL it stays encoded, so that no command line breaks at its blanks
                name = found if self._resolved(uri).startswith("http") else unquote(found)
                return Path(shutil.copyfile(file, folder / name))
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        return folder

    def _job_place(self, run_id: str, output: str, path: str) -> Place:
        path = unquote(path).strip("/")
        if output in _ARTIFACT_OUTPUTS:
            return Place(CONTAINER, f"{ORIGIN}/{container_of(run_id)}/{path}".rstrip("/"))
        base = self.place(self.output_uri(run_id, output))
        if base is None:
            raise Refusal(400, f"The output {output!r} of {run_id!r} isn't in the workspace's storage.")
        return Place(base.container, f"{base.path}/{path}".strip("/"))

    def _resolved(self, uri: str) -> str:
        """Return the URI that an asset's version stands for; any other URI as it is."""
        if found := _SHORT_PATTERN.fullmatch(uri):
            return self._resolved(self.asset_uri("data", found[1], found[2]))
        if "://" not in uri and (found := _ASSET_PATTERN.fullmatch(uri)):
            return self._resolved(self.asset_uri(found[1].lower(), found[2], found[3]))
        if uri.startswith("azureml://locations/") and (found := _ASSET_PATTERN.fullmatch(uri)):
            return self._resolved(self.asset_uri(found[1].lower(), found[2], found[3]))
        return uri

    def _public_files(self, uri: str) -> dict[str, Path]:
        """Return the files of a container or host that folders, or the synthetic digits, stand in for."""
        host, container, path = _split_url(uri)
        if self._opendatasets.covers(host, container):
            return _below(self._opendatasets.files(), path)
        place = f"{host.partition('.')[0]}/{container}"
        folder = self._settings.blobs.get(place)
        if folder is not None:
            return _below(_folder_files(folder), path)
        whole = f"{container}/{path}".strip("/")
        for web, web_folder in self._settings.web.items():
            web_host, _, web_path = web.partition("/")
            if web_host == host and whole.startswith(web_path):
                return _below(_folder_files(web_folder), whole[len(web_path) :].strip("/"))
        option = f"--blob {place}=FOLDER" if ".blob." in host else f"--web {host}=FOLDER"
        raise NotEmulated("data", f"This emulator has no data of {uri!r}: {option} serves a folder in its place.")


def _no_asset(*names: str) -> str:
    raise Refusal(404, f"There is no {' '.join(names)}.", code="NotFound")


def _split_url(uri: str) -> tuple[str, str, str]:
    """Return the host, the container and the path of a blob's URL."""
    if found := _WASB_PATTERN.fullmatch(uri):
        return found[2].lower(), found[1], unquote(found[3] or "").strip("/")
    parts = urlsplit(uri)
    container, _, path = unquote(parts.path).strip("/").partition("/")
    return (parts.hostname or "").lower(), container, path.strip("/")


def _folder_files(folder: Path) -> dict[str, Path]:
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]
    found = {name: folder_file(folder, name) for name in names}
    return {name: file for name, file in found.items() if file is not None}


def _below(files: Mapping[str, Path], path: str) -> dict[str, Path]:
    if path in files:
        return {"": files[path]}
    start = f"{path}/" if path else ""
    return {name[len(start) :]: file for name, file in files.items() if name.startswith(start)}
