"""Grey pictures as PNG files, with nothing but the standard library."""

from __future__ import annotations

import struct
import zlib

__all__ = ["encode_grey"]


def encode_grey(pixels: bytes, width: int, height: int) -> bytes:
    """An 8 bit grey PNG, as https://www.w3.org/TR/png-3/ has it: signature, IHDR, IDAT, IEND.

    Args:
        pixels: ``height * width`` bytes, row by row, 0 is black.
        width: In pixels.
        height: In pixels.
    """
    lines = b"".join(b"\0" + pixels[i * width : (i + 1) * width] for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
