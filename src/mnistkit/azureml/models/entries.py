"""A model of a workspace as a value: its versions and its event log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from mnistkit.azureml.models.events import read_events
from mnistkit.azureml.models.store import ModelStore, StoredModel
from mnistkit.azureml.properties import PREFIX, unpack_text
from mnistkit.errors import IntegrityError, InvalidNameError, ModelNotFoundError
from mnistkit.registry.events import Event, EventLog, log_name, model_name
from mnistkit.registry.manifest import read_version
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.names import check_name

__all__ = ["MANIFEST", "NONCE", "ModelEntry", "list_entries", "missing_error", "read_entry", "read_stored"]

MANIFEST = f"{PREFIX}manifest"
"""The property of a version that holds its manifest."""

NONCE = f"{PREFIX}nonce"
"""The property that is unique to a registration."""


@frozen
class ModelEntry:
    """One model of a workspace.

    Attributes:
        name: The model.
        models: Its versions by number, also those that count as deleted.
        log: Its events.
    """

    name: str
    models: Mapping[int, StoredModel] = field(factory=dict)
    log: EventLog = field(factory=EventLog)

    @property
    def live(self) -> list[int]:
        """The versions that aren't deleted, newest first."""
        return sorted(self.models.keys() - self.log.deleted, reverse=True)

    @property
    def highest(self) -> int:
        """The highest number that was given; 0 if none was."""
        return max(self.models.keys() | self.log.deleted, default=0)


def read_entry(store: ModelStore, name: str) -> ModelEntry:
    """Return a model's entry, empty if the workspace has none of that name; two requests."""
    models = {model.version: model for model in store.list_models(name)}
    return ModelEntry(name, models, EventLog.of(_events(store.list_models(log_name(name)))))


def list_entries(store: ModelStore) -> dict[str, ModelEntry]:
    """Return all entries by name; names that break our rule are left out."""
    models: dict[str, dict[int, StoredModel]] = {}
    events: dict[str, list[StoredModel]] = {}
    for each in store.list_models():
        owner = model_name(each.name)
        if owner is not None:
            events.setdefault(owner, []).append(each)
        elif _is_valid(each.name):
            models.setdefault(each.name, {})[each.version] = each
    names = sorted(name for name in models.keys() | events.keys() if _is_valid(name))
    return {name: ModelEntry(name, models.get(name, {}), EventLog.of(_events(events.get(name, ())))) for name in names}


def read_stored(stored: StoredModel, place: str) -> ModelVersion:
    """Return the version that a record describes; one that was registered without mnistkit has no digest and no files.

    Raises:
        IntegrityError: Its manifest was altered.
    """
    source = f"{stored.name}:{stored.version}"
    location = f"{place}/models/{stored.name}/versions/{stored.version}"
    text = unpack_text(MANIFEST, stored.properties, source)
    if text is None and NONCE in stored.properties:
        raise IntegrityError(f"{source} has lost its manifest: its properties in {place} were altered.")
    if text is not None:
        model = read_version(text.encode(), stored.version, location, source)
        if model.name != stored.name:
            raise IntegrityError(f"{source} has the manifest of {model.name!r}.")
        return model
    return ModelVersion(
        name=stored.name,
        version=stored.version,
        created_at=stored.created_at,
        format="files",
        files={},
        digest="",
        tags=stored.tags,
        description=stored.description,
        run_id=stored.run_id,
        location=location,
    )


def missing_error(store: ModelStore, entry: ModelEntry, version: int | None) -> ModelNotFoundError:
    """Return the error for a version that isn't there; it lists those that are."""
    if not entry.highest:
        known = ", ".join(name for name, each in list_entries(store).items() if each.live) or "none yet"
        return ModelNotFoundError(f"No model {entry.name!r} in {store.place}. Its models: {known}.")
    known = ", ".join(map(str, reversed(entry.live))) or "none"
    existed = version is not None and 1 <= version <= entry.highest
    state = "were deleted" if version is None else "was deleted" if existed else "has never existed"
    what = "All versions" if version is None else f"Version {version}"
    return ModelNotFoundError(f"{what} of model {entry.name!r} {state}. The versions there are: {known}.")


def _events(entries: Iterable[StoredModel]) -> list[Event]:
    return read_events([(each.properties, f"{each.name}:{each.version}") for each in entries])


def _is_valid(name: str) -> bool:
    try:
        check_name(name, "model name")
    except InvalidNameError:
        return False
    return True
