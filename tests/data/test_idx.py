"""The IDX reader and writer: exact, strict and cheap, also for files from strangers."""

from __future__ import annotations

import gzip
import importlib.util
import random
import struct
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from mnistkit.data import idx
from mnistkit.data.idx import DEFAULT_MAX_BYTES, encode_idx, parse_idx, read_idx, read_idx_bytes, write_idx
from mnistkit.errors import DataFormatError, NotFoundError, StorageError, UsageError

MIB = 2**20
DTYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
TINY = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(np.dtype(dtype), npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


INFLATERS = {"isal": "isal.isal_zlib", "zlib-ng": "zlib_ng.zlib_ng", "zlib": "zlib"}


@pytest.fixture(params=INFLATERS, autouse=True, scope="module")
def inflater(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs on each inflater that is installed: the others are made as if they weren't."""
    module = INFLATERS[request.param]
    if not importlib.util.find_spec(module.partition(".")[0]):
        pytest.skip(f"{request.param} isn't installed")
    with pytest.MonkeyPatch.context() as patch:
        for other in set(INFLATERS.values()) - {module, "zlib"}:
            patch.setitem(sys.modules, other, None)
        idx._inflater.cache_clear()
        yield module
    idx._inflater.cache_clear()


def zipped(data: bytes, level: int = 9) -> bytes:
    """One gzip member, the same every time."""
    return gzip.compress(data, level, mtime=0)


def naive_parse(data: bytes) -> NDArray[np.uint8]:
    """What everybody writes first; the fault tests are shown to catch it."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3], count=int(np.prod(shape))).reshape(shape)


def header(*shape: int, code: int = 8) -> bytes:
    """An IDX header."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def deflate_bomb(head: bytes, megabytes: int) -> bytes:
    """A gzip stream of ``head`` and so many megabytes of zeros, put together from copies of one deflated block."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    content = zlib.crc32(head), len(head)
    for _ in range(megabytes if megabytes < 100 else 0):  # the checksum of the large ones is never reached
        content = zlib.crc32(bytes(MIB), content[0]), content[1] + MIB
    return start + block * megabytes + b"\x03\x00" + struct.pack("<II", *content)


def long_name(content: bytes, length: int) -> bytes:
    """A gzip stream whose header names a file in so many characters."""
    plain = zipped(content)
    return plain[:3] + b"\x08" + plain[4:10] + b"a" * length + b"\0" + plain[10:]


def flips(data: bytes) -> Iterator[bytes]:
    """Each single-bit flip of ``data``."""
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def outcome(parse: Callable[[bytes], NDArray[Any]], data: bytes) -> str:
    """What became of parsing: "refused", the array's type, shape and bytes, or the name of an unexpected error."""
    try:
        array = parse(data)
    except DataFormatError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - anything else is the finding
        return type(error).__name__
    return f"{array.dtype}{array.shape}{array.tobytes().hex()}"


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that were allocated at once during ``work``."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(arrays)
@settings(max_examples=500, deadline=None)
def test_round_trip(array: NDArray[Any]) -> None:
    """Every type, shape and value, NaN payloads included, comes back bit by bit, plain and gzip."""
    data = encode_idx(array)
    for packed in (data, zipped(data)):
        back = parse_idx(packed)
        assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert back.dtype.isnative
        assert back.flags.c_contiguous
        assert back.flags.aligned
        assert not back.flags.writeable


@given(arrays, st.sampled_from("<>"), st.booleans())
@settings(max_examples=200, deadline=None)
def test_byte_order_and_layout_do_not_matter(array: NDArray[Any], order: str, fortran: bool) -> None:
    """Equal arrays are written as equal bytes, whatever their byte order and memory layout."""
    other = np.array(array.astype(array.dtype.newbyteorder(order)), order="F" if fortran else "C")
    assert encode_idx(other) == encode_idx(array)
    assert encode_idx(other[::-1]) == encode_idx(np.ascontiguousarray(array[::-1]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_are_those_of_the_format(dtype: str) -> None:
    """The type code, the dimensions and the values are big-endian, as the format's page says."""
    values = [1, 2, 100]
    letter = dict(zip(DTYPES, "BbhifdQ", strict=False))[dtype]
    expected = bytes([0, 0, CODES[dtype], 1, 0, 0, 0, 3]) + struct.pack(f">3{letter}", *values)
    assert encode_idx(np.array(values, dtype)) == expected
    assert parse_idx(expected).tolist() == values
    assert parse_idx(expected).dtype == np.dtype(dtype)


def test_tiny_file_is_understood() -> None:
    """A file written by hand gives the array that it spells."""
    assert parse_idx(TINY).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert parse_idx(zipped(TINY)).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_array_outlives_the_bytes() -> None:
    """The result keeps its memory alive when the caller drops the file's bytes."""
    data = bytearray(encode_idx(np.arange(100_000, dtype=np.uint8)))
    array = parse_idx(bytes(data))
    del data
    np.testing.assert_array_equal(array, np.arange(100_000, dtype=np.uint8))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 28, 28), (2, 0, 3, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_size(shape: tuple[int, ...], dtype: str) -> None:
    """An array without elements keeps its shape, plain and gzip; a byte of data too many is refused."""
    data = encode_idx(np.zeros(shape, dtype))
    for packed in (data, zipped(data)):
        assert parse_idx(packed).shape == shape
    for packed in (data + b"x", zipped(data + b"x")):
        with pytest.raises(DataFormatError, match="data: expected 0 bytes"):
            parse_idx(packed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "s: magic number: expected 00 00, type, dimensions (an IDX file), got no bytes."),
        (TINY[:3], "s: magic number: expected 00 00, type, dimensions (an IDX file), got 00 00 08."),
        (b"<!DOCTYPE html>", "s: magic number: expected 00 00, type, dimensions (an IDX file), got 3c 21 44 4f."),
        (
            header(1, code=0x0A) + b"x",
            "s: type: expected one of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, got 0x0a.",
        ),
        (bytes([0, 0, 8, 0]), "s: number of dimensions: expected 1 to 4, got 0."),
        (header(1, 1, 1, 1, 1) + b"x", "s: number of dimensions: expected 1 to 4, got 5."),
        (TINY[:11], "s: dimensions: expected a header of 12 bytes, got 11 bytes."),
        (TINY[:-1], "s: data: expected 6 bytes for shape (2, 3), got 5 bytes."),
        (TINY + b"\0", "s: data: expected 6 bytes for shape (2, 3), got 7 bytes."),
        (zipped(TINY[:-1]), "s: data: expected 6 bytes for shape (2, 3), got 5 bytes."),
        (zipped(TINY + b"\0"), "s: data: expected 6 bytes for shape (2, 3), got more."),
        (zipped(TINY) + b"?", "s: gzip stream: expected one member and nothing after it, got 1 more bytes."),
        (zipped(TINY) * 2, f"got {len(zipped(TINY))} more bytes."),
        (zipped(TINY)[:-8], "s: gzip stream: expected its end and checksum, got the end of the file after"),
        (zipped(b""), "s: magic number: expected 00 00, type, dimensions (an IDX file), got no bytes."),
        (zipped(TINY[:-6]) + zipped(TINY[-6:]), "s: gzip stream: expected one member"),
        (b"\x1f\x8b\x07" + bytes(20), "s: gzip stream: expected an intact one, got "),
    ],
)
def test_refusal_names_source_field_expected_and_got(data: bytes, message: str) -> None:
    """Each thing that can be wrong has its own message, with the source, the field, expected and got."""
    with pytest.raises(DataFormatError) as caught:
        parse_idx(data, source="s")
    assert message in str(caught.value)
    assert str(caught.value).startswith("s: ")


@pytest.mark.parametrize(
    "data",
    [TINY + b"?", zipped(TINY) * 2, zipped(TINY + b"?"), b"\x01" + TINY[1:]],
    ids=["trailing", "two members", "trailing within", "magic"],
)
def test_naive_reader_accepts_what_is_refused(data: bytes) -> None:
    """Trailing bytes, a second member and a wrong magic number pass the naive reader, and not this one."""
    assert naive_parse(data).shape == (2, 3)
    with pytest.raises(DataFormatError):
        parse_idx(data)


@pytest.mark.parametrize("packed", [TINY, zipped(TINY)], ids=["plain", "gzip"])
def test_every_truncation_is_refused(packed: bytes) -> None:
    """No proper prefix of a file passes for a file."""
    assert {outcome(parse_idx, packed[:length]) for length in range(len(packed))} == {"refused"}


def test_every_bit_flip_is_refused_or_harmless() -> None:
    """A gzip file with one flipped bit is refused, or decoded to the very same array; a naive reader trips over it."""
    packed = zipped(TINY)
    right = outcome(parse_idx, packed)
    seen = [outcome(parse_idx, flipped) for flipped in flips(packed)]
    assert set(seen) == {"refused", right}
    assert seen.count("refused") > len(seen) / 2
    naive = {outcome(naive_parse, flipped) for flipped in flips(packed)}
    assert naive - {"refused", outcome(naive_parse, packed)}


def test_bit_flips_of_a_plain_header_are_refused() -> None:
    """One flipped bit in the plain header never gives an array of other values: the sizes no longer fit."""
    seen = [outcome(parse_idx, flipped + TINY[12:]) for flipped in flips(TINY[:12])]
    kept = [result for result in seen if result != "refused"]
    assert kept == ["int8(2, 3)010203040506"]  # the one other type of the same width


@pytest.mark.parametrize(
    "shape",
    [
        (2**32 - 1,),
        (2**31, 2),
        (2**16, 2**16, 2**16, 2**16),
        (2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        (0, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        (2**32 - 1, 0, 2**32 - 1, 2**32 - 1),
        (DEFAULT_MAX_BYTES + 1,),
    ],
)
@pytest.mark.parametrize("pack", [bytes, zipped], ids=["plain", "gzip"])
def test_large_dimensions_are_refused_before_inflating(shape: tuple[int, ...], pack: Callable[[bytes], bytes]) -> None:
    """Dimensions whose product overflows, wraps to 0 or exceeds the limit are refused, in next to no memory."""
    data = pack(header(*shape))

    def parse() -> None:
        with pytest.raises(DataFormatError, match=rf"dimensions: expected at most max_bytes={DEFAULT_MAX_BYTES}"):
            parse_idx(data)

    assert peak_of(parse) < MIB


def test_limit_is_exact() -> None:
    """So many bytes of data as allowed are read, one byte more is refused; the type's width counts."""
    data = encode_idx(np.arange(10, dtype=np.int32))
    assert len(parse_idx(data, max_bytes=40)) == 10
    with pytest.raises(
        DataFormatError, match=r"expected at most max_bytes=39 bytes of data, got shape \(10,\) of int32"
    ):
        parse_idx(data, max_bytes=39)


BOMBS = {
    "4 GB declared": (lambda: deflate_bomb(header(4096, 1024, 1024), 4096), "dimensions"),
    "4 GB undeclared": (lambda: deflate_bomb(header(10, 28, 28), 4096), "gzip stream"),
    "half a million members": (lambda: zipped(b"") * 500_000, "magic number"),
    "members after the array": (lambda: zipped(TINY) + zipped(b"") * 500_000, "gzip stream"),
    "20 MB of file name": (lambda: long_name(TINY, 20_000_000), "magic number"),
    "20 MB of empty blocks": (
        lambda: zipped(TINY)[:10] + b"\x00\x12\x00\xed\xff" + TINY + b"\x00\x00\x00\xff\xff" * 4_000_000,
        "gzip stream",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_cheaply(name: str) -> None:
    """A file that is made to cost much costs little: well below a second, and a megabyte of memory."""
    make, field = BOMBS[name]
    bomb = make()

    def parse() -> None:
        with pytest.raises(DataFormatError, match=f"s: {field}: expected"):
            parse_idx(bomb, source="s")

    started = time.monotonic()
    parse()
    assert time.monotonic() - started < 5
    assert peak_of(parse) < MIB


def test_data_beyond_the_declared_size_is_not_inflated() -> None:
    """Inflating stops where the header says that the data ends; a naive reader takes all of the bomb."""
    bomb = deflate_bomb(header(500, 500), 64) + b""

    def parse() -> None:
        with pytest.raises(DataFormatError, match="data: expected 250000 bytes"):
            parse_idx(bomb)

    assert peak_of(parse) < 2 * MIB
    assert peak_of(lambda: naive_parse(bomb)) > 64 * MIB


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_memory_is_the_declared_size(dtype: str) -> None:
    """An honest gzip file takes its array's size and a few pieces on top, also where bytes are swapped.

    However far the thread that takes the pieces falls behind: there are 32 of them.
    """
    array = np.zeros(32 * MIB // np.dtype(dtype).itemsize, dtype)
    packed = zipped(encode_idx(array))
    assert peak_of(lambda: parse_idx(packed, on_inflated=lambda _: time.sleep(0.005))) < (32 + 8) * MIB


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED])
def test_any_honest_compressor_is_understood(level: int, strategy: int) -> None:
    """Stored, fixed and incompressible streams of several slices come out whole, with a file name of usual length."""
    array = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
    packer = zlib.compressobj(level, zlib.DEFLATED, 31, 9, strategy)
    data = encode_idx(array)
    packed = b"".join(packer.compress(data[at : at + 999]) for at in range(0, len(data), 999)) + packer.flush()
    assert len(packed) > 200_000
    for stream in (packed, long_name(data, 200)):
        np.testing.assert_array_equal(parse_idx(stream), array)
    assert outcome(parse_idx, packed[:-1]) == "refused"
    assert outcome(parse_idx, packed + b"\0") == "refused"
    assert outcome(parse_idx, packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:]) == "refused"


def mutated(random_: random.Random, seeds: list[bytes]) -> bytes:
    """A file with a few bytes changed, cut, doubled or inserted; sometimes packed after that."""
    data = bytearray(random_.choice(seeds))
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(data) + 1)
        kind = random_.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes([random_.choice([0, 1, 0x7F, 0x80, 0xFF, random_.randrange(256)])])
        elif kind == 1:
            del data[at : at + random_.randint(1, 8)]
        elif kind == 2:
            data[at:at] = random_.randbytes(random_.randint(1, 8))
        elif kind == 3:
            data[at:at] = data[: random_.randint(1, 40)]
        else:
            data[at : at + 4] = struct.pack(">I", random_.choice([0, 1, 2, 3, 2**16, 2**31, 2**32 - 1]))
    return zipped(bytes(data), 1) if random_.random() < 0.3 else bytes(data)


def exceptions_of(parse: Callable[[bytes], NDArray[Any]], count: int, seed: int = 20) -> dict[str, int]:
    """How often parsing mutated files raised what, DataFormatError apart."""
    random_ = random.Random(seed)
    seeds = [
        encode_idx(np.arange(6, dtype=dtype).reshape(shape))
        for dtype, shape in zip(DTYPES, [(6,), (2, 3), (1, 2, 3), (3, 1, 2), (1, 1, 2, 3), (6,)], strict=True)
    ]
    seeds += [zipped(seed) for seed in seeds]
    found: dict[str, int] = {}
    for _ in range(count):
        result = outcome(parse, mutated(random_, seeds))
        if result.endswith(("Error", "EOFError", "error", "Exception", "BadGzipFile")):
            found[result] = found.get(result, 0) + 1
    return found


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutated_files_only_raise_data_format_errors(count: int) -> None:
    """However a file is damaged, the reader returns an array or raises DataFormatError, in little memory."""
    assert exceptions_of(parse_idx, count) == {}


def test_mutations_find_the_naive_reader_out() -> None:
    """The same mutations make a naive reader raise all sorts of errors."""
    assert len(exceptions_of(naive_parse, 500)) >= 3


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_what_is_accepted_is_exactly_the_file(tail: bytes) -> None:
    """Bytes that are accepted are those that writing the array gives again."""
    for data in (tail, b"\0\0\x08\x01\0\0\0" + tail):
        try:
            array = parse_idx(data)
        except DataFormatError:
            continue
        assert encode_idx(array) == data


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, np.int64), "int64"),
        (np.zeros(3, np.uint16), "uint16"),
        (np.zeros(3, bool), "bool"),
        (np.zeros(3, np.float16), "float16"),
        (np.zeros(3, complex), "complex128"),
        (np.array(["a"]), "<U1"),
        (np.array([None]), "object"),
        (np.zeros(3, [("a", "u1")]), "'a'"),
        (np.array(3, np.uint8), r"shape \(\)"),
        (np.zeros((1,) * 5, np.uint8), r"shape \(1, 1, 1, 1, 1\)"),
        (np.zeros((0, 2**32), np.uint8), r"shape \(0, 4294967296\)"),
    ],
)
def test_arrays_that_idx_cannot_hold(array: NDArray[Any], message: str) -> None:
    """A type, number of dimensions or dimension beyond the format is a usage error that names it."""
    with pytest.raises(UsageError, match=rf"IDX can't hold .*{message}"):
        encode_idx(array)


@pytest.mark.parametrize("name", ["a-idx2-ubyte", "a-idx2-ubyte.gz", "a.GZ"])
def test_write_and_read(tmp_path: Path, name: str) -> None:
    """A file is gzip exactly if its name says so, reads back the same, and nothing else is left in the folder."""
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    write_idx(tmp_path / name, array)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.lower().endswith(".gz")
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_written_gzip_is_deterministic(tmp_path: Path) -> None:
    """Equal arrays give equal files under any name: no time and no file name is in them."""
    for name in ("one.gz", "two.gz"):
        write_idx(tmp_path / name, np.arange(6, dtype=np.uint8))
    data = (tmp_path / "one.gz").read_bytes()
    assert data == (tmp_path / "two.gz").read_bytes()
    assert data[3:10] == bytes([0, 0, 0, 0, 0, 2, 255])


def test_read_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    """A gzip file without ``.gz`` and a plain one with it are both read."""
    (tmp_path / "plain.gz").write_bytes(TINY)
    (tmp_path / "packed").write_bytes(zipped(TINY))
    assert read_idx(tmp_path / "plain.gz").tolist() == read_idx(tmp_path / "packed").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_read_refuses_a_large_file_by_its_size(tmp_path: Path) -> None:
    """A sparse file of a terabyte is refused unread, naming the file and both sizes."""
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(2**40)

    def read() -> None:
        with pytest.raises(DataFormatError) as caught:
            read_idx(path, max_bytes=MIB)
        assert str(caught.value).startswith(f"{path}: file size: expected at most ")
        assert str(caught.value).endswith(f"max_bytes={MIB}, got {2**40} bytes.")

    assert peak_of(read) < MIB


def test_read_of_an_endless_device_ends() -> None:
    """A device that never ends isn't read for ever."""
    device = Path("/dev/zero")
    if not device.exists():
        pytest.skip("this system has no /dev/zero")
    assert len(read_idx_bytes(device)) == 1
    with pytest.raises(DataFormatError, match="/dev/zero: magic number"):
        read_idx(device)


def test_stored_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    """The limit on the file leaves room for what gzip adds to data that it can't compress."""
    array = np.random.default_rng(1).integers(0, 256, 500_000, dtype=np.uint8)
    path = tmp_path / "noise.gz"
    path.write_bytes(zipped(encode_idx(array), 0))
    assert path.stat().st_size > array.nbytes
    np.testing.assert_array_equal(read_idx(path, max_bytes=array.nbytes), array)


def test_file_errors_are_named(tmp_path: Path) -> None:
    """A missing file, a folder in place of a file, and an unwritable place are errors that name the path."""
    with pytest.raises(NotFoundError, match="nothing-here isn't there"):
        read_idx(tmp_path / "nothing-here")
    with pytest.raises(StorageError, match="Can't read"):
        read_idx(tmp_path)
    with pytest.raises(StorageError, match=r"Can't write .*no-such-folder"):
        write_idx(tmp_path / "no-such-folder" / "a", np.zeros(1, np.uint8))
    assert list(tmp_path.iterdir()) == []
