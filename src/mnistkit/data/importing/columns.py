"""Columns of a table: which one has the labels, which ones the pixels, in which order."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from attrs import frozen

from mnistkit.errors import DataFormatError

__all__ = ["Columns", "find_columns", "find_label"]

_LABEL_NAMES = ("label", "labels", "class", "target", "y", "digit", "fine_label")
_INDEX_NAMES = {"", "id", "image_id", "imageid", "index", "unnamed: 0"}
_NUMBERED_PATTERN = re.compile(r"(.*?)(\d+)")


@frozen
class Columns:
    """Columns of a table of pixels.

    Attributes:
        n: How many there are.
        label: The place of the labels, from 0.
        pixels: The places of the pixels, in the order of the pixels.
        shape: ``(h, w)`` of an image.
        is_guess: Nothing says that the labels are at `label`.
        unused: The names of the other columns.
        names: Of all columns; empty if the table has none.
    """

    n: int
    label: int
    pixels: tuple[int, ...]
    shape: tuple[int, int]
    is_guess: bool
    unused: tuple[str, ...]
    names: tuple[str, ...]

    def name_of(self, column: int) -> str:
        """Return a column for a message: ``column 5 (pixel3)``."""
        return f"column {column + 1}" + (f" ({self.names[column]})" if self.names else "")


def find_label(names: Sequence[str], label: str | None, source: str) -> int:
    """Return the place of the column of labels in a table whose columns have names.

    Args:
        names: Of the columns.
        label: A column's name, ``"first"`` or ``"last"``; None for a usual name such as ``label`` or ``class``.
        source: Of the table, for messages.

    Raises:
        DataFormatError: There is no such column.
    """
    if label is not None and label in names:
        return list(names).index(label)
    if label in {"first", "last"}:
        return 0 if label == "first" else len(names) - 1
    folded = [name.strip().lower() for name in names]
    usual = [name for name in _LABEL_NAMES if name in folded]
    if label is None and usual:
        return folded.index(usual[0])
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")  # noqa: PLR2004 - enough to see which file it is
    wanted = f"column {label!r}" if label is not None else f"column of labels ({', '.join(_LABEL_NAMES)})"
    raise DataFormatError(
        f"{source} has no {wanted}: its columns are {listed}. Name the column with label= (--label); a file without "
        "labels, as a competition's test file, can't be a part of a dataset."
    )


def find_columns(
    names: Sequence[str], n: int, label: int, shape: tuple[int, int] | None, source: str, *, is_guess: bool = False
) -> Columns:
    """Return the columns of a table of pixels.

    Columns that are called as pandas and competitions call an index are unused. Where the names of the pixels are
    numbered, the numbers are their order.

    Args:
        names: Of the columns; empty if they have none.
        n: How many columns there are.
        label: The place of the labels.
        shape: ``(h, w)`` of an image; None for squares.
        source: Of the table, for messages.
        is_guess: As in `Columns`.

    Raises:
        DataFormatError: The pixels make no image of that shape, or numbers are missing.
    """
    others = [place for place in range(n) if place != label]
    unused = [place for place in others[:1] if names and names[place].strip().lower() in _INDEX_NAMES]
    pixels = [place for place in others if place not in unused]
    doubtful = [names[place] for place in pixels if names and names[place].strip().lower() in _LABEL_NAMES]
    if doubtful:
        raise DataFormatError(
            f"{source}: the labels were to be in the column {names[label]!r}, but there is one called {doubtful[0]!r}, "
            "which can't be pixels. Name that one with label= (--label), or remove it."
        )
    side = math.isqrt(len(pixels))
    h, w = shape or (side, side)
    if not pixels or h * w != len(pixels):
        expected = f"{h * w} for images of {h}x{w}" if shape else "the square of a side; give others with a size"
        raise DataFormatError(f"{source} has {len(pixels)} columns of pixels beside the labels: expected {expected}.")
    return Columns(
        n, label, _ordered(pixels, names, source), (h, w), is_guess, tuple(names[i] for i in unused), tuple(names)
    )


def _ordered(pixels: list[int], names: Sequence[str], source: str) -> tuple[int, ...]:
    """Return the places by the numbers in their names, if all are numbered: as texts, pixel10 comes before pixel2."""
    matches = [_NUMBERED_PATTERN.fullmatch(names[place].strip()) for place in pixels] if names else []
    if not matches or any(match is None for match in matches) or len({match[1] for match in matches if match}) > 1:
        return tuple(pixels)
    numbers = [int(match[2]) for match in matches if match]
    first = min(numbers)
    if sorted(numbers) != list(range(first, first + len(numbers))):
        raise DataFormatError(
            f"{source}: the columns of pixels are numbered from {first} to {max(numbers)}, but there are "
            f"{len(numbers)}: some are missing, or there twice."
        )
    return tuple(place for _, place in sorted(zip(numbers, pixels, strict=True)))
