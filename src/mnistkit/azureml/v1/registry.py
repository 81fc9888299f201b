"""The models of a workspace, as a `ModelRegistry`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from mnistkit.azureml.v1.models import assets
from mnistkit.azureml.v1.models.assets import RunFiles, StoredModel
from mnistkit.azureml.v1.models.entries import MANIFEST, NONCE, Shelf, all_shelves, missing, read_stored, shelf_of
from mnistkit.azureml.v1.models.events import Event, Ledger, ledger_name, pack, write_event
from mnistkit.azureml.v1.models.transfer import find_sources, hash_remote, hash_sources, receive
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.errors import (
    ConflictError,
    IntegrityError,
    InvalidNameError,
    NotFoundError,
    RunNotFoundError,
    ServiceError,
    UsageError,
)
from mnistkit.jobs.provenance import current_user
from mnistkit.models.files import format_of
from mnistkit.registry.manifest import Manifest
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.signing import Signature
from mnistkit.registry.version import Assignment, ModelVersion
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo
from mnistkit.utils.names import check_name

__all__ = ["WorkspaceRegistry"]

_log = logging.getLogger(__name__)

_PATIENCE = 30.0  # seconds for what was registered to show up in a list


class WorkspaceRegistry(ModelRegistry):
    """The models of an Azure ML workspace.

    A version's manifest is kept in its properties, which nobody can change once they are there, and its files are
    compared with it on every `download`. Its files are the workspace's: those of a run that lives there are taken
    where they are (`register_from_run`), others are uploaded.

    What happened to a model is kept as versions of a second name beside it, ``NAME..history``: each assignment of an
    alias, deletion and signature is one, and the workspace numbers them. Don't delete them.

    Models that others registered, without mnistkit, can be listed, downloaded, loaded and given aliases. They are told
    apart by an empty ``digest``: nothing says what their files were. `get` reads these once to hash them, `versions`
    leaves ``files`` empty.

    What this relies on and the workspace doesn't promise: that it gives no number twice at one time, and that a list
    has what was registered before it was asked for. What can't be guaranteed: that nobody deletes versions or
    history behind this registry's back; that two names which differ only in case aren't registered at the same moment.
    A registration that was cut off and repeated leaves a number unused.

    Args:
        workspace: What `mnistkit.azureml.connect` returns, or a `Connection`; None to connect when needed, to what
            ``config.json`` names.
    """

    __slots__ = ("_connection", "_hashed")

    def __init__(self, workspace: Any = None) -> None:
        self._connection = Connection.of(workspace)
        self._hashed: dict[tuple[str, int, str], dict[str, FileInfo]] = {}

    @classmethod
    def from_home(
        cls,
        home: str | os.PathLike[str],
        *,
        config: str | None = None,
        workspace: Any = None,
        resource_group: str | None = None,
        subscription_id: str | None = None,
        credentials: str | None = None,
    ) -> WorkspaceRegistry:
        """The registry ``"workspace"`` of a configuration file; ``home`` isn't used: the workspace keeps all.

        Args:
            home: The folder for what is kept on this machine.
            config: As in `mnistkit.azureml.connect`.
            workspace: The name there; or what it returns.
            resource_group: As there.
            subscription_id: As there.
            credentials: As there.
        """
        del home
        if workspace is not None and not isinstance(workspace, str):
            return cls(workspace)
        return cls(
            Connection(
                config=config,
                name=workspace,
                resource_group=resource_group,
                subscription_id=subscription_id,
                credentials=credentials,
            )
        )

    def register(
        self,
        name: str,
        files: Path,
        *,
        format: str,  # noqa: A002 - the field's word for it
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        run_id: str | None = None,
    ) -> ModelVersion:
        """Upload the files below a folder and publish them as the next version; see `ModelRegistry.register`."""
        check_name(name, "model name")
        draft = Manifest(
            name=name, format=format, files={}, metrics=metrics, tags=tags, description=description, run_id=run_id
        )
        draft.to_bytes()
        sources = find_sources(Path(files))
        shelf = self._claimable(name)
        infos = hash_sources(sources)
        asset = assets.upload(self._workspace, name, sources)
        if hash_sources(sources) != infos:
            raise UsageError(f"The files in {files} changed while they were sent: nothing was registered. Try again.")
        return self._publish(evolve(draft, files=infos), asset, shelf)

    def register_from_run(
        self,
        name: str,
        run_id: str,
        files: Sequence[str],
        *,
        format: str | None = None,  # noqa: A002 - the field's word for it
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        copies: Path | None = None,
    ) -> ModelVersion:
        """Publish files of a run of this workspace as the next version, without a copy of them.

        Args:
            name: The model.
            run_id: The run.
            files: Some of its files, such as ``["outputs/model.skops"]``: the version has them by their own names.
            format: One of `mnistkit.registry.FORMATS`; None to tell from the first file.
            metrics: Finite numbers by name.
            tags: Free text by key.
            description: Free text.
            copies: A folder with verified copies of the files, by their own names, from which to tell what they are;
                None to read them in the workspace.

        Raises:
            RunNotFoundError: The workspace has no such run.
            NotFoundError: The run has no such file; lists the ones it has.
            UsageError: Two of the files have the same name; or as for `register`.
        """
        check_name(name, "model name")
        run = assets.run_files(self._workspace, run_id)
        by_name = _by_name(run, files)
        draft = Manifest(
            name=name,
            format=format or format_of(files[0]),
            files={},
            metrics=metrics,
            tags=tags,
            description=description,
            run_id=run_id,
        )
        draft.to_bytes()
        shelf = self._claimable(name)
        if copies is None:
            urls = assets.run_urls(self._workspace, run, files)
            infos = hash_remote({short: urls[file] for short, file in by_name.items()})
        else:
            infos = hash_sources({short: copies / short for short in by_name})
        asset = assets.asset_of_run(self._workspace, name, run, files)
        return self._publish(evolve(draft, files=infos), asset, shelf, run)

    def has_run(self, run_id: str) -> bool:
        """Whether the run lives in this workspace, so that `register_from_run` can take its files."""
        try:
            assets.run_files(self._workspace, run_id)
        except RunNotFoundError:
            return False
        return True

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """One version, or the newest; see `ModelRegistry.get`."""
        stored = self._live(self._shelf(name), version)
        found = read_stored(stored, self._place)
        return found if found.digest else self._with_files(stored, found)

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions, newest first; see `ModelRegistry.versions`."""
        check_name(name, "model name")
        shelf = self._shelf(name)
        found = []
        for number in shelf.live:
            try:
                found.append(read_stored(shelf.models[number], self._place))
            except IntegrityError as error:
                _log.warning("Left out of the versions of %s: %s", name, error)
        return tuple(found)

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers that aren't deleted, also of versions that can't be read; see `ModelRegistry.numbers`."""
        check_name(name, "model name")
        return tuple(self._shelf(name).live)

    def names(self) -> tuple[str, ...]:
        """The models that have versions and follow the naming rule; see `ModelRegistry.names`."""
        return tuple(name for name, shelf in all_shelves(self._workspace).items() if shelf.live)

    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy a version's files, verified; see `ModelRegistry.download`."""
        stored = self._live(self._shelf(model.name), model.version)
        kept = read_stored(stored, self._place)
        if kept.digest != model.digest:
            raise IntegrityError(
                f"{model.id} in {self._place} isn't the version that was asked for: the sha256 of its manifest is "
                f"{kept.digest or 'unknown'}, expected {model.digest or 'none'}."
            )
        urls = assets.locate(self._workspace, stored.asset)
        expected = kept.files if kept.digest else model.files or self._with_files(stored, kept).files
        receive(model.id, urls, expected, Path(into))
        return Path(into)

    def delete(self, name: str, version: int) -> None:
        """Forget a version, for ever; see `ModelRegistry.delete`. The files of a run stay with the run."""
        check_name(name, "model name")
        shelf = self._shelf(name)
        if not 1 <= version <= shelf.top:
            raise missing(self._workspace, shelf, version, self._place)
        if version in shelf.live:
            if holders := shelf.ledger.holders(version):
                raise _held(name, holders[0], version)
            event = Event(kind="deleted", version=version)
            ledger = self._record(name, event, shelf.models[version].asset)
            if event.nonce not in ledger.counted and version not in ledger.deleted:
                raise _held(name, ledger.holders(version)[0], version)
        assets.remove_model(self._workspace, name, version)

    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Point an alias to a version; see `ModelRegistry.assign`."""
        check_name(alias, "alias")
        check_name(name, "model name")
        shelf = self._shelf(name)
        self._live(shelf, version)
        if seen is not None and tuple(seen) != tuple(shelf.ledger.histories.get(alias, ())):
            raise _conflict(name, alias, seen)
        assignment = Assignment(alias=alias, version=version, assigned_at=utc_now(), reason=reason, by=current_user())
        after = None if seen is None else len(seen)
        event = Event(kind="assigned", version=version, assignment=assignment, after=after)
        ledger = self._record(name, event, shelf.models[version].asset)
        if event.nonce not in ledger.counted:
            self._live(self._shelf(name), version)
            raise _conflict(name, alias, seen or ())

    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Each alias with its history; see `ModelRegistry.aliases`."""
        check_name(name, "model name")
        histories = self._shelf(name).ledger.histories
        return {alias: tuple(history) for alias, history in sorted(histories.items())}

    def attach_signature(self, model: ModelVersion, signature: Signature) -> None:
        """Keep a signature; see `mnistkit.registry.KeepsSignatures`.

        Raises:
            UsageError: The model was registered without mnistkit: nothing pins its files.
        """
        stored = self._live(self._shelf(model.name), model.version)
        if not model.digest:
            raise UsageError(
                f"{model.id} was registered without mnistkit, so that nothing pins its files: download it, register "
                "it again, and sign that."
            )
        self._record(model.name, Event(kind="signed", version=model.version, signature=signature), stored.asset)

    def signatures(self, model: ModelVersion) -> tuple[Signature, ...]:
        """The signatures of a version; see `mnistkit.registry.KeepsSignatures`."""
        check_name(model.name, "model name")
        kept = self._shelf(model.name).ledger.signatures.get(model.version, {})
        return tuple(signature for _, signature in sorted(kept.items()))

    @property
    def _workspace(self) -> Any:
        return self._connection.workspace

    @property
    def _place(self) -> str:
        where = self._workspace
        return f"azureml://subscriptions/{where.subscription_id}/resourceGroups/{where.resource_group}/workspaces/{where.name}"

    def _shelf(self, name: str) -> Shelf:
        check_name(name, "model name")
        return shelf_of(self._workspace, name)

    def _claimable(self, name: str) -> Shelf:
        """What there is of a model that is to have another version."""
        shelf = self._shelf(name)
        if not shelf.top:
            for other in all_shelves(self._workspace):
                if other != name and other.lower() == name.lower():
                    raise InvalidNameError(f"{name!r} differs from the model {other!r} only in case: use that name.")
        return shelf

    def _live(self, shelf: Shelf, version: int | None) -> StoredModel:
        """The record of a version that is there: this one, or the newest if None."""
        number = max(shelf.live, default=0) if version is None else version
        if number not in shelf.live:
            raise missing(self._workspace, shelf, version, self._place)
        return shelf.models[number]

    def _with_files(self, stored: StoredModel, model: ModelVersion) -> ModelVersion:
        """A model that others registered, with what its files are now: read once, in this process."""
        key = (stored.name, stored.version, stored.asset)
        if key not in self._hashed:
            self._hashed[key] = hash_remote(assets.locate(self._workspace, stored.asset))
        files = self._hashed[key]
        kinds = {format_of(file) for file in files} - {"files"}
        return evolve(model, files=files, format=kinds.pop() if len(kinds) == 1 else "files")

    def _publish(self, manifest: Manifest, asset: str, shelf: Shelf, run: RunFiles | None = None) -> ModelVersion:
        """Register what was uploaded: once, also if the request has to be sent twice."""
        properties = {**pack(MANIFEST, manifest.to_bytes().decode()), NONCE: manifest.nonce}
        found: list[StoredModel] = []
        while not found:
            try:
                created = assets.create_model(
                    self._workspace,
                    manifest.name,
                    asset,
                    properties=properties,
                    tags=manifest.tags,
                    description=manifest.description,
                    run=run,
                )
            except ServiceError:
                found = self._sent(manifest, shelf)
                if not found:
                    raise
            else:
                found = [created] if created.version == shelf.top + 1 else self._sent(manifest, shelf)
        for other in found[1:]:  # the request was taken, its answer was lost, and it was sent again
            assets.remove_model(self._workspace, other.name, other.version)
        return read_stored(found[0], self._place)

    def _sent(self, manifest: Manifest, shelf: Shelf) -> list[StoredModel]:
        """What the workspace has of a registration, but for numbers that it gave before."""
        models = assets.stored_models(self._workspace, manifest.name)
        deleted = shelf.ledger.deleted
        return [m for m in models if m.properties.get(NONCE) == manifest.nonce and m.version not in deleted]

    def _record(self, name: str, event: Event, asset: str) -> Ledger:
        """Add an event to the history, and return what that amounts to with it."""
        properties, refusal = write_event(event), None
        try:
            assets.create_model(
                self._workspace, ledger_name(name), asset, properties=properties, description=str(event)
            )
        except ServiceError as error:  # it may have been taken
            refusal = error
        deadline = time.monotonic() + _PATIENCE
        while event.nonce not in (ledger := self._shelf(name).ledger).seen:
            if refusal is not None:
                raise refusal
            if time.monotonic() > deadline:
                raise ServiceError(f"What happened to {name} was registered, and doesn't show up. Look at it later.")
            time.sleep(0.5)
        return ledger


def _by_name(run: RunFiles, files: Sequence[str]) -> dict[str, str]:
    """The files of a run by the name that they have in a version."""
    if not files:
        raise UsageError(f"Name files of run {run.run_id} to register; it has {', '.join(run.files) or 'none'}.")
    for file in files:
        if file not in run.files:
            raise NotFoundError(f"Run {run.run_id} has no file {file!r}; it has {', '.join(run.files) or 'none'}.")
    by_name = {file.rpartition("/")[2]: file for file in files}
    if len(by_name) < len(files):
        raise UsageError(f"Of {', '.join(files)} two have the same name: register them one by one.")
    return by_name


def _held(name: str, alias: str, version: int) -> UsageError:
    return UsageError(f"{name}@{alias} is version {version}: assign {alias!r} to another version first.")


def _conflict(name: str, alias: str, seen: Sequence[Assignment]) -> ConflictError:
    return ConflictError(
        f"{name}@{alias} was assigned by someone else since this was decided, on a history of {len(seen)} "
        "assignments. Look at its history, then decide again."
    )
