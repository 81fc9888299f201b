"""One file from one mirror: verified bytes under the final name, or a reason; nothing in between."""

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
from mnistkit.data.web.connection import TransferError, open_body, public_url
from mnistkit.utils import progress

__all__ = ["Patience", "transfer"]

_LARGE = 100 << 20

_logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Patience:
    """How long a download may take.

    Attributes:
        deadline: Seconds for one file from one mirror, with all attempts. A file above 100 MiB gets more, in
            proportion to its size.
        attempts: How often a passing error (429, 5xx, a broken connection) is met with another try.
        backoff: Seconds before the second attempt; doubled each time, with jitter.
        longest_wait: Seconds. The most that a mirror's ``Retry-After`` is waited for.
    """

    deadline: float = 300.0
    attempts: int = 3
    backoff: float = 0.5
    longest_wait: float = 10.0

    def seconds(self, size: int) -> float:
        """The deadline for a file of ``size`` bytes."""
        return self.deadline * max(1.0, size / _LARGE)


def transfer(url: str, file: PinnedFile, folder: Path, *, patience: Patience, task: str) -> None:
    """Download ``file`` from ``url`` into ``folder``: under its name once it is complete and verified.

    Args:
        url: Of the file.
        file: What to expect.
        folder: An existing folder.
        patience: How long to try.
        task: What progress reports call it.

    Raises:
        TransferError: It could not be had; ``folder`` is as it was.
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
