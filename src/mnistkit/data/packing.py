"""A dataset as bytes, for backends that ship it to another machine."""

from __future__ import annotations

import gzip
import io
import tarfile
import uuid
from pathlib import Path

import attrs

from mnistkit.data.idx import check_file_size
from mnistkit.data.layout import MAX_ARRAY_BYTES, ROLES, find_idx_files, idx_name
from mnistkit.data.manifest import MANIFEST, DatasetManifest, FileInfo, read_manifest
from mnistkit.errors import ChecksumError, DataFormatError
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.serialization import to_json

__all__ = ["pack_dataset", "unpack_dataset"]

_LEVEL = 6
_NAMES = frozenset({MANIFEST, *(f"{idx_name(role)}.gz" for role in ROLES)})


def pack_dataset(folder: Path) -> bytes:
    """Return the four IDX files of a folder, compressed, with their manifest, as an uncompressed tar archive.

    The bytes depend on the content of the files and of the manifest alone: not on names, times or the folder's place.
    A file that is a ``.gz`` already is packed as it is.

    Args:
        folder: Holds the files, as for `mnistkit.data.Dataset.from_folder`.

    Raises:
        NotFoundError: There is no such folder.
        DataFormatError: A file is missing or ambiguous.
        ChecksumError: A file isn't the one that ``dataset.json`` lists.
        OSError: As the system says.
    """
    manifest = read_manifest(folder)
    files = {}
    for role, path in sorted(find_idx_files(folder).items()):
        check_file_size(path, path.stat().st_size, MAX_ARRAY_BYTES)
        data = path.read_bytes()
        _verify(path.relative_to(folder).as_posix(), data, manifest)
        is_packed = path.suffix.lower() == ".gz"
        files[f"{idx_name(role)}.gz"] = data if is_packed else gzip.compress(data, _LEVEL, mtime=0)
    infos = {name: FileInfo(len(data), sha256_hex(data)) for name, data in files.items()}
    files[MANIFEST] = to_json(attrs.evolve(manifest, files=infos))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)  # its defaults: time 0, no owner
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def unpack_dataset(data: bytes, folder: Path) -> Path:
    """Write a packed dataset, unless ``folder`` is there already; return it. Safe in several processes at once.

    Args:
        data: What `pack_dataset` returned.
        folder: Belongs to this content alone, such as one that is named by the sha256 of ``data``.

    Raises:
        DataFormatError: It isn't a packed dataset.
        OSError: As the system says.
    """
    if folder.exists():
        return folder
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = {member.name: member for member in archive}
            if members.keys() != _NAMES or not all(member.isreg() for member in members.values()):
                raise DataFormatError(f"It isn't a packed dataset: it holds {', '.join(sorted(members))[:200]}.")
            partial.mkdir(parents=True)
            for name, member in members.items():
                content = archive.extractfile(member)
                assert content is not None  # noqa: S101 - a regular file has one
                (partial / name).write_bytes(content.read())
    except tarfile.TarError as error:
        raise DataFormatError(f"It isn't a packed dataset: {error}.") from error
    try:
        partial.rename(folder)
    except OSError:
        if not folder.exists():  # else another thread or process was faster
            raise
    return folder


def _verify(name: str, data: bytes, manifest: DatasetManifest) -> None:
    """Compare a file with the manifest before it gets another one, which would hide the difference."""
    if manifest.files and manifest.files.get(name) != FileInfo(len(data), sha256_hex(data)):
        raise ChecksumError(f"{name} isn't the file that {MANIFEST} lists: restore it, or remove {MANIFEST}.")
