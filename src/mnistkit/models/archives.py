"""Validate untrusted zip archives and ``.npy`` headers before reading them.

Names, sizes and headers are checked first; an array's memory is allocated only when its bytes are there.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mnistkit.errors import ModelError, UnsafeModelError
from mnistkit.models.skops_schema import SCHEMA_FILE, check_schema

if TYPE_CHECKING:  # loads numpy
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MAX_MEMBERS", "arrays_to_bytes", "check_skops", "read_arrays"]

MAX_MEMBERS: Final = 10_000
"""How many members a model's archive may have."""

_MIN_INFLATED_LIMIT_BYTES, _MAX_INFLATION_RATIO = 16 << 20, 20
_CHUNK_BYTES = 1 << 16
_NPY_MAGIC, _ZIP_MAGICS = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
_HEADER_PATTERN = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z][0-9]*)', 'fortran_order': (?:True|False), 'shape': \(([0-9, ]*)\), \} *\n"
)
_MAX_HEADER_BYTES = 10_000  # numpy's own limit


def check_skops(data: bytes, source: str) -> None:
    """Refuse a skops file that could fill the memory or the stack, or take forever, before skops reads it.

    Args:
        data: The file.
        source: What it is, for messages.

    Raises:
        UnsafeModelError: It has too many members, a compressed one or overlapping ones; JSON that is nested too deep,
            or whose references multiply it or the arrays; an array whose header claims more than its bytes; an
            archive within that unpacks to far more than its size.
        zipfile.BadZipFile: It isn't an archive.
    """
    sizes: dict[str, int] = {}
    with _opened(data, source) as archive:
        for member in archive.infolist():
            sizes[member.filename] = max(sizes.get(member.filename, 0), member.file_size)
            if member.filename == SCHEMA_FILE:
                continue
            with archive.open(member) as stream:
                start = stream.read(len(_NPY_MAGIC))
                if start == _NPY_MAGIC:
                    _check_array(
                        start + stream.read(_MAX_HEADER_BYTES + 6), member.file_size, f"{source}: {member.filename}"
                    )
                elif start.startswith(_ZIP_MAGICS):
                    inflated = _check_nested(start + stream.read(), f"{source}: {member.filename}")
                    sizes[member.filename] = max(sizes[member.filename], inflated)
        for member in archive.infolist():
            if member.filename == SCHEMA_FILE:
                check_schema(archive, member, sizes, source)


def read_arrays(data: bytes, expected: Mapping[str, int], source: str) -> dict[str, NDArray[Any]]:
    """Read an uncompressed ``.npz`` of numbers and texts: nothing is unpickled, nothing inflated.

    Args:
        data: The file.
        expected: Exactly these arrays, with so many dimensions.
        source: What it is, for messages.

    Returns:
        Writable copies, by name.

    Raises:
        UnsafeModelError: It isn't that: a compressed member, another set of arrays, an array of objects, or a header
            that claims another size than its bytes have.
        ModelError: It isn't an archive, or is damaged.
    """
    try:
        return _read_arrays(data, expected, source)
    except ModelError:
        raise
    except Exception as error:  # a damaged archive is any error of zipfile's, EOFError and RuntimeError among them
        raise ModelError(f"{source} is damaged, or no .npz: {type(error).__name__}: {error}") from error


def arrays_to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the ``.npz`` that `read_arrays` reads; equal arrays give equal bytes."""
    import numpy as np

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return stream.getvalue()


def _read_arrays(data: bytes, expected: Mapping[str, int], source: str) -> dict[str, NDArray[Any]]:
    arrays = {}
    with _opened(data, source) as archive:
        names = [member.filename for member in archive.infolist()]
        if sorted(names) != sorted(f"{name}.npy" for name in expected):
            raise UnsafeModelError(
                f"{source} holds {', '.join(sorted(names)[:10]) or 'nothing'}; expected {', '.join(sorted(expected))}."
            )
        for name, dimensions in expected.items():
            array = _array(archive.read(f"{name}.npy"), f"{source}: {name}")
            if array.ndim != dimensions:
                raise UnsafeModelError(f"{source}: {name} has shape {array.shape}, expected {dimensions} dimensions.")
            arrays[name] = array
    return arrays


def _opened(data: bytes, source: str) -> zipfile.ZipFile:
    """Return the archive, if it has few members, all of them uncompressed, and none overlaps another."""
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:  # each member has this signature: counted before any is parsed
        raise UnsafeModelError(f"{source} has more than {MAX_MEMBERS} members: no model's file has so many.")
    archive = zipfile.ZipFile(io.BytesIO(data))
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            raise UnsafeModelError(
                f"{source}: its member {member.filename!r:.80} is compressed and could unpack to any size. "
                "Save the model again, with mnistkit.save_model or without compression."
            )
    if sum(max(member.file_size, member.compress_size) for member in archive.infolist()) > len(data):
        raise UnsafeModelError(f"{source}: its members claim more bytes than it has: it was forged or damaged.")
    return archive


def _check_array(start: bytes, size: int, source: str) -> None:
    """Compare what the header of an npy file claims with the ``size`` that the file has."""
    dtype, shape, offset = _npy_header(start, source)
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or not dtype.itemsize or min(shape, default=0) < 0 or claimed != size - offset:
        raise UnsafeModelError(
            f"{source} claims an array of {dtype} with shape {shape!s:.80}, {claimed} bytes; it has {size - offset}."
        )


def _array(content: bytes, source: str) -> NDArray[Any]:
    import numpy as np

    if content[: len(_NPY_MAGIC)] != _NPY_MAGIC:
        raise UnsafeModelError(f"{source} isn't an array.")
    _check_array(content, len(content), source)
    dtype, _, _ = _npy_header(content, source)
    if dtype.kind not in "biufU":
        raise UnsafeModelError(f"{source} holds {dtype}, expected numbers or texts.")
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array


def _npy_header(start: bytes, source: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype, shape, and the offset of the data."""
    import numpy as np

    size, skip = (2, 10) if start[6:7] == b"\x01" else (4, 12)
    length = int.from_bytes(start[8 : 8 + size], "little")
    match = _HEADER_PATTERN.fullmatch(start[skip : skip + length]) if length <= _MAX_HEADER_BYTES else None
    try:
        if match:  # as numpy writes it: read without its parser, which takes its time
            return np.dtype(match[1].decode()), tuple(int(n) for n in match[2].split(b",") if n.strip()), skip + length
        stream = io.BytesIO(start)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python 2 wrote
            shape, _, dtype = read(stream, max_header_size=_MAX_HEADER_BYTES)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise UnsafeModelError(
            f"{source}: its header isn't that of an array: {type(error).__name__}: {error!s:.200}"
        ) from error
    return dtype, shape, stream.tell()


def _check_nested(data: bytes, source: str) -> int:
    """Inflate an archive within the archive (a sparse matrix) piece by piece, and refuse it once it is too large.

    Returns:
        The number of bytes that it unpacks to.
    """
    limit = max(_MIN_INFLATED_LIMIT_BYTES, _MAX_INFLATION_RATIO * len(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if len(archive.infolist()) > MAX_MEMBERS:
            raise UnsafeModelError(f"{source} has more than {MAX_MEMBERS} members.")
        inflated = 0
        for member in archive.infolist():
            start, size = b"", 0
            for piece in _pieces(archive, data, member, source):
                start = start if len(start) > _MAX_HEADER_BYTES else start + piece
                size += len(piece)
                inflated += len(piece)
                if inflated > limit:
                    raise UnsafeModelError(
                        f"{source} has {len(data)} bytes and unpacks to more than {limit}: it could fill the memory."
                    )
            if start.startswith(_NPY_MAGIC):
                _check_array(start, size, f"{source}: {member.filename}")
    return inflated


def _pieces(archive: zipfile.ZipFile, data: bytes, member: zipfile.ZipInfo, source: str) -> Iterator[bytes]:
    """Yield what a member unpacks to, in pieces of bounded size, whatever it claims."""
    if member.compress_type == zipfile.ZIP_STORED:
        with archive.open(member) as stream:
            while piece := stream.read(_CHUNK_BYTES):
                yield piece
        return
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise UnsafeModelError(f"{source}: {member.filename!r:.80} is compressed in a way that no model needs.")
    at = member.header_offset
    name, extra = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (26, 28))
    packed = memoryview(data)[at + 30 + name + extra :][: member.compress_size]
    inflater = zlib.decompressobj(-15)
    while not inflater.eof:
        fed = inflater.unconsumed_tail
        if not fed:
            fed, packed = bytes(packed[:_CHUNK_BYTES]), packed[_CHUNK_BYTES:]
        piece = inflater.decompress(
            fed, _CHUNK_BYTES
        )  # may hold back more than it returns, with nothing left to be fed
        if not piece and not fed:
            return
        yield piece
