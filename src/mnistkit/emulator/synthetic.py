"""Synthetic digits: MNIST's four files, small, the same on every machine, and learnable."""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path

__all__ = ["FILES", "PINS", "write_digits"]

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
PINS = Path(__file__).with_name("synthetic_digits.json")
"""A ``dataset.json`` with sizes and sha256s of what the four files hold, for clients that verify them."""

_SIDE, _SCALE, _ROWS, _COLUMNS = 28, 3, 7, 5
_GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
_NOISE_TABLE = bytes(value * 40 // 256 if value > 128 else 0 for value in range(256))  # noqa: PLR2004 - half of the paper


def write_digits(folder: Path, *, train: int = 2000, test: int = 400, seed: int = 0) -> None:
    """Write the four files, gzipped.

    Each image is a digit's glyph, somewhere near the middle, of some darkness and with missing strokes, on faint
    noise; the ten digits take turns.

    Args:
        folder: Where; it is there.
        train: How many images to train with.
        test: How many images to test with.
        seed: Others give other images of the same kind.
    """
    for images_file, labels_file, count, part in ((*FILES[:2], train, 0), (*FILES[2:], test, 1)):
        source = random.Random(2 * seed + part)  # noqa: S311 - no secrets: it has to be the same each time
        labels = bytes(index % len(_GLYPHS) for index in range(count))
        images = b"".join(_image(_GLYPHS[label].split(), source) for label in labels)
        header = struct.pack(">IIII", 0x803, count, _SIDE, _SIDE)
        (folder / images_file).write_bytes(gzip.compress(header + images, compresslevel=1, mtime=0))
        (folder / labels_file).write_bytes(gzip.compress(struct.pack(">II", 0x801, count) + labels, mtime=0))


def _image(glyph: list[str], source: random.Random) -> bytes:
    pixels = bytearray(source.randbytes(_SIDE * _SIDE).translate(_NOISE_TABLE))
    top = int(source.random() * (_SIDE - _ROWS * _SCALE))
    left = 4 + int(source.random() * (_SIDE - _COLUMNS * _SCALE - 8))
    darkness = 120 + int(source.random() * 130)
    missing = int(source.random() * 2 * _ROWS)  # every other image lacks one of the seven rows
    for row, columns in enumerate(glyph):
        if row == missing:
            continue
        for column, stroke in enumerate(columns):
            if stroke == "1":
                for line in range(_SCALE):
                    start = (top + row * _SCALE + line) * _SIDE + left + column * _SCALE
                    pixels[start : start + _SCALE] = bytes([darkness]) * _SCALE
    return bytes(pixels)
