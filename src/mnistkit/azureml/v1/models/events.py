"""What happened to a model's versions: who pointed which alias where, what was deleted, who signed.

A workspace keeps no history of aliases, and can't compare before it sets. It does give each registered version of a
name the next number, whoever asks at the same time. So each event is a version of its own, of a second name beside
the model's: the numbers are their order, and whether an event counts is found by going through them in that order,
with the same outcome for everybody.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Literal

from attrs import Factory, define, field, frozen

from mnistkit.errors import DataFormatError, IntegrityError
from mnistkit.registry.signing import Signature
from mnistkit.registry.version import Assignment
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["Event", "Ledger", "ledger_name", "model_name", "pack", "unpack"]

_SUFFIX = "..history"  # no model of ours can be called that: see mnistkit.utils.names
_LONGEST = 1000  # characters of one property
_KEY = "mnistkit."


def ledger_name(name: str) -> str:
    """What the versions that are the events of ``name`` are called in the workspace."""
    return f"{name}{_SUFFIX}"


def model_name(name: str) -> str | None:
    """The model whose events go by that name, None if it is the name of a model."""
    return name.removesuffix(_SUFFIX) if name.endswith(_SUFFIX) else None


@frozen(kw_only=True)
class Event:
    """One entry.

    Attributes:
        kind: What happened.
        version: The version it is about.
        assignment: Of an alias.
        after: How many assignments of that alias came before, for this one to count; any number if None.
        signature: Of the version.
        nonce: Tells an entry from all others: one that was sent twice counts once.
    """

    kind: Literal["assigned", "deleted", "signed"]
    version: int
    assignment: Assignment | None = None
    after: int | None = None
    signature: Signature | None = None
    nonce: str = field(factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        """What people see of it in the studio."""
        to = f" {self.assignment.alias}" if self.assignment else ""
        return f"version {self.version} {self.kind}{to}"


@define
class Ledger:
    """What the events amount to.

    Attributes:
        histories: The assignments of each alias that count, oldest first.
        deleted: Versions.
        signatures: By version and key: the first of each.
        counted: The nonces of events that counted.
        seen: The nonces of all.
    """

    histories: dict[str, list[Assignment]] = Factory(dict)
    deleted: set[int] = Factory(set)
    signatures: dict[int, dict[str, Signature]] = Factory(dict)
    counted: set[str] = Factory(set)
    seen: set[str] = Factory(set)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Ledger:
        """Go through the events in their order."""
        ledger = cls()
        for event in events:
            if event.nonce not in ledger.seen:
                ledger.seen.add(event.nonce)
                if ledger._apply(event):
                    ledger.counted.add(event.nonce)
        return ledger

    def holders(self, version: int) -> list[str]:
        """The aliases that point to a version now."""
        return [alias for alias, history in sorted(self.histories.items()) if history[-1].version == version]

    def _apply(self, event: Event) -> bool:
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


def pack(what: str, text: str) -> dict[str, str]:
    """A text as properties that are short enough, with its sha256."""
    pieces = [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)]
    packed = {f"{_KEY}{what}.{number}": piece for number, piece in enumerate(pieces)}
    return {**packed, f"{_KEY}{what}.sha256": sha256_hex(text.encode())}


def unpack(what: str, properties: object, source: str) -> str | None:
    """What `pack` made, None if there is nothing of the kind.

    Raises:
        IntegrityError: It was altered.
    """
    kept = properties if isinstance(properties, dict) else {}
    mine = {key: value for key, value in kept.items() if key.startswith(f"{_KEY}{what}.")}
    if not mine:
        return None
    text = "".join(str(mine.get(f"{_KEY}{what}.{number}", "")) for number in range(len(mine) - 1))
    digest = sha256_hex(text.encode(errors="replace"))
    if digest != mine.get(f"{_KEY}{what}.sha256"):
        raise IntegrityError(f"{source}: its {what} in the properties was altered: it has the sha256 {digest}.")
    return text


def write_event(event: Event) -> dict[str, str]:
    """An event as properties."""
    return pack("event", to_json(event).decode())


def read_events(entries: Sequence[tuple[object, str]]) -> list[Event]:
    """Events from the properties of each entry, and what the entry is called.

    Raises:
        IntegrityError: One isn't readable.
    """
    events = []
    for properties, source in entries:
        try:
            events.append(from_json(unpack("event", properties, source) or "", Event, source))
        except DataFormatError as error:
            raise IntegrityError(
                f"{error} What happened to the model can't be told without it. If it is none of mnistkit's, delete it."
            ) from error
    return events
