"""The ways of data to the workers: as bytes, over a shared folder, or fetched by each of them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.dask._sdk import Connection
from mnistkit.data.fetching import fetch_folder
from mnistkit.data.packing import pack_dataset
from mnistkit.data.source import DataSource, SupportsDigests, SupportsSize
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.plugins import data_source
from mnistkit.utils.files import sha256_hex

__all__ = ["DATA_MODES", "Shipment", "Shipping"]

DATA_MODES = ("ship", "shared", "fetch")
_MAX_KEPT = 4
_SHARED_FOLDER = "datasets"


@frozen(kw_only=True)
class Shipment:
    """Data on its way.

    Attributes:
        future: Of the packed data, for the task; None if it doesn't travel with it.
        digest: Its sha256; empty without it.
        path: Where workers find it; empty if they don't.
    """

    future: Any = None
    digest: str = ""
    path: str = ""


class Shipping:
    """Sends each content to a cluster once, however many runs use it."""

    def __init__(self, connection: Connection, home: Path, mode: str, max_bytes: int) -> None:
        """Make it.

        Raises:
            UsageError: ``mode`` is none of `DATA_MODES`.
        """
        if mode not in DATA_MODES:
            raise UsageError(f"data={mode!r}: use one of {', '.join(DATA_MODES)}.")
        self._connection = connection
        self._home = home
        self._mode = mode
        self._max_bytes = max_bytes
        self._packing = threading.Lock()
        self._kept: dict[str, Shipment] = {}
        self._is_visible = False

    def check(self, source: DataSource) -> None:
        """Refuse, before anything is fetched, data that can't reach the workers.

        Raises:
            UsageError: It is too large to ship, a worker doesn't see the home that is said to be shared, or the source
                can't be made from its uri on another machine.
            ServiceError: The scheduler doesn't respond.
        """
        if self._mode == "ship" and isinstance(source, SupportsSize):
            self._check_size(source.size() or 0, source)
        elif self._mode == "fetch":
            try:
                data_source(source.uri)
            except MnistkitError as error:
                raise UsageError(
                    f"Workers can't fetch {source.uri} by themselves ({error}): use data='ship' or data='shared'."
                ) from error
        elif self._mode == "shared" and not self._connection.is_ours and not self._is_visible:
            self._check_home()

    def shipment(self, source: DataSource) -> Shipment:
        """Return what a task gets of the data, fetched and sent if need be.

        Raises:
            UsageError: It is too large to ship, or workers don't see the folder that it lies in.
            MnistkitError: As from the source.
        """
        if self._mode == "fetch":
            return Shipment()
        if self._mode == "shared":
            return self._shared(source)
        with self._packing:
            content = "\n".join(sorted(source.digests().values())) if isinstance(source, SupportsDigests) else ""
            known = self._kept.get(content)
            if known is None:
                packed = pack_dataset(Path(fetch_folder(source).path))
                self._check_size(len(packed), source)
                digest = sha256_hex(packed)
                known = Shipment(future=self._connection.ship(f"mnistkit-data-{digest}", packed), digest=digest)
                if content:
                    self._kept[content] = known
                    while len(self._kept) > _MAX_KEPT:
                        del self._kept[next(iter(self._kept))]
            return known

    def _shared(self, source: DataSource) -> Shipment:
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in source.uri)[:64].strip(".")
        path = str(source.fetch(self._home / _SHARED_FOLDER / name).absolute())
        if not self._connection.is_ours and not all(self._connection.visibility(path).values()):
            raise UsageError(f"Workers don't see {path}: put the data below the shared home.")
        return Shipment(path=path)

    def _check_size(self, size: int, source: DataSource) -> None:
        if size > self._max_bytes:
            raise UsageError(
                f"{source.uri} has {size >> 20} MiB, more than the {self._max_bytes >> 20} that are shipped: set "
                "data='shared' with a home that all workers see, or data='fetch', or max_shipped_bytes."
            )

    def _check_home(self) -> None:
        """Refuse a home that a worker doesn't see."""
        self._home.mkdir(parents=True, exist_ok=True)
        sees = self._connection.visibility(str(self._home))
        missing = sorted(worker for worker, is_there in sees.items() if not is_there)
        if missing:
            raise UsageError(
                f"data='shared' needs a home that every worker sees, and {', '.join(missing)} can't see {self._home}: "
                "use a folder of a shared file system, or data='ship'."
            )
        self._is_visible = bool(sees)
