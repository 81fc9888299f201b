"""The rule for every name that becomes part of a path: models, aliases, run ids, files of a run.

Names are allow-listed, never cleaned: deny-lists of path traversal have been bypassed again and again.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from mnistkit.errors import InvalidNameError

__all__ = ["NAME_RULE", "check_file", "check_name", "default_model_name"]

NAME_RULE = (
    "1 to 64 ASCII letters, digits, '.', '_' or '-', starting and ending with a letter or digit, "
    "without '..', and not a reserved device name"
)

_MAX_NAME_CHARS = 64
_MODEL_PREFIX = "sklearn_"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_NOT_IN_NAMES = re.compile(r"(?:[^A-Za-z0-9._-]|\.{2,})+")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def check_name(name: str, what: str) -> str:
    """Return ``name`` if it may become one component of a path.

    Args:
        name: The text to check.
        what: What it names, for the message: ``"model name"``.

    Raises:
        InvalidNameError: It breaks `NAME_RULE`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name or _DEVICE.fullmatch(name):
        raise InvalidNameError(f"{name!r:.120} isn't a valid {what}: use {NAME_RULE}.")
    return name


def default_model_name(dataset: str) -> str:
    """Return the name that a dataset's models have by default: ``sklearn_mnist`` for ``mnist``.

    Args:
        dataset: Any text. What the rule for names doesn't allow becomes ``-``; accents are dropped.
    """
    plain = unicodedata.normalize("NFKD", dataset).encode("ascii", "ignore").decode()
    cleaned = _NOT_IN_NAMES.sub("-", plain).strip("-_.")
    kept = cleaned[: _MAX_NAME_CHARS - len(_MODEL_PREFIX)].strip("-_.")
    return f"{_MODEL_PREFIX}{kept or 'dataset'}"


def check_file(file: str, what: str = "file") -> PurePosixPath:
    """Return ``file`` as a relative POSIX path that stays below any folder it is joined to.

    Args:
        file: For example ``"outputs/model.skops"``.
        what: What it names, for the message.

    Raises:
        InvalidNameError: It is absolute, empty, climbs with ``..``, or has a backslash, a drive, a control character or
            bytes that aren't UTF-8.
    """
    bad = (
        not isinstance(file, str)
        or not file
        or len(file) > 1024  # noqa: PLR2004 - below every system's PATH_MAX
        or any(ord(c) < 32 or ord(c) == 127 or c in '\\:*?"<>|' for c in file)  # noqa: PLR2004 - control characters
        or any("\ud800" <= c <= "\udfff" for c in file)  # stands for a byte that isn't UTF-8
        or any(part in {"", ".", ".."} or part.endswith((" ", ".")) for part in file.split("/"))
        or any(_DEVICE.fullmatch(part) for part in file.split("/"))
    )
    if bad:
        raise InvalidNameError(f"{file!r:.120} isn't a valid {what}: use a relative path with '/' and without '..'.")
    return PurePosixPath(file)
