"""A model of an MLflow registry as a value: its versions and its event log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from mnistkit.errors import DataFormatError, IntegrityError, InvalidNameError, ModelNotFoundError
from mnistkit.mlflow._sdk import client, pages
from mnistkit.mlflow.address import Address
from mnistkit.mlflow.values import from_milliseconds
from mnistkit.registry.events import Event, EventLog, log_name, model_name
from mnistkit.registry.manifest import MANIFEST, MAX_MANIFEST_BYTES, read_version
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.names import check_name
from mnistkit.utils.regular import read_regular
from mnistkit.utils.serialization import from_json

__all__ = [
    "DIGEST_TAG",
    "EVENT_TAG",
    "MANIFEST_TAG",
    "ModelEntry",
    "list_names",
    "location_of",
    "missing_error",
    "read_entry",
    "read_log",
    "read_model",
]

MANIFEST_TAG: Final = "mnistkit.manifest"
"""The tag of a version that holds its manifest; without it the manifest is among the files alone."""

DIGEST_TAG: Final = "mnistkit.digest"
"""The tag of a version that holds the sha256 of its manifest; versions of others have none."""

EVENT_TAG: Final = "mnistkit.event"
"""The tag of a version of the log that holds the event."""

_log = logging.getLogger(__name__)


@frozen
class ModelEntry:
    """One model of an MLflow registry.

    Attributes:
        name: The model.
        models: MLflow's records of its versions by number, also of those that count as deleted.
        log: Its events.
    """

    name: str
    models: Mapping[int, Any] = field(factory=dict)
    log: EventLog = field(factory=EventLog)

    @property
    def live(self) -> list[int]:
        """The versions that aren't deleted, newest first."""
        return sorted(self.models.keys() - self.log.deleted, reverse=True)


def read_entry(address: Address, name: str) -> ModelEntry:
    """Return a model's entry, empty if there is none of that name."""
    if not address.exists():
        return ModelEntry(name)
    models = {int(each.version): each for each in _versions(address, name)}
    return ModelEntry(name, models, read_log(address, name))


def read_log(address: Address, name: str) -> EventLog:
    """Return the events of a model.

    Raises:
        IntegrityError: One can't be read.
    """
    events = []
    for each in sorted(_versions(address, log_name(name)), key=lambda version: int(version.version)):
        source = f"{each.name}:{each.version} in {address.shown}"
        try:
            events.append(from_json(each.tags.get(EVENT_TAG, ""), Event, source))
        except DataFormatError as error:
            raise IntegrityError(
                f"{error} The model's history can't be read without it. If mnistkit didn't write it, delete it."
            ) from error
    return EventLog.of(events)


def list_names(address: Address, *, with_versions: bool = True) -> list[str]:
    """Return the names of the models that follow the naming rule, sorted.

    Args:
        address: The registry.
        with_versions: Leave out those without a version.
    """
    if not address.exists():
        return []
    found = pages(client(address).search_registered_models)
    valid = [each for each in found if model_name(each.name) is None and _is_valid(each.name)]
    return sorted(each.name for each in valid if each.latest_versions or not with_versions)


def read_model(address: Address, stored: Any) -> ModelVersion:
    """Return the version that MLflow's record describes; one of others has no digest and no files.

    Raises:
        IntegrityError: Its manifest was altered.
    """
    number, tags = int(stored.version), stored.tags
    location = location_of(address, stored.name, number, stored.source)
    source = f"{stored.name}:{number}: the tag {MANIFEST_TAG} in {address.shown}"
    if DIGEST_TAG in tags:
        text = tags.get(MANIFEST_TAG)
        data = _kept_manifest(address, stored) if text is None else text.encode()
        model = read_version(data, number, location, source)
        if model.name != stored.name:
            raise IntegrityError(f"{source} is that of {model.name!r}.")
        if model.digest != tags[DIGEST_TAG]:
            raise IntegrityError(f"{source} has sha256 {model.digest}, registered was {tags[DIGEST_TAG]:.80}.")
        return model
    if MANIFEST_TAG in tags:
        raise IntegrityError(f"{source} has lost its digest, the tag {DIGEST_TAG}: it was altered.")
    return ModelVersion(
        name=stored.name,
        version=number,
        created_at=from_milliseconds(stored.creation_timestamp),
        format="files",
        files={},
        digest="",
        tags={key: str(value) for key, value in tags.items()},
        description=stored.description or "",
        run_id=stored.run_id or None,
        location=location,
    )


def location_of(address: Address, name: str, version: int, source: str) -> str:
    """Return where people find a version: a page of the server's, or a folder."""
    return f"{address.shown}/#/models/{name}/versions/{version}" if address.file is None else source


def missing_error(address: Address, entry: ModelEntry, version: int | None) -> ModelNotFoundError:
    """Return the error for a version that isn't there; it lists those that are."""
    if not entry.models and not entry.log.deleted:
        known = ", ".join(list_names(address)) or "none yet"
        return ModelNotFoundError(f"No model {entry.name!r} in {address.shown}. Its models: {known}.")
    known = ", ".join(map(str, reversed(entry.live))) or "none"
    state = "were deleted" if version is None else "was deleted" if version in entry.log.deleted else "isn't there"
    what = "All versions" if version is None else f"Version {version}"
    return ModelNotFoundError(f"{what} of model {entry.name!r} {state}. The versions there are: {known}.")


def _versions(address: Address, name: str) -> list[Any]:
    found = pages(client(address).search_model_versions, f"name = '{name}'")
    return [each for each in found if each.name == name]  # some databases compare without regard to case


def _kept_manifest(address: Address, stored: Any) -> bytes:
    """Return the manifest among a version's files, for one that is too large for a tag."""
    from mnistkit.mlflow.artifacts import received

    with received(address, stored) as folder:
        try:
            data = read_regular(folder / MANIFEST, MAX_MANIFEST_BYTES)
        except OSError as error:
            raise IntegrityError(f"{stored.name}:{stored.version} has lost its {MANIFEST}: {error}.") from error
    if sha256_hex(data) != stored.tags[DIGEST_TAG]:
        raise IntegrityError(f"{stored.name}:{stored.version}: its {MANIFEST} isn't the one that was registered.")
    return data


def _is_valid(name: str) -> bool:
    try:
        check_name(name, "model name")
    except InvalidNameError:
        return False
    return True
