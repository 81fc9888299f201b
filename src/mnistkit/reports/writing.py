"""Files of reports."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mnistkit.errors import StorageError
from mnistkit.utils.files import write_atomically

__all__ = ["default_name", "write_report"]

_MAX_NAME_CHARS = 80


def default_name(name: str) -> str:
    """Return the file for the report of a run or sweep of any name: ``report-NAME.html``."""
    return f"report-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)[:_MAX_NAME_CHARS]}.html"


def write_report(html: str, path: str | os.PathLike[str]) -> Path:
    """Write a report, and return where it is; a file that is there is replaced as a whole.

    Raises:
        StorageError: It can't be written.
    """
    path = Path(path)
    try:
        write_atomically(path, html.encode("utf-8", "backslashreplace"))
    except (OSError, ValueError) as error:  # "" and "." have no name
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The report can't be written to {path}: {reason}. Name a file in a folder that is there."
        ) from error
    return path
