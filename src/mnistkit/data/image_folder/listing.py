"""Which pictures a folder holds, of which class and half, before any of them is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

from mnistkit.data.image_folder.folders import folder_names
from mnistkit.data.importing.outcome import LeftOut
from mnistkit.data.manifest import MANIFEST, DatasetManifest, find_manifest
from mnistkit.errors import DataFormatError, StorageError
from mnistkit.utils.folders import walk_folders

__all__ = ["Listing", "PictureFile", "is_litter", "list_pictures"]

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
_LITTER = {  # what systems and archivers leave behind, in small letters; hidden names don't count anyway
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "@eadir",
    "@recycle",
    "@tmp",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "found.000",
    "icon\r",
    "lost+found",
    "recycler",
    "system volume information",
    "thumbs.db",
}
_HALVES = (("train", "test"), ("training", "testing"))
_MAX_CLASSES = 256


@frozen
class PictureFile:
    """A file that should be a picture.

    Attributes:
        file: Relative to the folder of pictures.
        label: Of its class.
        half: 0 for train, 1 for test; None if there are no such folders.
        size: In bytes.
        within: Relative to the folder of its class.
    """

    file: str
    label: int
    half: int | None
    size: int
    within: str


@frozen
class Listing:
    """The images of an image folder, by class and split.

    Attributes:
        name: Of the dataset.
        version: Of the data.
        class_names: One per label.
        pictures: In the order in which they go into the dataset: by name within their class, so that classes mix.
        left_out: What is no picture of a class.
        inverted: As ``dataset.json`` has it; None without one.
        centred: As ``dataset.json`` has it; None without one.
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    pictures: tuple[PictureFile, ...]
    left_out: list[LeftOut] = field(factory=list)
    inverted: bool | None = None
    centred: bool | None = None


def list_pictures(folder: Path) -> Listing:
    """List what `mnistkit.data.import_pictures` reads; see there.

    Raises:
        DataFormatError: There are no classes or too many, one half lacks the other, or ``dataset.json`` is malformed.
        StorageError: A folder can't be listed.
    """
    left_out: list[LeftOut] = []
    top = _entries(folder)
    pair = _halves(folder, top)
    if pair is not None:
        beside = [name for name in top if name not in {*pair, MANIFEST}]
        left_out += [LeftOut(name, f"is beside {pair[0]} and {pair[1]}") for name in beside]
    bases = [(folder, None)] if pair is None else [(folder / half, i) for i, half in enumerate(pair)]
    found = [(half, name, entry) for base, half in bases for name, entry in _entries(base).items() if name != MANIFEST]
    manifest = _manifest(folder, top)
    labels = _labels([name for _, name, entry in found if _is_folder(entry)], manifest, folder)
    pictures: list[PictureFile] = []
    for half, name, entry in found:
        prefix = "" if pair is None or half is None else f"{pair[half]}/"
        if not _is_folder(entry):
            left_out.append(LeftOut(f"{prefix}{name}", _problem(entry) or "is in no folder of a class"))
        elif name not in labels:
            left_out.append(LeftOut(f"{prefix}{name}", f"is no class of {MANIFEST}"))
        else:
            for within, path, problem in _files(Path(entry.path)):
                file = f"{prefix}{name}/{within}"
                if problem:
                    left_out.append(LeftOut(file, problem))
                else:
                    pictures.append(PictureFile(file, labels[name], half, path.lstat().st_size, within))
    return Listing(
        manifest.name if manifest else folder.resolve().name or "pictures",
        manifest.version if manifest else "1",
        manifest.class_names if manifest and manifest.class_names else tuple(map(_printable, labels)),
        tuple(sorted(pictures, key=lambda picture: (picture.within, picture.label, picture.file))),
        left_out,
        manifest.inverted if manifest else None,
        manifest.centred if manifest else None,
    )


def is_litter(name: str) -> bool:
    """Return True for hidden files and folders, and for those that systems and archivers leave behind."""
    return name.startswith(".") or name.lower() in _LITTER


def _entries(folder: Path) -> dict[str, os.DirEntry[str]]:
    """What is in a folder, by name, sorted; hidden files and what systems leave behind don't count."""
    try:
        with os.scandir(folder) as found:
            entries = {entry.name: entry for entry in found}
    except OSError as error:
        raise StorageError(f"Can't list {folder}: {error.strerror or error}. Make it readable.") from error
    return {name: entries[name] for name in sorted(entries) if not is_litter(name)}


def _is_folder(entry: os.DirEntry[str] | None) -> bool:
    return entry is not None and entry.is_dir(follow_symlinks=False)


def _halves(folder: Path, top: dict[str, os.DirEntry[str]]) -> tuple[str, str] | None:
    """The folders to train on and to test on, in capitals or not; None if there is neither."""
    spelled = {name.lower(): name for name in sorted(top) if _is_folder(top[name])}  # small letters come last, and win
    for pair in _HALVES:
        train, test = map(spelled.get, pair)
        if train and test:
            return train, test
        half = train or test
        if half and any(map(_is_folder, _entries(folder / half).values())):
            raise DataFormatError(
                f"{folder} has {half} with folders in it, but no {pair[train is not None]}: add that, or name "
                f"{folder / half} to have a test split chosen from it."
            )
    return None


def _manifest(folder: Path, top: dict[str, os.DirEntry[str]]) -> DatasetManifest | None:
    if MANIFEST not in top:
        return None
    return find_manifest(folder)[0]


def _labels(folders: list[str], manifest: DatasetManifest | None, folder: Path) -> dict[str, int]:
    """The label of each class's folder."""
    if manifest and manifest.class_names:
        names = list(folder_names(manifest.class_names))
    else:
        numbers = all(name.isascii() and name.isdecimal() for name in folders)
        names = sorted(set(folders), key=lambda name: (int(name) if numbers else 0, name))
    if not names:
        raise DataFormatError(f"{folder} has no folders: make one per class, with the pictures of that class in it.")
    if len(names) > _MAX_CLASSES:
        raise DataFormatError(f"{folder} has {len(names)} folders: a dataset has at most {_MAX_CLASSES} classes.")
    return {name: label for label, name in enumerate(names)}


def _files(root: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield ``(path within the class, path, problem)`` of each file of a class."""
    failed: list[OSError] = []
    for folder, names, files in walk_folders(root, failed.append):
        names[:] = (name for name in names if not is_litter(name))
        for name in sorted([*files, *(name for name in names if Path(folder, name).is_symlink())]):
            if is_litter(name):
                continue
            path = Path(folder, name)
            problem = _problem(path)
            if not problem and path.suffix.lower() not in _ENDINGS:
                problem = f"its name doesn't end in {', '.join(_ENDINGS)}"
            yield path.relative_to(root).as_posix(), path, problem
    for error in failed:
        path = Path(error.filename)
        yield path.relative_to(root).as_posix(), path, f"can't be listed: {error.strerror}"


def _problem(entry: Path | os.DirEntry[str]) -> str:
    mode = os.lstat(entry).st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is no regular file"


def _printable(name: str) -> str:
    """A folder's name as text: bytes of it that aren't UTF-8 are written out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
