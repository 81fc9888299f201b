"""The outcome of an import."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

__all__ = ["Imported", "LeftOut"]


@frozen
class LeftOut:
    """An image that isn't in the dataset.

    Attributes:
        file: Of a folder of images, relative to it; else the file and the row.
        reason: Why.
    """

    file: str
    reason: str


@frozen(kw_only=True)
class Imported:
    """The outcome of an import.

    Attributes:
        folder: Holds the four IDX files and ``dataset.json``.
        class_names: One per label, label 0 first.
        train: How many images there are to train on.
        test: How many there are to test on.
        light: How many of the images are on a light ground.
        brightest: The brightest pixel of all images, 0 to 255: a low one means masks of 0 and 1, or files that hold
            another range than they declare.
        unseen: Classes that have no image to train on.
        left_out: What couldn't be read, or isn't where an image of a class would be.
        unused: Columns or arrays of the files that are neither images nor labels.
    """

    folder: Path
    class_names: tuple[str, ...]
    train: int
    test: int
    light: int
    brightest: int
    unseen: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    unused: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """The uri of the new dataset, for `mnistkit.load_dataset`."""
        return f"idx:{self.folder}"
