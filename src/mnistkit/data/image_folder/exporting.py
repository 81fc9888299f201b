"""Datasets become folders of PNG files, a folder per class."""

from __future__ import annotations

import os
from pathlib import Path

from mnistkit.data.dataset import Dataset
from mnistkit.data.image_folder.folders import folder_names, new_folder
from mnistkit.data.manifest import DatasetManifest
from mnistkit.utils import progress
from mnistkit.utils.arguments import check_path, check_type
from mnistkit.utils.markup import encode_grey

__all__ = ["export_pictures"]

_REPORTS = 200


def export_pictures(dataset: Dataset, out: str | os.PathLike[str]) -> Path:
    """Write every image as a PNG file: ``train/<class>/00000.png`` and ``test/<class>/00000.png``.

    A file's number is the image's position in its split. A ``dataset.json`` beside the folders keeps name, version and
    the names of the classes, of which a folder's name is what every file system takes; so
    `mnistkit.data.import_pictures` makes the same dataset again, to the byte. Needs no extra. Progress is reported
    in bytes of pixels; interrupted, it leaves nothing.

    Args:
        dataset: Any dataset.
        out: The folder to make; it isn't there yet, or is empty.

    Returns:
        ``out``, absolute.

    Raises:
        UsageError: It is there, and not empty.
        StorageError: It can't be written.
    """
    check_type(dataset, Dataset, "dataset", "a Dataset: load_dataset(uri) returns one")
    check_path(out, "out")
    out = Path(out).absolute()
    names = folder_names(dataset.class_names)
    splits = {"train": dataset.train, "test": dataset.test}
    total, done = sum(split.images.nbytes for split in splits.values()), 0
    task = f"{dataset.name}: {sum(map(len, splits.values()))} pictures"
    try:
        with new_folder(out) as staging:
            for half, split in splits.items():
                for name in names:
                    (staging / half / name).mkdir(parents=True)
                digits = len(str(len(split) - 1))
                height, width = split.images.shape[1:]
                pace = max(len(split) // _REPORTS, 1)
                for i, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
                    path = staging / half / names[label] / f"{i:0{digits}}.png"
                    path.write_bytes(encode_grey(image.tobytes(), width, height))
                    done += image.nbytes
                    if i % pace == 0:
                        progress.report(progress.Step(task, done, total))
            DatasetManifest(
                name=dataset.name,
                version=dataset.version,
                class_names=dataset.class_names,
                inverted=dataset.inverted,
                centred=dataset.centred,
            ).write(staging)
    finally:
        progress.report(progress.Step(task, done, total, finished=True))
    return out
