"""How a dataset lies in folders of pictures: halves, a folder per class, and names that every file system takes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mnistkit.errors import StorageError, UsageError
from mnistkit.utils.files import sync

__all__ = ["check_free", "folder_names", "new_folder"]

_LONGEST = 80
_UNFIT = re.compile(r'[<>:"/\\|?*%\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|^[. ]|[. ]$')
_TAKEN = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|thumbs\.db|desktop\.ini|dataset\.json", re.IGNORECASE)


def folder_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """A folder's name for each class: its own name, with what a file system may refuse written as ``%2F``.

    No two are the same, also where case doesn't count: ``a`` after ``A`` is ``a~36``, with its label.
    """
    taken: set[str] = set()
    names = []
    for label, class_name in enumerate(class_names):
        name = _UNFIT.sub(_quoted, class_name)
        if not name or _TAKEN.fullmatch(name) or len(name.encode()) > _LONGEST or _folded(name) in taken:
            name = f"{name[: _LONGEST // 4]}~{label}"
        while _folded(name) in taken:
            name += "~"
        taken.add(_folded(name))
        names.append(name)
    return tuple(names)


def check_free(out: Path) -> None:
    """Make sure that `new_folder` may make ``out``.

    Raises:
        UsageError: It is there, and not an empty folder.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise UsageError(f"{out} is there already: name a folder that isn't, or an empty one.")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Fill a folder that becomes ``out`` when all went well; otherwise, interrupted or not, nothing stays behind.

    Args:
        out: What isn't there yet, or is an empty folder.

    Raises:
        UsageError: It is there, and not empty.
        StorageError: It can't be made.
    """
    out = out.absolute()
    check_free(out)
    staging = out.with_name(f".{out.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        staging.mkdir(parents=True)
        yield staging
        sync(staging)
        with contextlib.suppress(FileNotFoundError):
            out.rmdir()
        staging.rename(out)
        sync(out.parent)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"Can't write {out}: {error.strerror or error}. Name a folder in a place that can be written."
        ) from error
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _quoted(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
