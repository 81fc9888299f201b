"""Run folders as bytes, for backends that ship them to another machine and back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mnistkit.errors import DataFormatError, InvalidNameError
from mnistkit.utils.files import write_atomically
from mnistkit.utils.folders import regular_files
from mnistkit.utils.names import check_file

__all__ = ["MAX_UNPACKED_BYTES", "MAX_UNPACKED_FILES", "pack", "unpack"]

MAX_UNPACKED_FILES = 50_000
MAX_UNPACKED_BYTES = 20 * 2**30
_RECORD = "record.json"


def pack(folder: Path, *, leave_out: tuple[str, ...] = ()) -> bytes:
    """Return the regular files of a run folder as an uncompressed tar archive.

    The bytes depend on the names, contents and executable bits of the files alone: not on times, owners, the order in
    which the system lists files, or the folder's place. Links, pipes and devices are left out.

    Args:
        folder: A run folder.
        leave_out: Names in it, such as ``"code"``, that aren't packed.

    Raises:
        OSError: As the system says.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in sorted(regular_files(folder)):
            if name.partition("/")[0] in leave_out:
                continue
            with path.open("rb") as file:
                info = tarfile.TarInfo(name)  # its defaults: time 0, no owner
                status = path.stat()
                info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                archive.addfile(info, file)
    return stream.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of a packed run folder, which may come from a machine that nobody trusts.

    Everything is checked before anything is written. A file replaces one that is there as a whole, and ``record.json``
    comes last, so that a run whose record says that it finished has all its files. Files that aren't in ``data`` stay.

    Args:
        data: What `pack` returned.
        folder: The run folder; created if need be.

    Raises:
        DataFormatError: It isn't a packed run folder: not an archive, an entry that isn't a regular file, a name that
            leads out of the folder or occurs twice, or more than `MAX_UNPACKED_FILES` or `MAX_UNPACKED_BYTES`.
        OSError: As the system says.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = list(_checked(archive))
            folder.mkdir(parents=True, exist_ok=True)
            for part in ("logs", "outputs"):  # empty folders aren't packed
                (folder / part).mkdir(exist_ok=True)
            for member in sorted(members, key=lambda member: member.name == _RECORD):
                _write(archive, member, folder)
    except tarfile.TarError as error:
        raise DataFormatError(f"It isn't a packed run folder: {error}.") from error


def _checked(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    total, names = 0, set()
    for member in archive:
        total += member.size
        try:
            check_file(member.name)
        except InvalidNameError as error:
            raise DataFormatError(f"A packed run folder holds a file with a bad name: {error}") from error
        if not member.isreg() or member.issparse():
            raise DataFormatError(f"A packed run folder holds {member.name!r}, which isn't a regular file.")
        if member.name in names:
            raise DataFormatError(f"A packed run folder holds {member.name!r} twice.")
        names.add(member.name)
        if len(names) > MAX_UNPACKED_FILES or total > MAX_UNPACKED_BYTES:
            raise DataFormatError(
                f"A packed run folder holds more than {MAX_UNPACKED_FILES} files or {MAX_UNPACKED_BYTES >> 30} GiB."
            )
        yield member


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / member.name
    for parent in PurePosixPath(member.name).parents:
        if (folder / parent).is_symlink():  # a job may have left one there, in a folder that is written to again
            raise DataFormatError(f"{member.name!r} isn't written: {folder / parent} is a symbolic link.")
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None  # noqa: S101 - a regular file has one
    write_atomically(target, content.read())
    if member.mode & 0o100:
        target.chmod(0o755)
