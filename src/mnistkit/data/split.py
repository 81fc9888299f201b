"""One half of a dataset: images and their labels."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import DTypeLike, NDArray

from mnistkit.errors import DataFormatError, UsageError
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Summary, Thumbnail

__all__ = ["MAX_THUMBNAILS", "Split", "small_image"]

MAX_THUMBNAILS = 20
"""The most images that a summary shows, one of a class each."""

_MAX_THUMBNAIL_PX = 64


def _read_only(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a read-only view: the caller's array stays as it is."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        found = f"{array.dtype} values" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        raise DataFormatError(
            f"A Split holds uint8 arrays, got {found}: images are 0 to 255 (for floats from 0 to 1, "
            "(images * 255).round().astype('uint8')), labels are 0 to 255 (labels.astype('uint8'))."
        )
    view: NDArray[np.uint8] = array.view()
    view.flags.writeable = False
    return view


@frozen(kw_only=True, eq=False)
class Split:
    """One half of a dataset.

    Attributes:
        images: ``(n, h, w) uint8``, 0 is background; read-only.
        labels: ``(n,) uint8``; read-only.

    Raises:
        DataFormatError: The arrays have other types or shapes, or aren't of one length.
    """

    images: NDArray[np.uint8] = field(converter=_read_only)
    labels: NDArray[np.uint8] = field(converter=_read_only)

    def __attrs_post_init__(self) -> None:
        if self.images.ndim != 3 or self.labels.ndim != 1:  # noqa: PLR2004 - (n, h, w)
            raise DataFormatError(
                f"A Split takes images of shape (n, h, w) and labels of shape (n,), got {self.images.shape} and "
                f"{self.labels.shape}: use images.reshape(-1, h, w) and labels.ravel()."
            )
        if len(self.images) != len(self.labels):
            raise DataFormatError(
                f"A Split takes a label per image, got {len(self.images)} images and {len(self.labels)} labels."
            )

    def X(self, dtype: DTypeLike = np.float32) -> NDArray[np.floating]:  # noqa: N802 - the field's name
        """The images as scikit-learn takes them: ``(n, h*w)``, scaled from 0..255 to 0..1.

        Args:
            dtype: A floating type; float32 takes half the memory of float64 and most solvers keep it.

        Raises:
            UsageError: ``dtype`` isn't a floating type.
        """
        kind = np.dtype(dtype)
        if kind.kind != "f":
            raise UsageError(f"X(dtype={kind}) can't hold 0..1: use a floating type such as float32.")
        flat = self.images.reshape(len(self.images), -1)
        scaled: NDArray[np.floating] = np.divide(flat, kind.type(255), dtype=kind)
        return scaled

    def describe(self) -> Summary:
        """Return its size, how many images each label has, and an image of each of the first labels."""
        height, width = self.images.shape[1:]
        counts = np.bincount(self.labels).tolist()
        first = [(label, int(np.argmax(self.labels == label))) for label, n in enumerate(counts) if n]
        return Summary(
            title="Split",
            facts={
                "Images": f"{len(self.images):,}",
                "Size": f"{height} × {width} pixels, 8 bit grey",  # noqa: RUF001 - the sign for sizes
                "Labels": str(len(first)),
            },
            images=tuple(
                small_image(self.images[i], f"{label} ({counts[label]:,})") for label, i in first[:MAX_THUMBNAILS]
            ),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    @property
    def y(self) -> NDArray[np.int64]:
        """The labels as scikit-learn takes them: ``(n,) int64``."""
        return self.labels.astype(np.int64)

    def __len__(self) -> int:
        return len(self.labels)


def small_image(image: NDArray[np.uint8], caption: str) -> Thumbnail:
    """Return an image dark on white; of a large one every so many pixels."""
    step = max(-(-max(image.shape) // _MAX_THUMBNAIL_PX), 1)
    small = 255 - image[::step, ::step]
    height, width = small.shape
    return Thumbnail(caption=caption, pixels=small.tobytes(), width=width, height=height)
