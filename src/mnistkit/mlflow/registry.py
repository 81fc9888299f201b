"""The models of an MLflow registry as a `ModelRegistry`: each version is an MLflow model."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import evolve

from mnistkit.errors import ConflictError, IntegrityError, MnistkitError, UsageError
from mnistkit.jobs.provenance import current_user
from mnistkit.mlflow._sdk import calls, client, delete_artifacts, retried, turn
from mnistkit.mlflow.address import REGISTRY_VARIABLE, TRACKING_VARIABLE, Address
from mnistkit.mlflow.artifacts import copied, hashed, place_verified, received
from mnistkit.mlflow.entries import DIGEST_TAG, ModelEntry, list_names, missing_error, read_entry, read_model
from mnistkit.mlflow.publishing import ensure_name, follow_alias, publish, record_event
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

__all__ = ["MlflowRegistry"]

_log = logging.getLogger(__name__)


class MlflowRegistry(ModelRegistry):
    """The models of an MLflow registry, on a server or in a database file. Needs the extra ``mlflow``.

    Each version is an MLflow model that MLflow's own functions load and serve: ``models:/NAME/1``,
    ``models:/NAME@champion``. Our files and their manifest are in it, and `download` compares them as in any registry;
    MLflow's own loading doesn't.

    The history of a model is kept as versions of a second name beside it, ``NAME..history``: each assignment of an
    alias, deletion and signature is one, as MLflow keeps no history and can't compare before it sets. Don't delete
    them. MLflow's own alias follows each assignment, except for names that MLflow forbids; one that is moved with
    MLflow is moved there alone.

    Models that were registered without mnistkit can be listed, downloaded, loaded and given aliases. They have an empty
    ``digest``: nothing pins their files. `get` reads these once to hash them, `versions` leaves ``files`` empty.

    Args:
        uri: ``sqlite:///FILE``, made with the first registration, or ``http(s)://SERVER``. MLflow reads user and
            password, or a token, from ``MLFLOW_TRACKING_USERNAME``, ``MLFLOW_TRACKING_PASSWORD`` and
            ``MLFLOW_TRACKING_TOKEN``.

    Raises:
        UsageError: The uri is neither.
        MissingExtraError: MLflow isn't installed, from any method that needs it.
    """

    __slots__ = ("_address", "_hashed")

    def __init__(self, uri: str) -> None:
        self._address = Address.parse(uri)
        self._hashed: dict[tuple[str, int, str], dict[str, FileInfo]] = {}

    def __repr__(self) -> str:
        return f"MlflowRegistry({self._address.shown!r})"

    @classmethod
    def from_home(cls, home: str | os.PathLike[str], *, uri: str | None = None) -> MlflowRegistry:
        """Return the registry at ``uri``.

        Args:
            home: The folder for runs and models.
            uri: As in the class; None for ``MLFLOW_REGISTRY_URI``, else ``MLFLOW_TRACKING_URI``, else the file
                ``mlflow/mlflow.db`` in ``home``.
        """
        return cls(Address.of_home(Path(home), uri, REGISTRY_VARIABLE, TRACKING_VARIABLE).uri)

    def register(self, name: str, files: Path, info: ModelInfo) -> ModelVersion:
        """Log the files below a folder as an MLflow model, and register it; see `ModelRegistry.register`."""
        check_name(name, "model name")
        draft = Manifest.of(name, info, files={})
        draft.to_bytes()
        sources = find_sources(Path(files))
        with calls(self._address), tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            stage = Path(folder) / "model"
            try:
                infos = copied(sources, stage)
            except OSError as error:
                raise UsageError(f"Can't register {error.filename}: {error.strerror}. Copy the file there.") from error
            with turn(self._address):
                ensure_name(self._address, name)
                return publish(self._address, evolve(draft, files=infos), stage)

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Return one version, or the newest; see `ModelRegistry.get`."""
        with self._entry(name) as entry:
            number = self._live(entry, version)
            found = read_model(self._address, entry.models[number])
            return found if found.digest else self._with_files(entry, found)

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return all versions, newest first; see `ModelRegistry.versions`."""
        found = []
        with self._entry(name) as entry:
            for number in entry.live:
                try:
                    found.append(read_model(self._address, entry.models[number]))
                except IntegrityError as error:
                    _log.warning("Left out of the versions of %s: %s", name, error)
        return tuple(found)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the numbers that aren't deleted, also of unreadable ones; see `mnistkit.registry.SupportsNumbers`."""
        with self._entry(name) as entry:
            return tuple(entry.live)

    def names(self) -> tuple[str, ...]:
        """Return the models that have versions and follow the naming rule; see `ModelRegistry.names`."""
        if not self._address.exists():
            return ()
        with calls(self._address):
            return tuple(list_names(self._address))

    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy a version's files, verified; see `ModelRegistry.download`."""
        with self._entry(model.name) as entry:
            stored = entry.models[self._live(entry, model.version)]
            kept = read_model(self._address, stored)
            if kept.digest != model.digest:
                raise IntegrityError(
                    f"{model.id} in {self._address.shown} isn't the version given: the sha256 of its manifest is "
                    f"{kept.digest or 'unknown'}, expected {model.digest or 'none'}."
                )
            with received(self._address, stored) as folder:
                expected = kept.files if kept.digest else model.files or hashed(folder, model.id)
                place_verified(folder, model.id, kept.digest, expected, Path(into))
        return Path(into)

    def delete(self, name: str, version: int) -> None:
        """Delete a version permanently; see `ModelRegistry.delete`. Files of foreign versions stay."""
        with self._entry(name) as entry:
            if version not in entry.models and version not in entry.log.deleted:
                raise missing_error(self._address, entry, version)
            if version in entry.live:
                if holders := entry.log.holders(version):
                    raise _held(name, holders[0], version)
                event = Event(kind="deleted", version=version)
                log = record_event(self._address, name, event, entry.models[version].run_id)
                if event.nonce not in log.counted and version not in log.deleted:
                    raise _held(name, log.holders(version)[0], version)
            if version in entry.models:
                self._remove(entry, version)

    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Point an alias to a version; see `ModelRegistry.assign`."""
        check_alias(alias)
        with turn(self._address), self._entry(name) as entry:
            stored = entry.models[self._live(entry, version)]
            if seen is not None and tuple(seen) != tuple(entry.log.histories.get(alias, ())):
                raise _conflict(name, alias, seen)
            assignment = Assignment(
                alias=alias, version=version, assigned_at=utc_now(), reason=reason, by=current_user()
            )
            after = None if seen is None else len(seen)
            event = Event(kind="assigned", version=version, assignment=assignment, after=after)
            log = record_event(self._address, name, event, stored.run_id, is_first=not entry.log.seen)
            if event.nonce not in log.counted:
                self._live(read_entry(self._address, name), version)
                raise _conflict(name, alias, seen or ())
            follow_alias(self._address, name, alias, log)

    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Return each alias with its history; see `ModelRegistry.aliases`."""
        with self._entry(name) as entry:
            return {alias: tuple(history) for alias, history in sorted(entry.log.histories.items())}

    def attach_signature(self, model: ModelVersion, signature: Signature) -> None:
        """Keep a signature; see `mnistkit.registry.SupportsSignatures`.

        Raises:
            UsageError: The model was registered without mnistkit: nothing pins its files.
        """
        with self._entry(model.name) as entry:
            stored = entry.models[self._live(entry, model.version)]
            if not model.digest:
                raise UsageError(
                    f"{model.id} was registered without mnistkit, so that nothing pins its files: download it, "
                    "register it again, and sign that."
                )
            event = Event(kind="signed", version=model.version, signature=signature)
            record_event(self._address, model.name, event, stored.run_id)

    def signatures(self, model: ModelVersion) -> tuple[Signature, ...]:
        """Return the signatures of a version; see `mnistkit.registry.SupportsSignatures`."""
        with self._entry(model.name) as entry:
            kept = entry.log.signatures.get(model.version, {})
            return tuple(signature for _, signature in sorted(kept.items()))

    @contextlib.contextmanager
    def _entry(self, name: str) -> Iterator[ModelEntry]:
        """Yield a model's entry, and translate MLflow's errors within the block."""
        check_name(name, "model name")
        if not self._address.exists():  # looking creates nothing
            yield ModelEntry(name)
            return
        with calls(self._address):
            yield read_entry(self._address, name)

    def _live(self, entry: ModelEntry, version: int | None) -> int:
        """Return the number of a version that isn't deleted: this one, or the newest if None."""
        number = max(entry.live, default=0) if version is None else version
        if number not in entry.live:
            raise missing_error(self._address, entry, version)
        return number

    def _with_files(self, entry: ModelEntry, model: ModelVersion) -> ModelVersion:
        """Return a version that was registered without mnistkit with its present files: read once in this process."""
        stored = entry.models[model.version]
        key = (stored.name, model.version, str(stored.source))
        if key not in self._hashed:
            with received(self._address, stored) as folder:
                self._hashed[key] = hashed(folder, model.id)
        files = self._hashed[key]
        kinds = {format_of(file) for file in files} - {"files"}
        return evolve(model, files=files, format=kinds.pop() if len(kinds) == 1 else "files")

    def _remove(self, entry: ModelEntry, version: int) -> None:
        stored = entry.models[version]
        retried(self._address, lambda: client(self._address).delete_model_version(entry.name, str(version)))
        if DIGEST_TAG in stored.tags:
            try:
                with calls(self._address):
                    delete_artifacts(self._address, stored.source)
            except (MnistkitError, NotImplementedError) as error:
                _log.warning("%s:%d is deleted, its files aren't: %s", entry.name, version, error)


def _held(name: str, alias: str, version: int) -> UsageError:
    return UsageError(f"{name}@{alias} is version {version}: assign {alias!r} to another version first.")


def _conflict(name: str, alias: str, seen: Sequence[Assignment]) -> ConflictError:
    return ConflictError(
        f"{name}@{alias} was assigned by someone else since this was decided, on a history of {len(seen)} "
        "assignments. Look at its history, then decide again."
    )
