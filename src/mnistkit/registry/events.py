"""The event log of a model: who pointed which alias where, which versions were deleted, who signed.

For registries over a service that keeps no history of aliases, and can't compare before it sets, but does give each
registered version of a name the next number, also to concurrent callers. There, each event is a version of its own, of
a second name beside the model's: the numbers are their order. An event counts or not depending on the events before it
alone, so every reader comes to the same result.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Literal

from attrs import Factory, define, field, frozen

from mnistkit.registry.signing import Signature
from mnistkit.registry.version import Assignment

__all__ = ["Event", "EventLog", "log_name", "model_name"]

_SUFFIX = "..history"  # no model of ours can be called that: see mnistkit.utils.names


def log_name(name: str) -> str:
    """Return the name of the versions that are the events of ``name``."""
    return f"{name}{_SUFFIX}"


def model_name(name: str) -> str | None:
    """Return the model whose events have that name; None if it is the name of a model."""
    return name.removesuffix(_SUFFIX) if name.endswith(_SUFFIX) else None


@frozen(kw_only=True)
class Event:
    """One entry of the log.

    Attributes:
        kind: What happened.
        version: The version it is about.
        assignment: Of an alias.
        after: How many assignments of that alias came before, for this one to count; any number if None.
        signature: Of the version.
        nonce: Unique: an event that was sent twice counts once.
    """

    kind: Literal["assigned", "deleted", "signed"]
    version: int
    assignment: Assignment | None = None
    after: int | None = None
    signature: Signature | None = None
    nonce: str = field(factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        """Return the description for people."""
        to = f" {self.assignment.alias}" if self.assignment else ""
        return f"version {self.version} {self.kind}{to}"


@define
class EventLog:
    """The state of a model after its events.

    Attributes:
        histories: The assignments of each alias that count, oldest first.
        deleted: Versions.
        signatures: By version and key: the first of each.
        counted: The nonces of events that counted.
        seen: The nonces of all events.
    """

    histories: dict[str, list[Assignment]] = Factory(dict)
    deleted: set[int] = Factory(set)
    signatures: dict[int, dict[str, Signature]] = Factory(dict)
    counted: set[str] = Factory(set)
    seen: set[str] = Factory(set)

    @classmethod
    def of(cls, events: Iterable[Event]) -> EventLog:
        """Return the state after events, which come in the order of their numbers."""
        log = cls()
        for event in events:
            if event.nonce not in log.seen:
                log.seen.add(event.nonce)
                if log._apply(event):
                    log.counted.add(event.nonce)
        return log

    def holders(self, version: int) -> list[str]:
        """Return the aliases that point to a version now."""
        return [alias for alias, history in sorted(self.histories.items()) if history[-1].version == version]

    def _apply(self, event: Event) -> bool:
        """Apply an event if it counts, and return True if it does.

        Order alone decides. Two clients may each read a log, find that their event is allowed, and write it: the
        service takes both, since it can't compare before it sets. So permission isn't given by the writer's check but
        here, by every reader alike: from events that have lower numbers, never from clocks, from later events, or from
        who reads. The event with the lower number wins; its rival finds its nonce missing in `counted` and reports a
        conflict. For the same reason this rule may never change for events that are already written.
        """
        if event.version in self.deleted:
            return False
        if event.kind == "deleted":
            if self.holders(event.version):
                return False
            self.deleted.add(event.version)
        if event.assignment is not None:
            before = self.histories.get(event.assignment.alias, [])
            if event.after not in {None, len(before)}:
                return False
            self.histories[event.assignment.alias] = [*before, event.assignment]
        if event.signature is not None:
            self.signatures.setdefault(event.version, {}).setdefault(event.signature.key, event.signature)
        return True
