"""Azure's Open Datasets: the hosts from which the SDK's engine reads MNIST's four files."""

from __future__ import annotations

import gzip
import logging
import secrets
import shutil
import struct
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from mnistkit.emulator.payloads import allow_query
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.public_files import container_response, file_response, is_listing
from mnistkit.emulator.store import Store
from mnistkit.emulator.synthetic import FILES, write_digits
from mnistkit.emulator.workspace import Workspace
from mnistkit.errors import NotFoundError

__all__ = ["OpenDatasets"]

_HOSTS = ("azureopendatastorage.azurefd.net", "azureopendatastorage.blob.core.windows.net")
_CONTAINER_NAME = "mnist"
_IMAGES_MAGIC = 0x803
_IMAGE_SHAPE = (28, 28)
_logger = logging.getLogger(__name__)


class OpenDatasets:
    """The container ``mnist``, open to everybody.

    Args:
        workspace: Its workspace.
        store: Keeps what was made or compressed.
        data: The folder with MNIST's four files, at any depth, as they are or gzipped; None for synthetic digits.

    Raises:
        NotFoundError: The folder lacks one of the files.
    """

    def __init__(self, workspace: Workspace, store: Store, data: Path | None = None) -> None:
        self._sources = None if data is None else _find(data)
        for file in (self._sources or {}).values():
            _warn_of_size(file)
        self._folder = store.folder / "opendatasets"
        self._lock = threading.Lock()

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return tuple(
            Route("GET|HEAD", pattern, handler, host=host, is_open=True)
            for host in _HOSTS
            for pattern, handler in (
                (f"/{_CONTAINER_NAME}", self._container),
                (f"/{_CONTAINER_NAME}/{{blob*}}", self._blob),
            )
        )

    @staticmethod
    def covers(host: str, container: str) -> bool:
        """Return True if a container of a host is this one."""
        return host in _HOSTS and container == _CONTAINER_NAME

    def files(self) -> dict[str, Path]:
        """Return the four files, by their names."""
        return {name: self._file(name) for name in FILES}

    def _container(self, request: Request) -> Response:
        files = [(name, self._file(name)) for name in FILES] if is_listing(request) else []
        return container_response(request, _CONTAINER_NAME, files)

    def _blob(self, request: Request, blob: str) -> Response:
        allow_query(request, "timeout")
        return file_response(request, self._file(blob))

    def _file(self, name: str) -> Path:
        if name not in FILES:
            raise Refusal(404, f"{_CONTAINER_NAME!r} has no blob {name!r}, only {FILES}.", code="BlobNotFound")
        source = self._sources[name] if self._sources else None
        if source is not None and source.suffix == ".gz":
            return source
        with self._lock:
            if source is None:
                folder = self._folder / "synthetic"
                if not folder.exists():
                    self._make(folder)
                return folder / name
            return self._compressed(source, name)

    def _make(self, folder: Path) -> None:
        self._folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            made = Path(scratch) / "digits"
            made.mkdir()
            write_digits(made)
            made.replace(folder)

    def _compressed(self, source: Path, name: str) -> Path:
        state = source.stat()
        file = self._folder / f"{state.st_mtime_ns:x}-{state.st_size:x}-{name}"
        if not file.exists():
            self._folder.mkdir(exist_ok=True)
            scratch = file.with_suffix(f".{secrets.token_hex(4)}")
            with source.open("rb") as raw, gzip.GzipFile(scratch, "wb", compresslevel=1, mtime=0) as packed:
                shutil.copyfileobj(raw, packed)
            scratch.replace(file)
        return file


def _warn_of_size(file: Path) -> None:
    """Log a warning if a file holds images of another size than MNIST's."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            magic, _, rows, columns = struct.unpack(">IIII", stream.read(16))
    except (OSError, EOFError, struct.error):
        return  # labels of few images are shorter; the reader reports what isn't IDX at all
    if magic == _IMAGES_MAGIC and (rows, columns) != _IMAGE_SHAPE:
        text = "%s holds images of %d x %d pixels; MNIST's are 28 x 28, and scripts for MNIST may not take others."
        _logger.warning(text, file, rows, columns)


def _find(data: Path) -> dict[str, Path]:
    """Return the four files in a folder: the first of each in order of their paths, gzipped ones before plain ones."""
    if not data.is_dir():
        raise NotFoundError(f"There is no folder {data}: name one with MNIST's four files, gzipped or not.")
    names = {name.removesuffix(suffix): name for name in FILES for suffix in ("", ".gz")}
    found: dict[str, Path] = {}
    for path in sorted(data.rglob("*"), key=lambda path: (path.suffix != ".gz", path.parts)):
        if path.name in names and path.is_file():
            found.setdefault(names[path.name], path)
    missing = sorted(set(FILES) - set(found))
    if missing:
        raise NotFoundError(
            f"{data} lacks {', '.join(missing)}: name a folder with MNIST's four files, gzipped or not."
        )
    return found
