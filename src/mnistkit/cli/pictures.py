"""Images drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from mnistkit.utils.text import safe

__all__ = ["draw", "draw_rows", "halved"]

_LIT_LEVEL = 96
_BLOCK_CHARS = " ▀▄█"
_ASCII_CHARS = " '.:"


def draw(image: NDArray[np.uint8], console: Console) -> list[Text]:
    """Return one image as lines of half blocks, two pixels above each other in a character.

    Args:
        image: ``(h, w) uint8``, 0 is background.
        console: Where it will be shown: without colour each pixel is on or off.

    Returns:
        ``ceil(h / 2)`` lines of ``w`` characters.
    """
    if image.shape[0] % 2:
        image = np.pad(image, ((0, 1), (0, 0)))
    if console.color_system in {"256", "truecolor"}:
        return [_grey_line(above, below) for above, below in zip(image[::2], image[1::2], strict=True)]
    characters = _BLOCK_CHARS if console.encoding.lower().startswith("utf") else _ASCII_CHARS
    lit = (image > _LIT_LEVEL).astype(int)
    return [Text("".join(characters[i] for i in row)) for row in lit[::2] + 2 * lit[1::2]]


def draw_rows(images: Sequence[NDArray[np.uint8]], captions: Sequence[str], console: Console) -> list[Text]:
    """Return images with captions above them, side by side, in as many rows as the console's width needs.

    Args:
        images: All of one shape, ``(h, w) uint8``.
        captions: One per image.
        console: Where they will be shown.
    """
    captions = [safe(caption.replace("\n", " ")) for caption in captions]
    width = max(images[0].shape[1], *map(cell_len, captions))
    per_row = max((console.width + 2) // (width + 2), 1)
    lines: list[Text] = []
    for start in range(0, len(images), per_row):
        row = range(start, min(start + per_row, len(images)))
        blocks = [[Text(captions[i], "bold"), *draw(images[i], console)] for i in row]
        for parts in zip(*blocks, strict=True):
            for part in parts:
                part.pad_right(width - part.cell_len + 2)
            line = Text().join(parts)
            line.rstrip()
            lines.append(line)
        lines.append(Text())
    return lines


def halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image at half its size, by the mean of each 2x2 pixels: ``(h // 2, w // 2) uint8``."""
    h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    mean: NDArray[np.uint8] = image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3)).astype(np.uint8)
    return mean


def _grey_line(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> Text:
    line = Text()
    for top, bottom in zip(above.tolist(), below.tolist(), strict=True):
        line.append("▀", Style.parse(f"#{top:02x}{top:02x}{top:02x} on #{bottom:02x}{bottom:02x}{bottom:02x}"))
    return line
