"""Reading files that another program could have written."""

from __future__ import annotations

import ast
import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import mnistkit
from mnistkit.errors import DataFormatError
from mnistkit.utils.documents import json_lines, parse_json, parse_toml, read_text
from mnistkit.utils.regular import open_below, read_regular
from mnistkit.utils.serialization import from_json, read_json

SOURCE = Path(mnistkit.__file__).parent
NOT_OURS = ("emulator", "testing", "azureml")
ALLOWED = {
    "data/folders.py": "IDX files, whose size was found by file_info",
    "data/web/recipes.py": "downloads whose sha256 is pinned",
    "evaluation/results.py": "model files, which models/archives.py bounds",
    "jobs/source_code.py": "the user's own source, listed by the file walk",
    "runs/folder/dispatcher.py": "orders of the program that started it",
    "models/skops_schema.py": "JSON in an archive, of which size and nesting were bounded before",
    "registry/files.py": "copies that were verified by sha256",
    "registry/manifest.py": "bytes that the registry read, checked value by value",
    "reports/data.py": "pictures of bounded size",
    "reports/page.py": "a file of the package",
    "runs/folder/child.py": "messages of the supervisor's own child",
    "runs/registration.py": "model files of a run, which models/archives.py bounds",
    "serving/package.py": "a package's version file and files that are compared with its sha256s",
    "serving/packaging.py": "files of the package",
    "serving/schema.py": "requests, bounded and strict in their own way",
    "serving/smoke.py": "responses of the program's own application",
    "utils/documents.py": "the one place",
}


@frozen
class Value:
    """A value of each type that is checked."""

    number: int
    share: float
    text: str
    flag: bool


def test_nothing_else_reads_documents() -> None:
    """A module that reads a file of another program's does so through `mnistkit.utils.documents`."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith(NOT_OURS):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            is_parser = node.func.attr in {"load", "loads"} and owner in {"json", "tomllib", "toml", "yaml"}
            if is_parser or node.func.attr in {"read_bytes", "read_text"}:
                found.add(name)
    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    "document",
    ['"\\ud800"', '{"\\udfff": 1}', "1e999", "-1e999", "1" + "0" * 400, "NaN", "Infinity", "[" * 66 + "]" * 66,
     "[" * 10**6, '{"a":' * 10**5, "", "{", "1" * 5000, b"\xff", b'"\xed\xa0\x80"', "[1e999, [[[2]]]]"]
)  # fmt: skip
def test_strange_json_is_refused(document: str | bytes) -> None:
    """Half characters, numbers beyond floats, constants, deep nesting; the error names the source."""
    with pytest.raises(DataFormatError, match="the source"):
        parse_json(document, "the source")


@pytest.mark.parametrize(
    "document",
    ['"\\ud83d\\ude00"', "1e308", "[" * 64 + "]" * 64, "1" + "0" * 300, '"e123"', '"1e999"', "[1.5, null]"],
)
def test_documents_at_the_limits_are_read(document: str) -> None:
    """Pairs of halves, the largest numbers, text that looks like a number."""
    import json

    assert parse_json(document, "it") == json.loads(document)


@pytest.mark.parametrize("text", ["a = [" * 5000, "a" * 2_000_000, "a = 1\na = 2", "[a" * 1000, "a." * 5000 + "b = 1"])
def test_strange_toml_is_refused(text: str) -> None:
    """Whatever is wrong, it is one error of ours, in time."""
    start = time.monotonic()
    with pytest.raises(DataFormatError):
        parse_toml(text, "it")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "change",
    [{"number": True}, {"number": 1.0}, {"number": "1"}, {"share": "nan"}, {"share": True}, {"share": None},
     {"text": 1}, {"text": None}, {"flag": 1}, {"flag": "no"}, {"more": 1}]
)  # fmt: skip
def test_values_of_other_types_are_refused(change: dict[str, Any]) -> None:
    """Nothing is converted silently."""
    import json

    plain = {"number": 1, "share": 0.5, "text": "x", "flag": False}
    assert from_json(json.dumps(plain), Value, "it") == Value(1, 0.5, "x", False)
    with pytest.raises(DataFormatError, match="it"):
        from_json(json.dumps({**plain, **change}), Value, "it")


def test_lines_are_read_one_by_one() -> None:
    """What is torn, strange or too long takes nothing from the others."""
    data = b'{"a":1}\n[1]\n{"a":\n' + b'{"a":' * 10_000 + b'\n{"b":"' + b"x" * 70_000 + b'"}\n\n{"a":1e999}\n{"a":2}'
    assert list(json_lines(data)) == [{"a": 1}, {"a": 2}]


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    """A pipe, a folder, a device, a sparse file of 100 GB, and a link unless links may be followed."""
    (tmp_path / "real").write_text('"x"')
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 100 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("link", "zero", "pipe", "folder", "sparse", "missing"):
        with pytest.raises(OSError, match=r"."):
            read_text(tmp_path / name)
    for name in ("zero", "pipe", "folder", "sparse"):
        with pytest.raises(OSError, match=r"."):
            read_regular(tmp_path / name, 1 << 20, follow=True)
    assert read_json(tmp_path / "link", str, follow=True) == "x"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_no_part_of_a_path_may_be_a_link(tmp_path: Path) -> None:
    """Neither the file nor a folder above it, up to the root."""
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "log").touch()
    os.close(open_below(tmp_path / "run", "logs/log", os.O_WRONLY | os.O_CREAT))
    (tmp_path / "run" / "away").symlink_to(tmp_path / "outside")
    (tmp_path / "run" / "logs" / "link").symlink_to(tmp_path / "outside" / "log")
    for name in ("away/log", "logs/link"):
        with pytest.raises(OSError, match=r"."):
            open_below(tmp_path / "run", name, os.O_WRONLY | os.O_CREAT)
