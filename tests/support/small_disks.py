"""Small file systems, and what fills them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

FILL = """
import os
def fill(folder, left=0):
    with open(os.path.join(folder, "fill"), "ab", buffering=0) as stream:
        for size in (65536, 4096, 512, 1):
            try:
                while os.statvfs(folder).f_bavail * 4096 > left:
                    stream.write(bytes(size))
            except OSError:
                pass
"""
"""Source of a function that leaves ``left`` bytes in the file system of a folder."""


@contextlib.contextmanager
def small_disk(folder: Path, size: int, *, files: int = 0) -> Iterator[Path]:
    """Yield a folder with a file system of ``size`` bytes of its own; skip the test without the right to mount one.

    Args:
        folder: Is made.
        size: Of the file system.
        files: How many files it has room for; 0 for no limit.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={files}", "none", str(folder)]
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not is_root or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def make_read_only(folder: Path) -> None:
    """Make the file system that `small_disk` mounted one that can only be read; nothing may be open for writing."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)


def fill(folder: Path, left: int = 0) -> None:
    """Fill the file system of a folder with a file ``fill``."""
    space: dict[str, object] = {}
    exec(FILL, space)  # noqa: S102 - the same code that scripts of tests run
    space["fill"](str(folder), left)  # type: ignore[operator]
