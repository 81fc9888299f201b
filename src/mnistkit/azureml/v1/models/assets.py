"""What the workspace keeps of models: its records, its files, and the files of runs."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from attrs import field, frozen

from mnistkit.azureml.v1._sdk import call, sdk
from mnistkit.errors import NotFoundError, RunNotFoundError, ServiceError
from mnistkit.utils.files import FileInfo

__all__ = [
    "RunFiles",
    "StoredModel",
    "asset_of_run",
    "create_model",
    "download",
    "locate",
    "remove_model",
    "run_files",
    "run_urls",
    "size_of",
    "stored_models",
    "upload",
]

_ASSET = "aml://asset/"
_CHUNK = 1 << 20
_BATCH = 50  # the most that the service takes at once
_PATIENCE = (30.0, 120.0)  # seconds to connect, and between two pieces
_FOLDER = "model"  # what the SDK's own download calls the folder


def _utc(value: datetime | None) -> datetime:
    if value is None:
        return datetime.fromtimestamp(0, timezone.utc)
    return value.astimezone(timezone.utc)


@frozen(kw_only=True)
class StoredModel:
    """What the workspace says of one version.

    Attributes:
        name: The model.
        version: Its number, given by the workspace.
        asset: Where its files are; ``aml://asset/<id>`` for those of this SDK.
        created_at: UTC.
        properties: Texts by key; none can be changed once it is there.
        tags: Texts by key, which anybody can change.
        description: Free text.
        run_id: The run that made it, if any.
    """

    name: str
    version: int
    asset: str
    created_at: datetime = field(converter=_utc)
    properties: Mapping[str, str]
    tags: Mapping[str, str]
    description: str
    run_id: str | None


@frozen
class RunFiles:
    """A run's files, where the workspace keeps them.

    Attributes:
        run_id: The run.
        experiment: Its group.
        container: What the workspace calls the place.
        files: As the run named them, sorted.
    """

    run_id: str
    experiment: str
    container: str
    files: tuple[str, ...]


def stored_models(workspace: Any, name: str | None = None) -> list[StoredModel]:
    """All versions of a model, or of all models, in the order of their numbers; one request a few hundred."""
    what = "listing models" if name is None else f"listing the versions of {name}"
    found = call(what, sdk("azureml.core").Model.list, workspace, name=name, expand=False)
    models = [_stored(each) for each in found if name is None or each.name == name]
    return sorted(models, key=lambda model: (model.name, model.version))


def create_model(
    workspace: Any,
    name: str,
    asset: str,
    *,
    properties: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
    description: str = "",
    run: RunFiles | None = None,
) -> StoredModel:
    """Have the workspace give the next number of ``name`` to files that it has: all or nothing, in one request."""
    client = sdk("azureml._restclient.models_client").ModelsClient(workspace.service_context)
    answer = call(
        f"registering {name}",
        client.register_model,
        name,
        tags=dict(tags or {}),
        properties=dict(properties),
        description=description,
        url=asset,
        datasets=[],
        run_id=run.run_id if run else None,
        experiment_name=run.experiment if run else None,
    )
    return _stored(sdk("azureml.core").Model(workspace, _model_dto=answer, expand=False))


def remove_model(workspace: Any, name: str, version: int) -> None:
    """Remove a version's record; nothing happens if it is gone."""
    client = sdk("azureml._restclient.models_client").ModelsClient(workspace.service_context)
    with contextlib.suppress(NotFoundError):
        call(f"deleting {name}:{version}", client.delete, f"{name}:{version}")


def upload(workspace: Any, name: str, files: Mapping[str, Path]) -> str:
    """Copy files, by relative POSIX path, to where the workspace keeps models; returns the asset."""
    client = sdk("azureml._restclient.artifacts_client").ArtifactsClient(workspace.service_context)
    container, paths = uuid.uuid4().hex, {f"{_FOLDER}/{file}": path for file, path in files.items()}

    def send() -> None:  # one by one: the SDK's queue for many waits a second at its end
        names = list(paths)
        for start in range(0, len(names), _BATCH):
            made = client.create_empty_artifacts("LocalUpload", container, names[start : start + _BATCH])
            for each, where in made.artifact_content_information.items():
                with paths[each].open("rb") as stream:
                    client.upload_stream_to_existing_artifact(stream, made.artifacts[each], where)

    call(f"uploading the files of {name}", send, seconds=_seconds_for(files.values()))
    return _asset(workspace, name, [f"LocalUpload/{container}/{_FOLDER}"], None)


def run_files(workspace: Any, run_id: str) -> RunFiles:
    """The files of a run.

    Raises:
        RunNotFoundError: The workspace has no such run.
    """

    def look() -> RunFiles:
        run = workspace.get_run(run_id)
        container = getattr(run, "_container", None) or f"dcid.{run_id}"
        return RunFiles(run_id, run.experiment.name, container, tuple(sorted(run.get_file_names())))

    try:
        return call(f"looking for run {run_id}", look)
    except NotFoundError as error:
        raise RunNotFoundError(f"No run {run_id!r} in the workspace {workspace.name}.") from error


def asset_of_run(workspace: Any, name: str, run: RunFiles, files: Sequence[str]) -> str:
    """An asset of some of a run's files, which stay where they are."""
    return _asset(workspace, name, [f"ExperimentRun/{run.container}/{file}" for file in files], run.run_id)


def locate(workspace: Any, asset: str) -> dict[str, str]:
    """A URL for each file of an asset, by relative POSIX path.

    Raises:
        ServiceError: The workspace can't tell.
    """
    if not asset.startswith(_ASSET):
        raise ServiceError(f"The files at {asset} were registered by another SDK, and this one can't read them.")
    context = workspace.service_context
    assets = sdk("azureml._restclient.assets_client").AssetsClient(context)
    artifacts = sdk("azureml._restclient.artifacts_client").ArtifactsClient(context)
    found: dict[str, str] = {}
    for each in call("looking up a model's files", assets.get_asset_by_id, asset.removeprefix(_ASSET)).artifacts:
        found |= _located(artifacts, each.prefix or each.id)
    return found


def run_urls(workspace: Any, run: RunFiles, files: Sequence[str]) -> dict[str, str]:
    """A URL for each of these files of a run."""
    client = sdk("azureml._restclient.artifacts_client").ArtifactsClient(workspace.service_context)
    return {
        file: call(f"looking up {file} of run {run.run_id}", client.get_file_uri, "ExperimentRun", run.container, file)
        for file in files
    }


def download(url: str, path: Path) -> FileInfo:
    """Copy what is at a URL into a new file, and return what was copied."""

    def receive() -> FileInfo:
        session = _session()
        digest, size = hashlib.sha256(), 0
        with session.get(url, stream=True, timeout=_PATIENCE) as answer, path.open("wb") as stream:
            answer.raise_for_status()
            for chunk in answer.iter_content(_CHUNK):
                stream.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        return FileInfo(size, digest.hexdigest())

    path.parent.mkdir(parents=True, exist_ok=True)
    return call(f"downloading {path.name}", receive, seconds=3600.0)


def size_of(url: str) -> int:
    """How many bytes there are at a URL, without reading them."""

    def ask() -> int:
        with _session().head(url, timeout=_PATIENCE) as answer:
            answer.raise_for_status()
            return int(answer.headers["Content-Length"])

    return call("looking at a file", ask)


def _session() -> Any:
    """Requests that are repeated when the service is busy, as it says, or a connection breaks."""
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


def _asset(workspace: Any, name: str, prefixes: Sequence[str], run_id: str | None) -> str:
    client = sdk("azureml._restclient.assets_client").AssetsClient(workspace.service_context)
    artifacts = [{"prefix": prefix} for prefix in prefixes]
    return f"{_ASSET}{call(f'registering {name}', client.create_asset, name, artifacts, None, run_id=run_id).id}"


def _located(client: Any, place: str) -> dict[str, str]:
    """What lies at a place: a folder's files by their path in it, a file by its name."""
    path = place.split("/", 2)[-1]
    found = {}
    for file, url in call("looking up a model's files", client.get_files_by_artifact_prefix_id, place):
        if file == path:
            found[posixpath.basename(file)] = url
        elif file.startswith(f"{path.rstrip('/')}/"):  # others only begin with the same letters
            found[file.removeprefix(f"{path.rstrip('/')}/")] = url
    return found


def _seconds_for(paths: Iterable[Path]) -> float:
    """How long an upload may take: at 1 MB a second, and five minutes at least."""
    return 300.0 + sum(path.stat().st_size for path in paths) / 2**20
