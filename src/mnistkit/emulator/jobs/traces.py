"""Sizes of folders, and reading and writing of logs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["say", "size_of", "tail"]

_MAX_TAIL_LINES, _MAX_TAIL_BYTES = 20, 4000


def size_of(place: Path) -> int:
    """Return the bytes on disk of a file or a folder; links aren't followed."""
    if place.is_file():
        return place.stat().st_size
    size = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - there may be many
            except OSError:
                continue  # it is gone already
    return size


def say(log: Path, text: str) -> None:
    """Append a line of the emulator's own to a log."""
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{text}\n")


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _MAX_TAIL_BYTES))
        return "\n".join(stream.read().decode(errors="replace").splitlines()[-_MAX_TAIL_LINES:])
