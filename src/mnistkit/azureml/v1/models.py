"""The models of a workspace through the SDK v1: records, files, and the files of runs."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.models.store import ModelStore, RunFiles, StoredModel
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.errors import NotFoundError, RunNotFoundError, ServiceError
from mnistkit.utils.files import FileInfo

__all__ = ["WorkspaceModels"]

_ASSET_PREFIX = "aml://asset/"
_CHUNK_BYTES = 1 << 20
_MAX_BATCH = 50  # files that the service takes in one request
_CONNECT_AND_READ_SECONDS = (30.0, 120.0)
_DOWNLOAD_SECONDS = 3600.0
_FOLDER = "model"  # as the SDK's own download names the folder


class WorkspaceModels(ModelStore):
    """The models of one workspace.

    The SDK's own calls mix several requests and wait between them; these are its REST clients, one request each.

    Args:
        connection: To the workspace.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def place(self) -> str:
        """The workspace; see `ModelStore.place`."""
        where = self._workspace
        return (
            f"azureml://subscriptions/{where.subscription_id}/resourceGroups/{where.resource_group}"
            f"/workspaces/{where.name}"
        )

    @property
    def workspace_name(self) -> str:
        """The workspace's name."""
        name: str = self._workspace.name
        return name

    def list_models(self, name: str | None = None) -> list[StoredModel]:
        """Return all versions; see `ModelStore.list_models`. One request for a few hundred."""
        what = "listing models" if name is None else f"listing the versions of {name}"
        found = call(what, sdk("azureml.core").Model.list, self._workspace, name=name, expand=False)
        models = [_stored(each) for each in found if name is None or each.name == name]
        return sorted(models, key=lambda model: (model.name, model.version))

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
        """Register files as the next version; see `ModelStore.create`. The service gives the number."""
        answer = call(
            f"registering {name}",
            self._client("models_client", "ModelsClient").register_model,
            name,
            tags=dict(tags or {}),
            properties=dict(properties),
            description=description,
            url=asset,
            datasets=[],
            run_id=run.run_id if run else None,
            experiment_name=run.experiment if run else None,
        )
        return _stored(sdk("azureml.core").Model(self._workspace, _model_dto=answer, expand=False))

    def remove(self, name: str, version: int) -> None:
        """Remove a version's record; see `ModelStore.remove`."""
        with contextlib.suppress(NotFoundError):
            call(
                f"deleting {name}:{version}",
                self._client("models_client", "ModelsClient").delete,
                f"{name}:{version}",
            )

    def upload(self, name: str, files: Mapping[str, Path]) -> str:
        """Copy files to where the workspace keeps models; see `ModelStore.upload`."""
        client = self._client("artifacts_client", "ArtifactsClient")
        container, paths = uuid.uuid4().hex, {f"{_FOLDER}/{file}": path for file, path in files.items()}

        def send() -> None:  # one by one: the SDK's queue for many waits a second at its end
            names = list(paths)
            for start in range(0, len(names), _MAX_BATCH):
                made = client.create_empty_artifacts("LocalUpload", container, names[start : start + _MAX_BATCH])
                for each, where in made.artifact_content_information.items():
                    with paths[each].open("rb") as stream:
                        client.upload_stream_to_existing_artifact(stream, made.artifacts[each], where)

        call(f"uploading the files of {name}", send, seconds=_upload_seconds(files.values()))
        return self._create_asset(name, [f"LocalUpload/{container}/{_FOLDER}"], None)

    def run_files(self, run_id: str) -> RunFiles:
        """Return the files of a run; see `ModelStore.run_files`."""

        def look() -> RunFiles:
            run = self._workspace.get_run(run_id)
            container = getattr(run, "_container", None) or f"dcid.{run_id}"
            return RunFiles(run_id, run.experiment.name, container, tuple(sorted(run.get_file_names())))

        try:
            return call(f"getting run {run_id}", look)
        except NotFoundError as error:
            raise RunNotFoundError(f"No run {run_id!r} in the workspace {self.workspace_name}.") from error

    def asset_of_run(self, name: str, run: RunFiles, files: Sequence[str]) -> str:
        """Return an asset of some of a run's files; see `ModelStore.asset_of_run`."""
        return self._create_asset(name, [f"ExperimentRun/{run.container}/{file}" for file in files], run.run_id)

    def asset_of_event(self, name: str, asset: str, text: str) -> str:  # noqa: ARG002 - the service numbers versions
        """Return the asset itself; see `ModelStore.asset_of_event`."""
        return asset

    def locate(self, asset: str) -> dict[str, str]:
        """Return a URL for each file of an asset; see `ModelStore.locate`."""
        if not asset.startswith(_ASSET_PREFIX):
            raise ServiceError(f"The files at {asset} were registered by another SDK, and this one can't read them.")
        get = self._client("assets_client", "AssetsClient").get_asset_by_id
        record = call("looking up a model's files", get, asset.removeprefix(_ASSET_PREFIX))
        artifacts = self._client("artifacts_client", "ArtifactsClient")
        found: dict[str, str] = {}
        for each in record.artifacts:
            found |= _located(artifacts, each.prefix or each.id)
        return found

    def locate_in_run(self, run: RunFiles, files: Sequence[str]) -> dict[str, str]:
        """Return a URL for each of these files of a run; see `ModelStore.locate_in_run`."""
        uri = self._client("artifacts_client", "ArtifactsClient").get_file_uri
        return {
            file: call(f"looking up {file} of run {run.run_id}", uri, "ExperimentRun", run.container, file)
            for file in files
        }

    def download(self, location: str, path: Path) -> FileInfo:
        """Copy what is at a URL into a new file; see `ModelStore.download`."""

        def receive() -> FileInfo:
            session = _session()
            digest, size = hashlib.sha256(), 0
            with (
                session.get(location, stream=True, timeout=_CONNECT_AND_READ_SECONDS) as answer,
                path.open("wb") as stream,
            ):
                answer.raise_for_status()
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    stream.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            return FileInfo(size, digest.hexdigest())

        path.parent.mkdir(parents=True, exist_ok=True)
        return call(f"downloading {path.name}", receive, seconds=_DOWNLOAD_SECONDS)

    def size(self, location: str) -> int:
        """Return the number of bytes at a URL; see `ModelStore.size`."""

        def look() -> int:
            with _session().head(location, timeout=_CONNECT_AND_READ_SECONDS) as answer:
                answer.raise_for_status()
                return int(answer.headers["Content-Length"])

        return call("getting the size of a file", look)

    @property
    def _workspace(self) -> Any:
        return self._connection.workspace

    def _client(self, module: str, name: str) -> Any:
        return getattr(sdk(f"azureml._restclient.{module}"), name)(self._workspace.service_context)

    def _create_asset(self, name: str, prefixes: Sequence[str], run_id: str | None) -> str:
        create = self._client("assets_client", "AssetsClient").create_asset
        artifacts = [{"prefix": prefix} for prefix in prefixes]
        return f"{_ASSET_PREFIX}{call(f'registering {name}', create, name, artifacts, None, run_id=run_id).id}"


def _session() -> Any:
    """Return a session that repeats requests when the service is busy, as it says, or a connection breaks."""
    requests, retry = sdk("requests"), sdk("urllib3.util.retry").Retry
    session = requests.Session()
    policy = retry(total=4, backoff_factor=0.5, status_forcelist=(408, 429, 500, 502, 503, 504), raise_on_status=False)
    session.mount("https://", requests.adapters.HTTPAdapter(max_retries=policy))
    return session


def _stored(model: Any) -> StoredModel:
    return StoredModel(
        name=model.name,
        version=int(model.version),
        asset=model.url or "",
        created_at=model.created_time,
        properties=dict(model.properties or {}),
        tags=dict(model.tags or {}),
        description=model.description or "",
        run_id=model.run_id,
    )


def _located(client: Any, place: str) -> dict[str, str]:
    """Return the URLs at a place: a folder's files by their path in it, a file by its name."""
    path = place.split("/", 2)[-1]
    found = {}
    for file, url in call("looking up a model's files", client.get_files_by_artifact_prefix_id, place):
        if file == path:
            found[posixpath.basename(file)] = url
        elif file.startswith(f"{path.rstrip('/')}/"):  # others only begin with the same letters
            found[file.removeprefix(f"{path.rstrip('/')}/")] = url
    return found


def _upload_seconds(paths: Iterable[Path]) -> float:
    """Return the deadline of an upload: 1 MB a second, and five minutes at least."""
    return 300.0 + sum(path.stat().st_size for path in paths) / 2**20
