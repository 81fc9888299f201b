"""Long texts as properties of runs and models, whose values Azure ML limits; the standard library alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mnistkit.errors import IntegrityError

__all__ = ["PREFIX", "pack_text", "unpack_text"]

PREFIX = "mnistkit_"
"""The first letters of the names of all properties that mnistkit writes."""

_MAX_PROPERTY_CHARS = 900  # Azure ML refuses values above 1000


def pack_text(name: str, text: str) -> dict[str, str]:
    """Return a text as properties that are short enough: ``name``, ``name_part1`` and so on, and its ``name_sha256``.

    The first part has the plain name, so that runs and models can be searched for by it.

    Args:
        name: Of the first property, with `PREFIX`.
        text: Any length.
    """
    pieces = [text[start : start + _MAX_PROPERTY_CHARS] for start in range(0, len(text), _MAX_PROPERTY_CHARS)] or [""]
    packed = {name if number == 0 else f"{name}_part{number}": piece for number, piece in enumerate(pieces)}
    return {**packed, f"{name}_sha256": _sha256(text)}


def unpack_text(name: str, properties: Mapping[str, str] | None, source: str) -> str | None:
    """Return the text that `pack_text` made properties of; None if there is none of that name.

    Args:
        name: As it was packed.
        properties: All properties of the run or model.
        source: The run or model, for messages.

    Raises:
        IntegrityError: A part was altered, added or removed.
    """
    kept = properties or {}
    names = [name]
    while f"{name}_part{len(names)}" in kept:
        names.append(f"{name}_part{len(names)}")
    digest = kept.get(f"{name}_sha256")
    if digest is None and name not in kept:
        return None
    text = "".join(str(kept.get(each, "")) for each in names)
    if _sha256(text) != digest:
        raise IntegrityError(
            f"{source}: the text {name} in its properties was altered: its sha256 is {_sha256(text)}, "
            f"expected {digest}."
        )
    return text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
