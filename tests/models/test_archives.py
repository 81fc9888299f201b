"""Hostile archives: refused at once, in little memory, before any library that loads models sees them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from mnistkit.errors import ModelError, UnsafeModelError
from mnistkit.models.archives import arrays_to_bytes, check_skops, read_arrays
from mnistkit.models.persistence import loads_model
from mnistkit.models.skops_schema import MAX_DEPTH

_MB = 1 << 20
_MEASURED = pytest.mark.skipif(
    sys.platform != "linux", reason="a peak of memory of one program alone is Linux's to tell"
)

# What a call costs in a process of its own: that process's peak of memory only ever grows.
_COST = """
import json, sys, time
from pathlib import Path
import numpy, mnistkit.models.persistence
naive = sys.argv[2] == "naive"
if naive:
    import skops.io, sklearn.linear_model, sklearn.preprocessing
data = Path(sys.argv[1]).read_bytes()
def peak():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM")) << 10
before = peak()
start = time.perf_counter()
try:
    if naive:
        skops.io.loads(data, trusted=["scipy.sparse._csr.csr_matrix"])
    else:
        mnistkit.models.persistence.loads_model(data, "skops", trusted=["scipy.sparse._csr.csr_matrix"])
    outcome = "loaded"
except Exception as error:
    outcome = type(error).__name__
seconds = time.perf_counter() - start
print(json.dumps([outcome, seconds, peak() - before]))
"""


def _archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _npy(shape: str, dtype: str = "<f8", content: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def _model() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return _members(skops.io.dumps(LogisticRegression().fit(rng.random((20, 3)), np.arange(20) % 2)))


def _matrix() -> dict[str, bytes]:
    """A skops file with a sparse matrix, which is an archive in the archive."""
    return _members(skops.io.dumps(FunctionTransformer(kw_args={"matrix": sparse.eye(4, format="csr")})))


def _with_array(content: bytes) -> bytes:
    members = _model()
    return _archive(members | {next(name for name in members if name.endswith(".npy")): content})


def _deflate_bomb() -> bytes:
    members = _model()
    first = next(name for name in members if name.endswith(".npy"))
    return _archive(members | {first: _npy(f"({8 * _MB},)", content=bytes(64 * _MB))}, zipfile.ZIP_DEFLATED)


def _nested_bomb() -> bytes:
    members = _matrix()
    name = next(each for each in members if each.endswith(".npz"))
    inner = _members(members[name])
    n = 8 * _MB
    inner["data.npy"] = _npy(f"({n},)", "<f8", bytes(8 * n))
    return _archive(members | {name: _archive(inner, zipfile.ZIP_DEFLATED)})


def _forged_sizes() -> bytes:
    bomb = _deflate_bomb()
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        member = max(archive.infolist(), key=lambda each: each.file_size)
    claim = member.file_size.to_bytes(4, "little")
    return bomb.replace(claim, (100).to_bytes(4, "little"))


def _overlapping() -> bytes:
    content = _archive(_model())
    at = content.index(b"PK\x01\x02") + 20
    return content[:at] + b"\xff\xff\xff\x7f" * 2 + content[at + 8 :]


_HOSTILE = {
    "a deflate bomb": _deflate_bomb,
    "a deflate bomb in a sparse matrix": _nested_bomb,
    "a bomb that claims 100 bytes": _forged_sizes,
    "members that claim 2 GB": _overlapping,
    "an array of 800 GB": lambda: _with_array(_npy("(100000000000,)")),
    "an array of 2 GB": lambda: _with_array(_npy("(250000000,)")),
    "10^11 texts of no length": lambda: _with_array(_npy("(100000000000,)", "<U0")),
    "negative lengths": lambda: _with_array(_npy("(-2, -3)", content=bytes(48))),
    "a header of 5000 digits": lambda: _with_array(_npy(f"({'9' * 5000},)")),
    "100000 members": lambda: _archive({str(n): b"" for n in range(100_000)}),
    "JSON 10000 deep": lambda: _archive(_model() | {"schema.json": b'{"a":' * 10_000 + b"1" + b"}" * 10_000}),
    "JSON 100000 lists deep": lambda: _archive(_model() | {"schema.json": b"[" * 100_000}),
}


@_MEASURED
@pytest.mark.parametrize("case", _HOSTILE)
def test_hostile_file_costs_nothing(case: str, tmp_path: Path) -> None:
    """Each hostile file is an `UnsafeModelError` with less than 20 MB more memory, and doesn't take long."""
    outcome, seconds, memory = _cost(_HOSTILE[case](), "ours", tmp_path)
    assert outcome == "UnsafeModelError"
    assert memory < 20 * _MB
    assert seconds < 5
    print(f"{case}: {seconds * 1000:.0f} ms, {memory / _MB:.1f} MB")


@_MEASURED
@pytest.mark.parametrize(
    "case", ["a deflate bomb", "a deflate bomb in a sparse matrix", "a bomb that claims 100 bytes"]
)
def test_bombs_go_off(case: str, tmp_path: Path) -> None:
    """Where nothing looks at them first, the bombs of these tests do fill the memory."""
    _, _, memory = _cost(_HOSTILE[case](), "naive", tmp_path)
    assert memory > 20 * _MB


def _cost(content: bytes, how: str, folder: Path) -> tuple[str, float, int]:
    (folder / "hostile").write_bytes(content)
    command = [sys.executable, "-c", _COST, str(folder / "hostile"), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    outcome, seconds, memory = json.loads(done.stdout)
    return outcome, seconds, memory


def test_harmless_files_pass() -> None:
    """Ordinary files pass: arrays of many types, a sparse matrix, brackets and quotes in texts."""
    odd = FunctionTransformer(
        kw_args={
            "texts": np.array(['[[[["\\"', "}}{{"] * 400),
            "brackets": '["' * 600 + "\\",
            "empty": np.zeros((0, 3)),
            "scalar": np.float32(1),
            "structured": np.zeros(2, dtype=[("a", "<f8"), ("b", "<i4", (2,))]),
            "big": np.zeros(3, dtype=">i2"),
            "matrix": sparse.random(300, 300, density=0.1, format="csr", random_state=0),
            "much in little": sparse.csr_matrix(
                (np.zeros(1 << 20), np.zeros(1 << 20, int), [0, 1 << 20]), shape=(1, 1)
            ),
        }
    )
    content = skops.io.dumps(odd)
    check_skops(content, "it")
    assert loads_model(content, "skops", trusted=[sparse.csr_matrix]).kw_args["brackets"] == odd.kw_args["brackets"]


def test_depth_has_a_limit() -> None:
    """JSON as deep as the limit passes, a level more doesn't."""
    for depth in (MAX_DEPTH, MAX_DEPTH + 1):
        content = _archive({"schema.json": b"[" * depth + b"]" * depth})
        if depth > MAX_DEPTH:
            with pytest.raises(UnsafeModelError, match="deeper than 500"):
                check_skops(content, "it")
        else:
            check_skops(content, "it")


# --- arrays ---------------------------------------------------------------------------------------------------------


def test_arrays_come_back() -> None:
    """Arrays of numbers and texts come back equal, writable; equal arrays are equal bytes."""
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(["x", "yz"]), "c": np.zeros((0, 2), np.uint8)}
    content = arrays_to_bytes(arrays)
    found = read_arrays(content, {"a": 2, "b": 1, "c": 2}, "it")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.writeable
    assert arrays_to_bytes(dict(reversed(arrays.items()))) == content
    with np.load(io.BytesIO(content)) as plain:
        np.testing.assert_array_equal(plain["a"], arrays["a"])


def test_other_arrays_are_refused() -> None:
    """Objects, other sets of arrays, other dimensions, compressed members and lying headers are refused."""
    objects = io.BytesIO()
    np.savez(objects, a=np.array([None]))
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.zeros(3))
    for content in (
        objects.getvalue(),
        packed.getvalue(),
        arrays_to_bytes({"b": np.zeros(3)}),
        arrays_to_bytes({"a": np.zeros(3), "b": np.zeros(3)}),
        arrays_to_bytes({"a": np.zeros((3, 1))}),
        arrays_to_bytes({"a": np.zeros(3, dtype=[("x", "<f8")])}),
        arrays_to_bytes({"a": np.zeros(3, dtype="M8[s]")}),
        _archive({"a.npy": _npy("(100000000000,)")}),
        _archive({"a.npy": _npy("(1,)", content=bytes(9))}),
        _archive({"a.npy": _npy("(1,)", content=bytes(7))}),
        _archive({"a.npy": b"nonsense"}),
        _archive({"a.npy": b"\x93NUMPY\x09\x00\x10\x00" + bytes(16)}),
    ):
        with pytest.raises(UnsafeModelError):
            read_arrays(content, {"a": 1}, "it")


def test_no_cut_or_flip_changes_an_array() -> None:
    """Of all single-bit flips and cuts of a file of arrays, each is an error or leaves what they hold."""
    array = np.arange(4.0)
    content = arrays_to_bytes({"a": array})
    flipped = (
        content[:i] + bytes([content[i] ^ 1 << bit]) + content[i + 1 :] for i in range(len(content)) for bit in range(8)
    )
    cut = (content[:i] for i in range(len(content)))
    accepted = 0
    for bad in (*flipped, *cut):
        try:
            found = read_arrays(bad, {"a": 1}, "it")["a"]
        except ModelError:
            continue
        np.testing.assert_array_equal(found, array)
        accepted += 1
    assert accepted < len(content) * 8 / 4


# --- references ------------------------------------------------------------------------------------------------------


def _node(loader: str, content: object, saved: object, **more: object) -> dict[str, object]:
    kind = {"ListNode": "list", "TupleNode": "tuple", "DictNode": "dict", "CachedNode": "list"}[loader]
    return {
        "__class__": kind,
        "__module__": "builtins",
        "__loader__": loader,
        "content": content,
        "__id__": saved,
        **more,
    }


def _laughs(
    depth: int, *, loader: str = "ListNode", again: str = "CachedNode", times: int = 2, same: object = int
) -> bytes:
    """Nodes each of which holds the one before several times, by references to its id."""
    node = _node(loader, {} if loader == "DictNode" else [], 1, key_types=_node("ListNode", [], None))
    for number in range(1, depth):
        reference = _node(again, [], same(number))  # type: ignore[operator]  # int, float or str
        children = [node, *[reference] * (times - 1)]
        content = dict(zip("abcdefgh", children, strict=False)) if loader == "DictNode" else children
        node = _node(loader, content, number + 1, key_types=_node("ListNode", [], None))
    return _schema(node)


def _schema(node: dict[str, object]) -> bytes:
    return _archive({"schema.json": json.dumps({**node, "protocol": 2, "_skops_version": "0.16.0"}).encode()})


@pytest.mark.parametrize(
    "bomb",
    [
        _laughs(60),
        _laughs(160, again="ListNode"),
        _laughs(60, loader="TupleNode"),
        _laughs(60, loader="DictNode"),
        _laughs(60, same=float),
        _laughs(12, times=8),
        _schema(_node("ListNode", [_node("ListNode", [_node("CachedNode", [], 1)] * 2, 2)] * 3, 1)),
        _archive({"schema.json": b'{"protocol":2,"a":[' + b"{}," * 400_001 + b"{}]}"}),
    ],
    ids=["cached", "repeated", "tuples", "dicts", "float ids", "wide", "cycle", "many"],
)
def test_shared_nodes_are_refused_at_once(bomb: bytes) -> None:
    """References that multiply a file's objects, or lead back to them, are refused before skops reads the file."""
    start = time.perf_counter()
    with pytest.raises(UnsafeModelError, match=r"references|contain themselves|more than 400000 objects"):
        check_skops(bomb, "the model")
    assert time.perf_counter() - start < 5


def test_forged_references_never_reach_skops(tmp_path: Path) -> None:
    """Loading refuses them, in a process of its own and within seconds: skops alone would never end."""
    (tmp_path / "bomb.skops").write_bytes(_laughs(60))
    done = subprocess.run(
        [sys.executable, "-c", _COST, str(tmp_path / "bomb.skops"), "ours"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)[0] == "UnsafeModelError"


def test_honest_sharing_is_loaded() -> None:
    """Objects that a model uses many times load: skops writes their content each time."""
    shared = {"weights": [0.5] * 50}
    model = FunctionTransformer(kw_args={"tables": [shared] * 300})
    loaded = loads_model(skops.io.dumps(model), "skops")
    assert loaded.kw_args["tables"] == model.kw_args["tables"]


def test_a_few_references_are_loaded() -> None:
    """Cached nodes, which other releases of skops may write, load as long as they don't multiply."""
    first = _node("ListNode", [], 1)
    assert (
        loads_model(_schema(_node("ListNode", [first] + [_node("CachedNode", [], 1)] * 500, 2)), "skops") == [[]] * 501
    )
