"""The files that hold blobs."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.store import Store

__all__ = ["ARTIFACT_CONTAINER", "BlobFiles", "alias_of", "check_names", "md5_of", "name_of_alias"]

ARTIFACT_CONTAINER = "azureml"
"""The container of artifacts, whose URLs have the blobs' names in another encoding."""

_CONTAINER_PATTERN = re.compile(r"(?!.*--)[a-z0-9$](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_NAME_CHARS = 1024
_BLOCKS_FOLDER = ".blocks"
_CHUNK_BYTES = 1 << 20


class BlobFiles:
    """Blobs in files.

    Each file is named by a hash, so that no blob's name, whatever it is, leads out of its container's folder.
    """

    def __init__(self, store: Store) -> None:
        self._table = store.table("blobs")
        self._lock = store.lock
        self._folder = store.folder / "blobs"

    def __contains__(self, place: tuple[str, str]) -> bool:
        return "/".join(place) in self._table

    def write(self, container: str, name: str, data: BinaryIO | bytes, **about: Any) -> None:
        """Write content as a blob, in the place of any other of that name."""
        scratch, md5 = _copied(data, self._place(container, name))
        self._commit(container, name, scratch, {"md5": md5, **about})

    def add_file(self, container: str, name: str, file: Path) -> None:
        """Write a copy of a file as a blob."""
        place = self._place(container, name)
        scratch = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
        shutil.copyfile(file, scratch)
        self._commit(container, name, scratch, {})

    def link_file(self, container: str, name: str, file: Path) -> None:
        """Write a file that never changes as a blob, without a copy of its content where the file system can."""
        place = self._place(container, name)
        scratch = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
        try:
            os.link(file, scratch)
        except OSError:
            shutil.copyfile(file, scratch)
        self._commit(container, name, scratch, {})

    def open_log(self, container: str, name: str) -> Path:
        """Make an empty blob; return its file, to be written to while others read the blob."""
        self.write(container, name, b"", md5=None, content_type="text/plain; charset=utf-8")
        return self._place(container, name)

    def read(self, container: str, name: str) -> bytes:
        """Return a blob's content.

        Raises:
            Refusal: 404: there is none.
        """
        return self.file(container, name).read_bytes()

    def file(self, container: str, name: str) -> Path:
        """Return the file that holds a blob's content; not to be changed.

        Raises:
            Refusal: 404: there is none.
        """
        file = self._place(container, name)
        if f"{container}/{name}" not in self._table or not file.exists():
            raise Refusal(404, f"The container {container!r} has no blob {name!r}.", code="BlobNotFound")
        return file

    def names(self, container: str, prefix: str = "") -> list[str]:
        """Return the names of a container's blobs that begin with ``prefix``, sorted."""
        start = len(container) + 1
        return sorted(key[start:] for key in self._table if key.startswith(f"{container}/{prefix}"))

    def delete(self, container: str, name: str) -> None:
        """Delete a blob.

        Raises:
            Refusal: 404: there is none.
        """
        file = self.file(container, name)
        with self._lock:
            del self._table[f"{container}/{name}"]
            file.unlink()

    def stage(self, container: str, name: str, block: str, data: BinaryIO) -> str:
        """Write a block that `join` can make a part of a blob; return its MD5."""
        folder = self._blocks(container, name)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / _hash(block)
        scratch, md5 = _copied(data, file)
        scratch.replace(file)
        return md5

    def join(self, container: str, name: str, blocks: Iterable[str], **about: Any) -> None:
        """Make a blob of staged blocks; all staged ones are gone then.

        Raises:
            Refusal: 400: one of them isn't staged.
        """
        folder = self._blocks(container, name)
        files = [folder / _hash(block) for block in blocks]
        if not all(file.exists() for file in files):
            raise Refusal(400, "The block list names a block that wasn't uploaded since.", code="InvalidBlockList")
        place = self._place(container, name)
        scratch = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
        with scratch.open("wb") as out:
            for file in files:
                with file.open("rb") as stream:
                    shutil.copyfileobj(stream, out)
        self._commit(container, name, scratch, about)
        shutil.rmtree(folder, ignore_errors=True)

    def append(self, container: str, name: str, data: BinaryIO, position: str = "") -> tuple[int, int]:
        """Append to an append blob.

        Args:
            container: Its container.
            name: Its name.
            data: What comes last from now on.
            position: Where the blob has to end before; empty for anywhere.

        Returns:
            Where it ended before, and how many blocks it has.

        Raises:
            Refusal: 404: there is no such blob; 409: it is of another type; 412: it ends elsewhere.
        """
        with self._lock, self._table.change(self._key(container, name)) as record:
            if record["type"] != "AppendBlob":
                raise Refusal(409, f"The blob {name!r} isn't an append blob.", code="InvalidBlobType")
            file = self.file(container, name)
            offset = file.stat().st_size
            if position not in {"", str(offset)}:
                raise Refusal(412, f"The blob ends at {offset}.", code="AppendPositionConditionNotMet")
            record["blocks"] = record.get("blocks", 0) + 1
            with file.open("ab") as out:
                shutil.copyfileobj(data, out)
            return offset, record["blocks"]

    def describe(self, container: str, name: str, **about: Any) -> None:
        """Change attributes of a blob, such as its ``content_type``.

        Raises:
            Refusal: 404: there is none.
        """
        with self._table.change(self._key(container, name)) as record:
            record.update(about)

    def facts(self, container: str, name: str) -> dict[str, Any]:
        """Return a blob's ``type``, ``content_type``, ``metadata``, ``md5``, ``size``, ``modified`` and ``etag``.

        Raises:
            Refusal: 404: there is none.
        """
        state = self.file(container, name).stat()
        etag = f'"0x{state.st_mtime_ns:X}{state.st_size:X}"'
        return self._table[f"{container}/{name}"] | {"size": state.st_size, "modified": state.st_mtime, "etag": etag}

    def _key(self, container: str, name: str) -> str:
        self.file(container, name)
        return f"{container}/{name}"

    def _commit(self, container: str, name: str, scratch: Path, about: Mapping[str, Any]) -> None:
        usual: dict[str, Any] = {
            "type": "BlockBlob",
            "content_type": "application/octet-stream",
            "metadata": {},
            "md5": None,
        }
        with self._lock:
            scratch.replace(self._place(container, name))
            self._table[f"{container}/{name}"] = usual | dict(about)

    def _place(self, container: str, name: str) -> Path:
        check_names(container, name)
        folder = self._folder / container
        folder.mkdir(parents=True, exist_ok=True)
        return folder / _hash(name)

    def _blocks(self, container: str, name: str) -> Path:
        check_names(container, name)
        return self._folder / container / _BLOCKS_FOLDER / _hash(name)


def check_names(container: str, name: str) -> None:
    """Check that a container and a blob can have these names.

    Raises:
        Refusal: 400: they can't.
    """
    if not _CONTAINER_PATTERN.fullmatch(container):
        raise Refusal(400, f"{container!r} can't be a container's name.", code="InvalidResourceName")
    parts = name.split("/")
    if not name or len(name) > _MAX_NAME_CHARS or "\0" in name or ".." in parts or "\\" in name:
        raise Refusal(400, f"{name[:80]!r} can't be a blob's name.", code="InvalidUri")


def alias_of(name: str) -> str:
    """Return a blob's name as it stands in an artifact's URL: safe there, as some clients encode names twice."""
    return quote(name, safe="/").replace("~", "%7E").replace("%", "~")


def name_of_alias(alias: str) -> str:
    """Return the name of the blob that an artifact's URL addresses."""
    return unquote(alias.replace("~", "%"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def md5_of(stream: BinaryIO) -> str:
    """Return the MD5 of a stream's content, as HTTP writes it."""
    digest = hashlib.md5(usedforsecurity=False)
    while part := stream.read(_CHUNK_BYTES):
        digest.update(part)
    return base64.b64encode(digest.digest()).decode()


def _copied(data: BinaryIO | bytes, place: Path) -> tuple[Path, str]:
    """Return a file beside a place that holds the content, and its MD5."""
    scratch = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
    with io.BytesIO(data) if isinstance(data, bytes) else data as stream, scratch.open("wb") as out:
        shutil.copyfileobj(stream, out)
    with scratch.open("rb") as stream:
        return scratch, md5_of(stream)
