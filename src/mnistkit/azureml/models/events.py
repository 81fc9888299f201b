"""The events of a model as properties of versions; see `mnistkit.registry.events`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mnistkit.azureml.properties import PREFIX, pack_text, unpack_text
from mnistkit.errors import DataFormatError, IntegrityError
from mnistkit.registry.events import Event
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["read_events", "write_event"]

_PROPERTY = f"{PREFIX}event"


def write_event(event: Event) -> dict[str, str]:
    """Return an event as properties."""
    return pack_text(_PROPERTY, to_json(event).decode())


def read_events(entries: Sequence[tuple[Mapping[str, str] | None, str]]) -> list[Event]:
    """Return the events in the properties of versions.

    Args:
        entries: The properties of each version in the order of their numbers, and the version's id for messages.

    Raises:
        IntegrityError: One isn't readable.
    """
    events = []
    for properties, source in entries:
        try:
            events.append(from_json(unpack_text(_PROPERTY, properties, source) or "", Event, source))
        except DataFormatError as error:
            raise IntegrityError(
                f"{error} The model's history can't be read without it. If mnistkit didn't write it, delete it."
            ) from error
    return events
