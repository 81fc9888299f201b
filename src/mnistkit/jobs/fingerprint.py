"""What the result of a run depends on, part by part, so that two runs can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import field, frozen

from mnistkit.utils.files import sha256_hex
from mnistkit.utils.serialization import to_json

__all__ = ["PARTS", "Difference", "Fingerprint"]

PARTS: Final = ("code", "parameters", "data", "libraries", "seed")
"""The parts of a `Fingerprint`, in the order in which they are shown."""

_SHOWN = 72
_SHA256_DIGITS = 64


@frozen
class Difference:
    """One item in which two fingerprints differ.

    Attributes:
        part: One of `PARTS`.
        item: A file, a parameter, a library.
        old: What the earlier one has; None if it lacks the item.
        new: What the later one has; None if it lacks the item.
    """

    part: str
    item: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        """``C: 1.0 -> 2.0``."""
        absent = "not set" if self.part == "parameters" else "absent"
        old, new = (_short(value) if value is not None else absent for value in (self.old, self.new))
        return f"{self.item}: {old} -> {new}"


@frozen(kw_only=True)
class Fingerprint:
    """What the result of a run depends on. Equal fingerprints, equal results.

    Attributes:
        code: The sha256 of each file of the user's own code, by name.
        parameters: Of the model, or of the script, by name.
        data: What identifies the content of the data: sha256s by file.
        libraries: Versions by name.
        seed: The job's; None for scripts, which have their own.
    """

    code: Mapping[str, str] = field(factory=dict)
    parameters: Mapping[str, str] = field(factory=dict)
    data: Mapping[str, str] = field(factory=dict)
    libraries: Mapping[str, str] = field(factory=dict)
    seed: int | None = None

    @property
    def digests(self) -> dict[str, str]:
        """The sha256 of each part, by its name."""
        return {part: sha256_hex(to_json(self._items(part))) for part in PARTS}

    @property
    def digest(self) -> str:
        """The sha256 of the whole."""
        return sha256_hex(to_json(self.digests))

    def differences(self, earlier: Fingerprint) -> tuple[Difference, ...]:
        """Every item in which this one differs from an earlier one, part by part."""
        return tuple(self._differences(earlier))

    def _differences(self, earlier: Fingerprint) -> Iterator[Difference]:
        for part in PARTS:
            old, new = earlier._items(part), self._items(part)
            for item in sorted(old.keys() | new.keys()):
                if old.get(item) != new.get(item):
                    yield Difference(part, item, old.get(item), new.get(item))

    def _items(self, part: str) -> Mapping[str, str]:
        if part == "seed":
            return {} if self.seed is None else {"seed": str(self.seed)}
        items: Mapping[str, str] = getattr(self, part)
        return items


def _short(value: str) -> str:
    if len(value) == _SHA256_DIGITS and not value.strip("0123456789abcdef"):
        return value[:12]
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN - 3]}..."
