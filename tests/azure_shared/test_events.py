"""The event log: the state of a model after its events, in the order of their numbers."""

from __future__ import annotations

import pytest

from mnistkit.azureml.models.events import read_events, write_event
from mnistkit.azureml.properties import pack_text
from mnistkit.errors import IntegrityError
from mnistkit.registry.events import Event, EventLog
from mnistkit.registry.signing import Signature
from mnistkit.registry.version import Assignment
from mnistkit.utils.clock import utc_now


def assigned(version: int, alias: str = "champion", after: int | None = None, reason: str = "") -> Event:
    """An assignment of an alias."""
    entry = Assignment(alias=alias, version=version, assigned_at=utc_now(), reason=reason)
    return Event(kind="assigned", version=version, assignment=entry, after=after)


def deleted(version: int) -> Event:
    """A deletion."""
    return Event(kind="deleted", version=version)


def versions(log: EventLog, alias: str = "champion") -> list[int]:
    """What an alias pointed to, oldest first."""
    return [entry.version for entry in log.histories.get(alias, [])]


def test_of_two_decisions_on_one_history_the_first_counts() -> None:
    """An assignment that was decided on an older history is there, and doesn't count."""
    first, second, third = assigned(1, after=0), assigned(2, after=0), assigned(2, after=1)
    log = EventLog.of([first, second, third])
    assert versions(log) == [1, 2]
    assert log.counted == {first.nonce, third.nonce}


def test_an_event_that_was_sent_twice_counts_once() -> None:
    """A request that was repeated since its answer was lost changes nothing more."""
    event = assigned(1)
    assert versions(EventLog.of([event, event, assigned(2), event])) == [1, 2]


def test_what_an_alias_points_to_isnt_deleted() -> None:
    """A deletion doesn't count while an alias points there, and an assignment not once the version is deleted."""
    log = EventLog.of([assigned(1), deleted(1), assigned(2), deleted(1), assigned(1)])
    assert log.deleted == {1}
    assert versions(log) == [1, 2]
    assert log.holders(2) == ["champion"]


def test_the_first_signature_of_a_key_stays() -> None:
    """A second signature by the same key takes nobody's place."""
    first, second = (Signature("0123456789abcdef", text) for text in ("AAAA", "BBBB"))
    events = [Event(kind="signed", version=1, signature=each) for each in (first, second)]
    assert list(EventLog.of(events).signatures[1].values()) == [first]


def test_events_come_back() -> None:
    """An event is kept in properties of bounded length, and read as it was."""
    event = assigned(3, reason="é😀\n" * 2000)
    properties = write_event(event)
    assert max(map(len, properties.values())) <= 1000
    assert read_events([(properties, "digits..history:1")]) == [event]


@pytest.mark.parametrize("change", ["alter", "drop", "forge"])
def test_altered_events_are_told(change: str) -> None:
    """A property that was altered, dropped or made up is an `IntegrityError` that names the entry."""
    properties = write_event(assigned(3, reason="x" * 3000))
    if change == "alter":
        properties["mnistkit_event"] += " "
    elif change == "drop":
        del properties["mnistkit_event_part1"]
    else:
        properties = pack_text("mnistkit_event", '{"kind": "crowned"}')
    with pytest.raises(IntegrityError, match=r"digits\.\.history:1"):
        read_events([(properties, "digits..history:1")])
