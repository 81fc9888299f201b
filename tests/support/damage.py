"""Damage to files."""

from __future__ import annotations

from pathlib import Path


def flip(path: Path, position: int = 3) -> None:
    """Change a bit of the byte at a position."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
