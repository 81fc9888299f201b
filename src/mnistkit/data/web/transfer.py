"""Download of one file from one mirror: verified bytes under the final name, or an error."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import time
import uuid
from pathlib import Path

from attrs import frozen

from mnistkit.data.web.catalog import PinnedFile
from mnistkit.data.web.connection import TransferError, open_body
from mnistkit.utils import progress
from mnistkit.utils.redaction import public_url

__all__ = ["Patience", "transfer"]

_LARGE_BYTES = 100 << 20

_logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Patience:
    """Deadline and retries of a download.

    Attributes:
        deadline: Seconds for one file from one mirror, with all attempts. A file above 100 MiB gets more, in
            proportion to its size.
        attempts: Maximum number of tries after passing errors (429, 5xx, a broken connection).
        backoff: Seconds before the second attempt; doubled each time, with jitter.
        longest_wait: Maximum number of seconds to wait for a mirror's ``Retry-After``.
    """

    deadline: float = 300.0
    attempts: int = 3
    backoff: float = 0.5
    longest_wait: float = 10.0

    def seconds(self, size: int) -> float:
        """Return the deadline in seconds for a file of ``size`` bytes."""
        return self.deadline * max(1.0, size / _LARGE_BYTES)


def transfer(url: str, file: PinnedFile, folder: Path, *, patience: Patience, task: str) -> None:
    """Download ``file`` from ``url`` into ``folder``: under its name once it is complete and verified.

    Args:
        url: The file's.
        file: Its expected size and sha256.
        folder: An existing folder.
        patience: Deadline and retries.
        task: Its name in progress reports.

    Raises:
        TransferError: It failed; ``folder`` is as it was.
        OSError: ``folder`` can't be written.
    """
    done = 0
    try:
        _persist(url, file, folder, patience, task)
        done = file.info.size
    finally:
        progress.report(progress.Step(task, done, file.info.size, finished=True))


def _persist(url: str, file: PinnedFile, folder: Path, patience: Patience, task: str) -> None:
    end = time.monotonic() + patience.seconds(file.info.size)
    for attempt in range(1, patience.attempts + 1):
        try:
            return _attempt(url, file, folder, end, task)
        except TransferError as error:
            pause = patience.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
            if error.wait is not None:
                pause = min(error.wait, patience.longest_wait)
            if not error.passing or attempt == patience.attempts or time.monotonic() + pause >= end:
                raise
            _logger.info("%s: %s; trying again in %.1f s", public_url(url), error, pause)
        time.sleep(pause)
    return None


def _attempt(url: str, file: PinnedFile, folder: Path, end: float, task: str) -> None:
    partial = folder / f".{file.name}.{os.getpid()}.{uuid.uuid4().hex}.part"
    done = 0
    try:
        digest = hashlib.sha256()
        with open_body(url, file.info.size, end) as chunks, partial.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress.report(progress.Step(task, done, file.info.size))
            stream.flush()
            os.fsync(stream.fileno())
        if digest.hexdigest() != file.info.sha256:
            raise TransferError(f"{file.name} has sha256 {digest.hexdigest()}, expected {file.info.sha256}")
        partial.replace(folder / file.name)
    finally:
        partial.unlink(missing_ok=True)
