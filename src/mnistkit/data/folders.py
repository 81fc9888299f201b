"""Data that is on this machine already: scikit-learn's digits, and the user's own folder of IDX files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import field, frozen

from mnistkit.data.idx import check_file_size, encode_idx
from mnistkit.data.importing.commands import import_hint
from mnistkit.data.layout import MAX_ARRAY_BYTES, find_idx_files, idx_name
from mnistkit.data.manifest import MANIFEST, DatasetManifest, find_manifest, read_manifest
from mnistkit.data.source import DataSource
from mnistkit.errors import ChecksumError, DataFormatError, NotFoundError, StorageError, UsageError
from mnistkit.utils.files import FileInfo, ensure_folder, file_info, sha256_hex, sha256_of, write_atomically
from mnistkit.utils.serialization import to_json

__all__ = ["DigitsSource", "FolderSource"]

_PINNED = {
    "train-images-idx3-ubyte": FileInfo(91984, "f58dbaf146c9b4363b701f16a605f05e741107a682443eb597ad556e1f41d0bc"),
    "train-labels-idx1-ubyte": FileInfo(1445, "d279e9b4e90c897bf9342de3de0d4cbc8eccebacfb3b0116cf4826c0c8d0be1d"),
    "t10k-images-idx3-ubyte": FileInfo(23056, "e652193fc4dc1b180e98707a6c6835d1f8cf84de8a3326da2a15977a9bd681c8"),
    "t10k-labels-idx1-ubyte": FileInfo(368, "a601a3ea5c22cf2b9a8b485f6331bb95473b1e6ea7825822080bf9222fa5e6e0"),
}
_MANIFEST = DatasetManifest(name="digits", class_names=tuple("0123456789"), inverted=True, centred=True, files=_PINNED)


@frozen
class DigitsSource(DataSource):
    """scikit-learn's `load_digits`: 1797 handwritten digits, ``8x8``, split into 1437 to train and 360 to test.

    Needs no network. The grey levels 0 to 16 are scaled to 0 to 255, rounded. The split takes every fifth image
    of each class for the test; it is the same everywhere, and so are the files, byte for byte.
    """

    @classmethod
    def from_uri(cls, uri: str) -> DigitsSource:
        """The source that ``"digits"`` means.

        Raises:
            UsageError: ``uri`` is anything else.
        """
        if uri != "digits":
            raise UsageError(f"{uri!r} isn't the digits dataset: use 'digits'.")
        return cls()

    @property
    def uri(self) -> str:
        """``"digits"``."""
        return "digits"

    def fetch(self, into: Path) -> Path:
        """Write the four IDX files and ``dataset.json`` into ``into``, as far as they aren't there and verified.

        Idempotent, and safe in several processes at once.

        Args:
            into: The folder; created if need be.

        Returns:
            ``into``.

        Raises:
            ChecksumError: The installed scikit-learn has other digits.
            StorageError: ``into`` lacks something and can't be written.
        """
        ensure_folder(into, "MNISTKIT_CACHE", writable=False)
        manifest = to_json(_MANIFEST)
        wanted = {**_PINNED, MANIFEST: FileInfo(len(manifest), sha256_hex(manifest))}
        bad = [name for name, expected in wanted.items() if not _is(into / name, expected)]
        made = {MANIFEST: manifest} if set(bad) <= {MANIFEST} else {**_digits(), MANIFEST: manifest}
        for name in bad:
            _place(into / name, made[name], wanted[name])
        return into

    def digests(self) -> Mapping[str, str]:
        """The pinned sha256s; see `SupportsDigests`."""
        return {MANIFEST: sha256_hex(to_json(_MANIFEST)), **{name: info.sha256 for name, info in _PINNED.items()}}


def _absolute(folder: Path) -> Path:
    return folder.absolute()


@frozen
class FolderSource(DataSource):
    """A folder that holds the four IDX files of a dataset, plain or ``.gz``, at any depth. Nothing is copied.

    Attributes:
        folder: Made absolute when the source is made.
        prefix: What the names of its files begin with, such as ``emnist-letters``, where several datasets lie in one
            folder; empty for the only one. With a prefix the four files are copied into the cache.
    """

    folder: Path = field(converter=_absolute)
    prefix: str = ""

    @classmethod
    def from_uri(cls, uri: str) -> FolderSource:
        """Return the source that ``"idx:<folder>"`` or ``"idx:<folder>#<prefix>"`` means.

        A relative folder is below the present one, ``~`` is the home. A folder that has a ``#`` in its own name wins.

        Raises:
            UsageError: ``uri`` doesn't start with ``idx:``, names no folder, or a ``~user`` that is unknown.
        """
        scheme, _, folder = uri.partition(":")
        if scheme != "idx" or not folder.strip():
            raise UsageError(f"{uri!r} names no folder of IDX files: use 'idx:<folder>', such as 'idx:~/data/mnist'.")
        prefix = ""
        if "#" in folder and not os.path.isdir(os.path.expanduser(folder)):  # noqa: PTH111, PTH112 - Path raises on odd names
            folder, _, prefix = folder.rpartition("#")
        try:
            return cls(Path(folder).expanduser(), prefix)
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"{uri!r}: {error}: write the folder without '~'.") from error

    @property
    def uri(self) -> str:
        """Return ``"idx:"``, the absolute folder, and ``#`` with the prefix if there is one."""
        return f"idx:{self.folder}{'#' + self.prefix if self.prefix else ''}"

    @property
    def dataset_name(self) -> str:
        """Return the name in ``dataset.json``, else the folder's; the `prefix` if there is one."""
        if self.prefix:
            return self.prefix.strip("-_.")
        try:
            return read_manifest(self.folder).name
        except (StorageError, DataFormatError):  # reading the data tells
            return self.folder.name

    def fetch(self, into: Path) -> Path:
        """Check that the four files are there and return their folder; ``into`` is left alone without a `prefix`.

        The files are found, not read: reading them tells whether they are whole. Idempotent.

        Args:
            into: Gets copies of the files that begin with the `prefix`; without one it isn't even created.

        Returns:
            `folder`, or ``into``.

        Raises:
            NotFoundError: There is no such folder.
            DataFormatError: A file is missing or ambiguous.
            StorageError: A file can't be copied.
        """
        paths = self._found()
        if not self.prefix:
            return self.folder
        try:
            return self._copied(paths, into)
        except OSError as error:
            raise StorageError(
                f"Can't copy {self.folder} to {into}: {error}. Make it readable, or make room."
            ) from error

    def _found(self) -> dict[str, Path]:
        if os.path.isfile(self.folder):  # noqa: PTH113 - Path.is_file raises on a name that is too long
            hint = import_hint(str(self.folder))
            raise NotFoundError(hint or f"{self.folder} is a file: name the folder that holds the four IDX files.")
        return find_idx_files(self.folder, self.prefix)

    def _copied(self, paths: Mapping[str, Path], into: Path) -> Path:
        """Copy the four files, as far as the same ones aren't there; each appears whole or not at all."""
        ensure_folder(into, "MNISTKIT_CACHE")
        infos = {}
        for path in paths.values():
            check_file_size(path, path.stat().st_size, MAX_ARRAY_BYTES)
        for role, path in paths.items():
            target = into / f"{idx_name(role)}{'.gz' if path.suffix.lower() == '.gz' else ''}"
            info = file_info(path)
            if not target.is_file() or file_info(target) != info:
                write_atomically(target, path.read_bytes())
            infos[target.name] = info
        for path in into.glob("*ubyte*"):
            if path.name not in infos:  # the plain file where there is a .gz now, or the other way round
                path.unlink(missing_ok=True)
        DatasetManifest(name=self.prefix.strip("-_."), files=infos).write(into)
        return into

    def size(self) -> int:
        """Return the bytes of the four files as they are; see `SupportsSize`."""
        return sum(path.stat().st_size for path in find_idx_files(self.folder, self.prefix).values())

    def digests(self) -> Mapping[str, str]:
        """The sha256 of each file: as ``dataset.json`` has it, which reading verifies, else of its bytes.

        Bytes are hashed once per process and file, unless it changes.
        """
        files = {path.relative_to(self.folder).as_posix(): path for path in self._found().values()}
        manifest, data = find_manifest(self.folder)
        listed = manifest.files if manifest else {}
        known = {MANIFEST: sha256_hex(data)} if manifest else {}
        try:
            for name, path in files.items():
                check_file_size(path, path.stat().st_size, MAX_ARRAY_BYTES)
                known[name] = listed[name].sha256 if name in listed else sha256_of(path)
        except OSError as error:
            raise StorageError(f"Can't read {self.folder}: {error}. Make it readable.") from error
        return known


def _digits() -> dict[str, bytes]:
    """The four files' bytes by name, made from scikit-learn's copy and verified."""
    import sklearn
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = ((bunch.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    labels = bunch.target.astype(np.uint8)
    test = np.zeros(len(labels), dtype=bool)
    test[np.argsort(labels, kind="stable")[::5]] = True
    arrays = (images[~test], labels[~test], images[test], labels[test])
    files = {name: encode_idx(array) for name, array in zip(_PINNED, arrays, strict=True)}
    for name, data in files.items():
        got = FileInfo(len(data), sha256_hex(data))
        if got != _PINNED[name]:
            raise ChecksumError(
                f"digits: {name} made from scikit-learn {sklearn.__version__} isn't the pinned one: "
                f"expected {_PINNED[name]}, got {got}. Install another version of scikit-learn."
            )
    return files


def _is(path: Path, expected: FileInfo) -> bool:
    try:
        return path.stat().st_size == expected.size and file_info(path) == expected
    except OSError:
        return False


def _place(path: Path, data: bytes, expected: FileInfo) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        if _is(path, expected):  # another process was faster; on Windows it may hold the file open
            return
        raise StorageError(
            f"Can't write {path}: {error.strerror or error}. "
            "Make it writable, or set MNISTKIT_CACHE to a folder that is."
        ) from error
