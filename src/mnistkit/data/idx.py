"""The IDX format of the MNIST files: two zero bytes, type, number of dimensions, dimensions, data, all big-endian.

The format is Yann LeCun's, from the page of the MNIST database. A reader of files from strangers goes in this
order: header first, size limit second, inflate third; so a file costs no more than it says and than is allowed.
Gzip is inflated by isal (the extra ``fast``) where it is installed, else by Python's own zlib.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import io
import math
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError, NotFoundError, StorageError, UsageError
from mnistkit.utils.arguments import check_path
from mnistkit.utils.files import write_atomically
from mnistkit.utils.regular import open_file

__all__ = [
    "DEFAULT_MAX_BYTES",
    "check_file_size",
    "encode_idx",
    "idx_header",
    "parse_idx",
    "read_idx",
    "read_idx_bytes",
    "read_idx_header",
    "write_idx",
]

DEFAULT_MAX_BYTES = 256 * 2**20

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _TYPES.items()}
_MAX_DIMENSIONS = 4
_LONGEST_HEADER = 4 + 4 * _MAX_DIMENSIONS
_LARGEST_DIMENSION = 2**32 - 1

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window size for exactly one gzip member, with its checksum
_SLICE = 256 * 2**10
_PIECE = 2**20
_MAX_WAITING_PIECES = 3  # inflated, but not yet put into their place


@frozen
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes before the data."""
        return 4 + 4 * len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_idx(
    data: bytes | memoryview,
    *,
    source: str = "<bytes>",
    max_bytes: int = DEFAULT_MAX_BYTES,
    on_inflated: Callable[[bytes], object] | None = None,
) -> NDArray[Any]:
    """The array that IDX bytes hold, plain or gzip (told by the first two bytes).

    Takes no more memory than the header declares, whatever the gzip stream would inflate to.

    Args:
        data: The whole file.
        source: Where it came from, for the message.
        max_bytes: The most bytes of data that the header may declare.
        on_inflated: Called with one piece of the plain file after the other, header included, on a thread of its own
            while the rest of a gzip stream is still being inflated, so before its checksum is verified. Plain data
            calls nothing.

    Returns:
        1 to 4 dimensions of uint8, int8, int16, int32, float32 or float64, in native byte order, C-contiguous
        and read-only. It may share the memory of ``data``, which it keeps alive.

    Raises:
        DataFormatError: The bytes are anything but exactly one IDX array; names the field, expected and got.
    """
    zipped = data[:2] == _GZIP_MAGIC
    head = _peek(data, source) if zipped else bytes(data[:_LONGEST_HEADER])
    header = _parse_header(head, source)
    _check_limit(header, max_bytes, source)
    array = _native(_inflate(data, header, source, on_inflated) if zipped else _view(data, header, source))
    array.flags.writeable = False
    return array


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> NDArray[Any]:
    """The array that an IDX file holds, plain or gzip, whatever its name. See `parse_idx`.

    Raises:
        NotFoundError: There is no such file.
        StorageError: It can't be read.
        DataFormatError: It is larger than ``max_bytes`` allows, or anything but exactly one IDX array.
    """
    return parse_idx(read_idx_bytes(path, max_bytes=max_bytes), source=str(path), max_bytes=max_bytes)


def read_idx_bytes(path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """The bytes of an IDX file, not yet parsed; a file too large to hold ``max_bytes`` of data is refused unread.

    Raises:
        NotFoundError: There is no such file.
        StorageError: It can't be read.
        DataFormatError: It is larger than ``max_bytes`` allows.
    """
    check_path(path, "path")
    try:
        with open_file(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            check_file_size(path, size, max_bytes)
            return stream.read(size + 1)  # a device or a growing file isn't read without end; one byte too many shows
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} isn't there: name an IDX file.") from error
    except OSError as error:
        raise StorageError(f"Can't read {path}: {error.strerror or error}. Name a readable IDX file.") from error


def check_file_size(path: str | os.PathLike[str], size: int, max_bytes: int) -> None:
    """Refuse a file that is too large to hold ``max_bytes`` of data: a sparse file of any size costs nothing to make.

    Raises:
        DataFormatError: It is.
    """
    limit = _longest_file(max_bytes)
    if size > limit:
        raise _refusal(str(path), "file size", f"at most {limit} bytes for max_bytes={max_bytes}", f"{size} bytes")


def read_idx_header(path: str | os.PathLike[str]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The type and the dimensions of a plain IDX file, whose data begins ``4 + 4 * len(dimensions)`` bytes in.

    Raises:
        DataFormatError: It isn't one, is compressed, or doesn't have the size that its header says.
        OSError: It can't be read.
    """
    source = str(path)
    with open_file(path) as stream:
        header = _parse_header(stream.read(_LONGEST_HEADER), source)
        size = os.fstat(stream.fileno()).st_size
    expected = header.size + header.nbytes
    if size != expected:
        raise _refusal(source, "size", f"{expected} bytes", f"{size} bytes")
    return header.dtype, header.shape


def encode_idx(array: NDArray[Any]) -> bytes:
    """An array as uncompressed IDX bytes; the inverse of `parse_idx`.

    Args:
        array: 1 to 4 dimensions of uint8, int8, int16, int32, float32 or float64, in any byte order and layout.

    Raises:
        UsageError: IDX can't hold such an array.
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        held = ", ".join(dtype.name for dtype in _CODES)
        raise UsageError(f"IDX can't hold {array.dtype}: convert the array to one of {held}.")
    if not 1 <= array.ndim <= _MAX_DIMENSIONS or max(array.shape) > _LARGEST_DIMENSION:
        raise UsageError(
            f"IDX can't hold shape {array.shape}: use 1 to {_MAX_DIMENSIONS} dimensions up to {_LARGEST_DIMENSION}."
        )
    flat = np.ascontiguousarray(array, dtype=_TYPES[code]).reshape(-1)
    return b"".join((_header(code, array.shape), flat.view(np.uint8).data))


def idx_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an IDX file of uint8 in this shape, which its data follows line by line."""
    return _header(_CODES[np.dtype(np.uint8)], shape)


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write an array as an IDX file, atomically; gzip if the name ends in ``.gz``. Equal arrays give equal bytes.

    A folder that isn't there is created.

    Raises:
        UsageError: IDX can't hold such an array.
        StorageError: The file can't be written.
    """
    path, data = Path(path), encode_idx(array)
    if path.suffix.lower() == ".gz":
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
            stream.write(data)
        data = packed.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise StorageError(
            f"Can't write {path}: {error.strerror or error}. Name a file in a writable folder."
        ) from error


def _header(code: int, shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def _refusal(source: str, field: str, expected: object, got: object) -> DataFormatError:
    return DataFormatError(f"{source}: {field}: expected {expected}, got {got}.")


def _parse_header(head: bytes, source: str) -> _Header:
    """The header in the first bytes of the file; ``head`` may be longer or too short."""
    if len(head) < 4 or head[:2] != b"\0\0":  # noqa: PLR2004 - the magic number's four bytes
        raise _refusal(source, "magic number", "00 00, type, dimensions (an IDX file)", head[:4].hex(" ") or "no bytes")
    dtype, dimensions = _TYPES.get(head[2]), head[3]
    if dtype is None:
        raise _refusal(source, "type", f"one of {', '.join(f'0x{code:02x}' for code in _TYPES)}", f"0x{head[2]:02x}")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise _refusal(source, "number of dimensions", f"1 to {_MAX_DIMENSIONS}", dimensions)
    length = 4 + 4 * dimensions
    if len(head) < length:
        raise _refusal(source, "dimensions", f"a header of {length} bytes", f"{len(head)} bytes")
    return _Header(dtype, struct.unpack_from(f">{dimensions}I", head, 4))


def _check_limit(header: _Header, max_bytes: int, source: str) -> None:
    # As if no dimension were 0: numpy can't hold the strides of an empty array whose other dimensions are huge.
    if math.prod(max(length, 1) for length in header.shape) * header.dtype.itemsize > max_bytes:
        got = f"shape {header.shape} of {header.dtype.name}"
        raise _refusal(source, "dimensions", f"at most max_bytes={max_bytes} bytes of data", got)


def _longest_file(nbytes: int) -> int:
    """How long the file of so much data may be: gzip adds a little to what it can't compress, and a file name."""
    return nbytes + nbytes // 8 + _SLICE


def _view(data: bytes | memoryview, header: _Header, source: str) -> NDArray[Any]:
    got = len(data) - header.size
    if got != header.nbytes:
        raise _refusal(source, "data", f"{header.nbytes} bytes for shape {header.shape}", f"{got} bytes")
    return np.frombuffer(data, np.uint8)[header.size :].view(header.dtype).reshape(header.shape)


@functools.cache
def _inflater() -> ModuleType:
    """Return the faster module with zlib's interface if it is installed, else zlib."""
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        return zlib


def _peek(data: bytes | memoryview, source: str) -> bytes:
    """The first bytes of a gzip stream's content, as far as the first slice of the stream holds them."""
    module = _inflater()
    try:
        head: bytes = module.decompressobj(_GZIP).decompress(memoryview(data)[:_SLICE], _LONGEST_HEADER)
    except module.error as error:
        raise _refusal(source, "gzip stream", "an intact one", error) from error
    return head


def _inflate(
    data: bytes | memoryview, header: _Header, source: str, on_inflated: Callable[[bytes], object] | None
) -> NDArray[Any]:
    """The array in a gzip stream whose header is known, each piece put into its place while the next is inflated."""
    longest = _longest_file(header.size + header.nbytes)
    if len(data) > longest:
        raise _refusal(source, "gzip stream", f"at most {longest} bytes for shape {header.shape}", f"{len(data)} bytes")
    array = np.empty(header.shape, header.dtype)
    target, done, pending = array.reshape(-1).view(np.uint8), -header.size, deque[Future[None]]()

    def put(piece: bytes, at: int) -> None:
        content = np.frombuffer(piece, np.uint8)[max(-at, 0) :]  # the first begins with the header
        np.copyto(target[max(at, 0) : at + len(piece)], content)  # lets the inflater run, as slices of bytes don't
        if on_inflated:
            on_inflated(piece)

    with ThreadPoolExecutor(1) as pool:
        for piece in _pieces(data, source, min(_PIECE, header.size + header.nbytes + 1)):
            if done + len(piece) > header.nbytes:
                raise _refusal(source, "data", f"{header.nbytes} bytes for shape {header.shape}", "more")
            pending.append(pool.submit(put, piece, done))
            done += len(piece)
            if len(pending) > _MAX_WAITING_PIECES:
                pending.popleft().result()
        for future in pending:
            future.result()
    if done != header.nbytes:
        raise _refusal(source, "data", f"{header.nbytes} bytes for shape {header.shape}", f"{done} bytes")
    return array


def _pieces(data: bytes | memoryview, source: str, size: int) -> Iterator[bytes]:
    """Yield the content of the one gzip member that ``data`` is, in pieces of at most ``size``.

    The member's end, its checksum and what follows are checked.
    """
    module, view = _inflater(), memoryview(data)
    inflater = module.decompressobj(_GZIP)
    for start in range(0, len(data), _SLICE):
        rest: bytes | memoryview = view[start : start + _SLICE]
        piece = None
        while piece is None or len(piece) == size:
            try:
                piece = inflater.decompress(rest, size)
            except module.error as error:
                raise _refusal(source, "gzip stream", "an intact one", error) from error
            if piece:
                yield piece
            rest = inflater.unconsumed_tail
        if inflater.eof:
            trailing = max(len(data) - start - _SLICE, 0) + len(inflater.unused_data)
            if trailing:
                raise _refusal(source, "gzip stream", "one member and nothing after it", f"{trailing} more bytes")
            return
    raise _refusal(source, "gzip stream", "its end and checksum", f"the end of the file after {len(data)} bytes")


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """The same values in the machine's byte order, swapped in place where the memory is our own."""
    if array.dtype.isnative:
        return array
    swapped: NDArray[Any] = array.byteswap(inplace=array.flags.writeable)
    return swapped.view(array.dtype.newbyteorder("="))
