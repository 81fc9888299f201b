"""Registration of versions and events: once each, also where a request has to be sent twice."""

from __future__ import annotations

import time

from mnistkit.azureml.models.entries import MANIFEST, NONCE, ModelEntry, read_entry, read_stored
from mnistkit.azureml.models.events import write_event
from mnistkit.azureml.models.store import ModelStore, RunFiles, StoredModel
from mnistkit.azureml.properties import pack_text
from mnistkit.errors import ServiceError
from mnistkit.registry.events import Event, EventLog, log_name
from mnistkit.registry.manifest import Manifest
from mnistkit.registry.version import ModelVersion

__all__ = ["publish", "record_event"]

_LISTING_SECONDS = 30.0  # until what was registered must show up in a list
_PAUSE_SECONDS = 0.5


def publish(
    store: ModelStore, manifest: Manifest, asset: str, entry: ModelEntry, run: RunFiles | None = None
) -> ModelVersion:
    """Register uploaded files as the next version, and return it.

    A request may be accepted although its response is lost, and then be sent again: the nonce in the properties tells
    which versions are this registration's, and all but the first are removed.

    Raises:
        ServiceError: The workspace refused.
    """
    properties = {**pack_text(MANIFEST, manifest.to_bytes().decode()), NONCE: manifest.nonce}
    found: list[StoredModel] = []
    while not found:
        try:
            created = store.create(
                manifest.name,
                asset,
                properties=properties,
                tags=manifest.tags,
                description=manifest.description,
                run=run,
            )
        except ServiceError:
            found = _accepted(store, manifest, entry)
            if not found:
                raise
        else:
            found = [created] if created.version == entry.highest + 1 else _accepted(store, manifest, entry)
    for other in found[1:]:
        store.remove(other.name, other.version)
    return read_stored(found[0], store.place)


def record_event(store: ModelStore, name: str, event: Event, asset: str) -> EventLog:
    """Add an event to a model's log, and return the log that includes it.

    Args:
        store: The models of the workspace.
        name: The model.
        event: The event.
        asset: Of the version that it is about.

    Raises:
        ServiceError: The workspace refused, or doesn't list the event in time.
    """
    properties, refusal = write_event(event), None
    try:
        own = store.asset_of_event(log_name(name), asset, str(event))
        store.create(log_name(name), own, properties=properties, description=str(event))
    except ServiceError as error:  # it may have been accepted
        refusal = error
    deadline = time.monotonic() + _LISTING_SECONDS
    while event.nonce not in (log := read_entry(store, name).log).seen:
        if refusal is not None:
            raise refusal
        if time.monotonic() > deadline:
            raise ServiceError(f"An event of {name} was registered, and isn't listed yet: look at it later.")
        time.sleep(_PAUSE_SECONDS)
    return log


def _accepted(store: ModelStore, manifest: Manifest, entry: ModelEntry) -> list[StoredModel]:
    """Return the versions of a registration that the workspace has accepted.

    A deleted number that the workspace gave again doesn't count: for mnistkit that version is deleted.
    """
    models = store.list_models(manifest.name)
    deleted = entry.log.deleted
    return [m for m in models if m.properties.get(NONCE) == manifest.nonce and m.version not in deleted]
