"""The models of a workspace through the SDK v2: records, files, and the files of runs."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.models.store import ModelStore, RunFiles, StoredModel
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.storage import ARTIFACTS, Place, Storage, parse_place
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.errors import ConflictError, NotFoundError, RunNotFoundError, ServiceError
from mnistkit.utils.files import FileInfo

__all__ = ["WorkspaceModels"]

_FOLDER = "mnistkit/models"
_MAX_NUMBERS = 100  # that other clients may take meanwhile
_MAX_REQUESTS = 8
_log = logging.getLogger(__name__)


class WorkspaceModels(ModelStore):
    """The models of one workspace.

    Here the client chooses a version's number. A number is claimed by the request that creates it: the service refuses
    to give an existing version another path, and every path is new. Archived versions keep their numbers.

    Args:
        connection: To the workspace.
    """

    __slots__ = ("_connection", "_storage")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._storage = Storage(connection)

    @property
    def place(self) -> str:
        """The workspace; see `ModelStore.place`."""
        client = self._connection.client
        return (
            f"azureml://subscriptions/{client.subscription_id}/resourceGroups/{client.resource_group_name}"
            f"/workspaces/{client.workspace_name}"
        )

    @property
    def workspace_name(self) -> str:
        """The workspace's name."""
        return str(self._connection.client.workspace_name)

    def list_models(self, name: str | None = None) -> list[StoredModel]:
        """Return all versions that aren't archived; see `ModelStore.list_models`. One request for each model."""
        if name is not None:
            return self._versions(name)
        models = self._connection.client.models
        names = call("listing models", lambda: sorted({each.name for each in models.list()}))
        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            return [version for versions in pool.map(self._versions, names) for version in versions]

    def create(
        self,
        name: str,
        asset: str,
        *,
        properties: Mapping[str, str],
        tags: Mapping[str, str] | None = None,
        description: str = "",
        run: RunFiles | None = None,
    ) -> StoredModel:
        """Register files as the next version; see `ModelStore.create`."""
        entity = sdk("azure.ai.ml.entities").Model
        first = max((model.version for model in self._versions(name)), default=0) + 1
        for number in range(first, first + _MAX_NUMBERS):
            model = entity(
                name=name,
                version=str(number),
                path=asset,
                properties=dict(properties),
                tags=dict(tags or {}),
                description=description,
                job_name=run.run_id if run else None,
            )
            stored = self._claim(name, number, model)
            if stored is not None:
                return stored
        raise ServiceError(f"{_MAX_NUMBERS} numbers of {name} were taken while it was registered: try again.")

    def remove(self, name: str, version: int) -> None:
        """Archive a version: Azure ML deletes none that the SDK v2 registered; see `ModelStore.remove`."""
        with contextlib.suppress(NotFoundError):
            call(f"archiving {name}:{version}", self._connection.client.models.archive, name=name, version=str(version))

    def upload(self, name: str, files: Mapping[str, Path]) -> str:
        """Copy files to the default datastore; see `ModelStore.upload`."""
        folder = Place(self._storage.default(), f"{_FOLDER}/{name}/{uuid.uuid4().hex}")
        for file, path in files.items():
            self._storage.upload(Place(folder.datastore, f"{folder.path}/{file}"), path)
        return folder.uri

    def run_files(self, run_id: str) -> RunFiles:
        """Return the files of a run; see `ModelStore.run_files`."""
        try:
            job = call(f"getting run {run_id}", self._connection.client.jobs.get, run_id)
        except NotFoundError as error:
            raise RunNotFoundError(f"No run {run_id!r} in the workspace {self.workspace_name}.") from error
        container = f"dcid.{run_id}"
        files = self._storage.files(Place(ARTIFACTS, f"ExperimentRun/{container}"))
        return RunFiles(run_id, job.experiment_name or "", container, tuple(sorted(files)))

    def asset_of_run(self, name: str, run: RunFiles, files: Sequence[str]) -> str:
        """Return an asset with copies of a run's files; see `ModelStore.asset_of_run`.

        A model of the SDK v2 has one path, and the files that make a version need not have a folder of their own.
        """
        with TemporaryDirectory(prefix="mnistkit-") as folder:
            copies = {file.rpartition("/")[2]: Path(folder, str(number)) for number, file in enumerate(files)}
            for location, path in zip(self.locate_in_run(run, files).values(), copies.values(), strict=True):
                self.download(location, path)
            return self.upload(name, copies)

    def asset_of_event(self, name: str, asset: str, text: str) -> str:  # noqa: ARG002 - the event needs no files
        """Return an asset that is the event's alone, which claims its number; see `ModelStore.asset_of_event`."""
        with TemporaryDirectory(prefix="mnistkit-") as folder:
            path = Path(folder, "event")
            path.write_text(text, encoding="utf-8")
            return self.upload(name, {"event.txt": path})

    def locate(self, asset: str) -> dict[str, str]:
        """Return the URI of each file of an asset; see `ModelStore.locate`."""
        return {file: place.uri for file, place in self._storage.files(parse_place(asset)).items()}

    def locate_in_run(self, run: RunFiles, files: Sequence[str]) -> dict[str, str]:
        """Return the URI of each of these files of a run; see `ModelStore.locate_in_run`."""
        return {file: Place(ARTIFACTS, f"ExperimentRun/{run.container}/{file}").uri for file in files}

    def download(self, location: str, path: Path) -> FileInfo:
        """Copy the file of a URI into a new one; see `ModelStore.download`."""
        return self._storage.download(parse_place(location), path)

    def size(self, location: str) -> int:
        """Return the number of bytes of the file of a URI; see `ModelStore.size`."""
        return self._storage.size(parse_place(location))

    def _versions(self, name: str) -> list[StoredModel]:
        models = self._connection.client.models
        try:
            found = call(f"listing the versions of {name}", lambda: list(models.list(name=name)))
        except NotFoundError:
            return []
        stored = [_stored(each) for each in found if each.name == name and _has_number(each)]  # case counts for us
        return sorted(stored, key=lambda model: model.version)

    def _claim(self, name: str, number: int, model: Any) -> StoredModel | None:
        """Register a version under a number; return None if the number is taken."""
        models = self._connection.client.models
        with contextlib.suppress(NotFoundError):  # the request below would change description and tags of this one
            call(f"looking for {name}:{number}", models.get, name=name, version=str(number))
            return None
        try:
            call(f"registering {name}:{number}", models.create_or_update, model)
        except ConflictError:
            return None
        stored = _stored(call(f"reading {name}:{number}", models.get, name=name, version=str(number)))
        return stored if model.properties.items() <= stored.properties.items() else None


def _has_number(model: Any) -> bool:
    if str(model.version).isdecimal():
        return True
    _log.warning("Left out of the versions of %s: %r isn't a number.", model.name, model.version)
    return False


def _stored(model: Any) -> StoredModel:
    context = model.creation_context
    return StoredModel(
        name=model.name,
        version=int(model.version),
        asset=model.path or "",
        created_at=context.created_at if context else None,
        properties=dict(model.properties or {}),
        tags=dict(model.tags or {}),
        description=model.description or "",
        run_id=model.job_name,
    )
