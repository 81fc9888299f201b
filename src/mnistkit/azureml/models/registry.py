"""The models of a workspace as a `ModelRegistry`, over the store of either SDK."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve

from mnistkit.azureml.models.entries import ModelEntry, list_entries, missing_error, read_entry, read_stored
from mnistkit.azureml.models.publishing import publish, record_event
from mnistkit.azureml.models.store import ModelStore, RunFiles, StoredModel
from mnistkit.azureml.models.transfer import hash_remote, hash_sources, receive
from mnistkit.errors import (
    ConflictError,
    IntegrityError,
    InvalidNameError,
    NotFoundError,
    RunNotFoundError,
    UsageError,
)
from mnistkit.jobs.provenance import current_user
from mnistkit.models.files import format_of
from mnistkit.registry.events import Event
from mnistkit.registry.files import find_sources
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.manifest import Manifest
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.signing import Signature
from mnistkit.registry.version import Assignment, ModelVersion, check_alias
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo
from mnistkit.utils.names import check_name

__all__ = ["StoredRegistry"]

_log = logging.getLogger(__name__)


class StoredRegistry(ModelRegistry):
    """The models of an Azure ML workspace.

    A version's manifest is kept in its properties, which nobody can change once they are there, and its files are
    compared with it on every `download`. Its files are the workspace's: those of a run that lives there are taken
    where they are (`register_from_run`), others are uploaded.

    The history of a model is kept as versions of a second name beside it, ``NAME..history``: each assignment of an
    alias, deletion and signature is one, and the workspace numbers them. Don't delete them.

    Models that were registered without mnistkit can be listed, downloaded, loaded and given aliases. They have an empty
    ``digest``: nothing pins their files. `get` reads these once to hash them, `versions`
    leaves ``files`` empty.

    What this relies on and the workspace doesn't promise: that it gives no number twice at one time, and that a list
    includes what was registered before the request. What can't be guaranteed: that nobody deletes versions or
    history behind this registry's back; that two names which differ only in case aren't registered at the same moment.
    A registration that was cut off and repeated leaves a number unused.

    Args:
        store: The models of the workspace.
    """

    __slots__ = ("_hashed", "_store")

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._hashed: dict[tuple[str, int, str], dict[str, FileInfo]] = {}

    def register(self, name: str, files: Path, info: ModelInfo) -> ModelVersion:
        """Upload the files below a folder and publish them as the next version; see `ModelRegistry.register`."""
        check_name(name, "model name")
        draft = Manifest.of(name, info, files={})
        sources = find_sources(Path(files))
        entry = self._claimable(name)
        infos = hash_sources(sources)
        asset = self._store.upload(name, sources)
        if hash_sources(sources) != infos:
            raise UsageError(f"The files in {files} changed while they were sent: nothing was registered. Try again.")
        return publish(self._store, evolve(draft, files=infos), asset, entry)

    def register_from_run(
        self, name: str, files: Sequence[str], info: ModelInfo, *, copies: Path | None = None
    ) -> ModelVersion:
        """Publish files of a run of this workspace as the next version; see `mnistkit.registry.SupportsRunFiles`."""
        check_name(name, "model name")
        draft = Manifest.of(name, info, files={})
        if info.run_id is None:
            raise UsageError("info names no run: use ModelInfo(..., run_id=...), or `register` for files of a folder.")
        run = self._store.run_files(info.run_id)
        by_name = _by_name(run, files)
        entry = self._claimable(name)
        if copies is None:
            locations = self._store.locate_in_run(run, files)
            infos = hash_remote(self._store, {short: locations[file] for short, file in by_name.items()})
        else:
            infos = hash_sources({short: copies / short for short in by_name})
        asset = self._store.asset_of_run(name, run, files)
        return publish(self._store, evolve(draft, files=infos), asset, entry, run)

    def has_run(self, run_id: str) -> bool:
        """Return True if the run is in this workspace, so that `register_from_run` can take its files."""
        try:
            self._store.run_files(run_id)
        except RunNotFoundError:
            return False
        return True

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Return one version, or the newest; see `ModelRegistry.get`."""
        stored = self._live(self._entry(name), version)
        found = read_stored(stored, self._store.place)
        return found if found.digest else self._with_files(stored, found)

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return all versions, newest first; see `ModelRegistry.versions`."""
        check_name(name, "model name")
        entry = self._entry(name)
        found = []
        for number in entry.live:
            try:
                found.append(read_stored(entry.models[number], self._store.place))
            except IntegrityError as error:
                _log.warning("Left out of the versions of %s: %s", name, error)
        return tuple(found)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the numbers that aren't deleted, also of unreadable ones; see `mnistkit.registry.SupportsNumbers`."""
        check_name(name, "model name")
        return tuple(self._entry(name).live)

    def names(self) -> tuple[str, ...]:
        """Return the models that have versions and follow the naming rule; see `ModelRegistry.names`."""
        return tuple(name for name, entry in list_entries(self._store).items() if entry.live)

    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy a version's files, verified; see `ModelRegistry.download`."""
        stored = self._live(self._entry(model.name), model.version)
        kept = read_stored(stored, self._store.place)
        if kept.digest != model.digest:
            raise IntegrityError(
                f"{model.id} in {self._store.place} isn't the version given: the sha256 of its manifest is "
                f"{kept.digest or 'unknown'}, expected {model.digest or 'none'}."
            )
        locations = self._store.locate(stored.asset)
        expected = kept.files if kept.digest else model.files or self._with_files(stored, kept).files
        receive(self._store, model.id, locations, expected, Path(into))
        return Path(into)

    def delete(self, name: str, version: int) -> None:
        """Delete a version permanently; see `ModelRegistry.delete`. The files of a run stay with the run."""
        check_name(name, "model name")
        entry = self._entry(name)
        if not 1 <= version <= entry.highest:
            raise missing_error(self._store, entry, version)
        if version in entry.live:
            if holders := entry.log.holders(version):
                raise _held(name, holders[0], version)
            event = Event(kind="deleted", version=version)
            log = record_event(self._store, name, event, entry.models[version].asset)
            if event.nonce not in log.counted and version not in log.deleted:
                raise _held(name, log.holders(version)[0], version)
        self._store.remove(name, version)

    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Point an alias to a version; see `ModelRegistry.assign`."""
        check_alias(alias)
        check_name(name, "model name")
        entry = self._entry(name)
        self._live(entry, version)
        if seen is not None and tuple(seen) != tuple(entry.log.histories.get(alias, ())):
            raise _conflict(name, alias, seen)
        assignment = Assignment(alias=alias, version=version, assigned_at=utc_now(), reason=reason, by=current_user())
        after = None if seen is None else len(seen)
        event = Event(kind="assigned", version=version, assignment=assignment, after=after)
        log = record_event(self._store, name, event, entry.models[version].asset)
        if event.nonce not in log.counted:
            self._live(self._entry(name), version)
            raise _conflict(name, alias, seen or ())

    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Return each alias with its history; see `ModelRegistry.aliases`."""
        check_name(name, "model name")
        histories = self._entry(name).log.histories
        return {alias: tuple(history) for alias, history in sorted(histories.items())}

    def attach_signature(self, model: ModelVersion, signature: Signature) -> None:
        """Keep a signature; see `mnistkit.registry.SupportsSignatures`.

        Raises:
            UsageError: The model was registered without mnistkit: nothing pins its files.
        """
        stored = self._live(self._entry(model.name), model.version)
        if not model.digest:
            raise UsageError(
                f"{model.id} was registered without mnistkit, so that nothing pins its files: download it, register "
                "it again, and sign that."
            )
        event = Event(kind="signed", version=model.version, signature=signature)
        record_event(self._store, model.name, event, stored.asset)

    def signatures(self, model: ModelVersion) -> tuple[Signature, ...]:
        """Return the signatures of a version; see `mnistkit.registry.SupportsSignatures`."""
        check_name(model.name, "model name")
        kept = self._entry(model.name).log.signatures.get(model.version, {})
        return tuple(signature for _, signature in sorted(kept.items()))

    def _entry(self, name: str) -> ModelEntry:
        check_name(name, "model name")
        return read_entry(self._store, name)

    def _claimable(self, name: str) -> ModelEntry:
        """Return the entry of a model that is to get another version."""
        entry = self._entry(name)
        if not entry.highest:
            for other in list_entries(self._store):
                if other != name and other.lower() == name.lower():
                    raise InvalidNameError(f"{name!r} differs from the model {other!r} only in case: use that name.")
        return entry

    def _live(self, entry: ModelEntry, version: int | None) -> StoredModel:
        """Return the record of a version that isn't deleted: this one, or the newest if None."""
        number = max(entry.live, default=0) if version is None else version
        if number not in entry.live:
            raise missing_error(self._store, entry, version)
        return entry.models[number]

    def _with_files(self, stored: StoredModel, model: ModelVersion) -> ModelVersion:
        """Return a version that was registered without mnistkit with its present files: read once in this process."""
        key = (stored.name, stored.version, stored.asset)
        if key not in self._hashed:
            self._hashed[key] = hash_remote(self._store, self._store.locate(stored.asset))
        files = self._hashed[key]
        kinds = {format_of(file) for file in files} - {"files"}
        return evolve(model, files=files, format=kinds.pop() if len(kinds) == 1 else "files")


def _by_name(run: RunFiles, files: Sequence[str]) -> dict[str, str]:
    """Return the files of a run by their names in a version."""
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
