"""Images on their way into a dataset: kept on the disk, so that any number of them takes bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from mnistkit.data.conversion import is_unit_range, to_bytes
from mnistkit.errors import DataFormatError

__all__ = ["MAX_PIXELS", "ImageSpool"]

MAX_PIXELS = 2**30
"""The most pixels that a split of a dataset may have."""

_BATCH_BYTES = 4 << 20


@frozen
class _Segment:
    """Images of one type, one after another in the file."""

    dtype: np.dtype[Any]
    n: int


@define
class ImageSpool:
    """Images of one size, appended as they are read and replayed as uint8.

    Which range floats are in, 0..1 or 0..255, is known only when all were read: until then they are kept as they came.

    Attributes:
        path: The file that holds the pixels; it isn't there yet.
        name: Of the file that the images come from, for messages.
    """

    path: Path
    name: str
    shape: tuple[int, int] | None = None
    _segments: list[_Segment] = field(factory=list)
    _lowest: float = 0.0
    _highest: float = 0.0

    def __len__(self) -> int:
        return sum(segment.n for segment in self._segments)

    def append(self, images: NDArray[Any]) -> None:
        """Add images.

        Args:
            images: ``(n, h, w)`` of any numeric type; ``(h, w)`` is that of the first ones.

        Raises:
            DataFormatError: They have another size, hold NaN, or there are too many.
        """
        if not len(images):
            return
        size = (int(images.shape[1]), int(images.shape[2]))
        self.shape = self.shape or size
        if size != self.shape:
            raise DataFormatError(
                f"{self.name} holds images of {_text(self.shape)} and of {_text(size)}: use one size."
            )
        if (len(self) + len(images)) * size[0] * size[1] > MAX_PIXELS:
            raise DataFormatError(f"{self.name} holds more than {MAX_PIXELS} pixels: a dataset may have so many.")
        if images.dtype.kind == "b":
            images = np.where(images, np.uint8(255), np.uint8(0))
        lowest, highest = float(images.min()), float(images.max())
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            is_unit_range(images.dtype, lowest, highest, self.name)  # raises
        self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)
        with self.path.open("ab") as stream:
            stream.write(np.ascontiguousarray(images).data)
        if self._segments and self._segments[-1].dtype == images.dtype:
            self._segments[-1] = _Segment(images.dtype, self._segments[-1].n + len(images))
        else:
            self._segments.append(_Segment(images.dtype, len(images)))

    def replay(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in order, ``(n, h, w) uint8``, some at a time.

        Raises:
            DataFormatError: They are in neither 0..255 nor, as floats, in 0..1.
        """
        if self.shape is None:
            return
        dtype = np.result_type(*(segment.dtype for segment in self._segments))
        is_unit = is_unit_range(dtype, self._lowest, self._highest, self.name)
        n_pixels = self.shape[0] * self.shape[1]
        with self.path.open("rb") as stream:
            for segment in self._segments:
                batch = max(_BATCH_BYTES // (n_pixels * segment.dtype.itemsize), 1)
                for start in range(0, segment.n, batch):
                    count = min(batch, segment.n - start)
                    data = np.frombuffer(stream.read(count * n_pixels * segment.dtype.itemsize), dtype=segment.dtype)
                    yield to_bytes(data, is_unit=is_unit).reshape(count, *self.shape)


def _text(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"
