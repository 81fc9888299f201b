"""Reading files that another program could have written."""

from __future__ import annotations

import ast
import os
import resource
import time
from collections.abc import Mapping
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
NOT_OURS = ("emulator", "testing")
ALLOWED = {
    "azureml/deployments.py": "a file of a package that was written just now",
    "azureml/node/job.py": "the system's list of processes",
    "azureml/pins.py": "the pinned files of a mounted dataset, of which the first bytes are read",
    "azureml/runs/staging.py": "the user's own script folder, and the package's source",
    "azureml/uploads.py": "files that are sent, not parsed",
    "azureml/v1/models.py": "files that are sent, not parsed",
    "azureml/v2/storage.py": "files that are sent, not parsed",
    "cli/pipes.py": "standard streams that were closed",
    "dask/mirror.py": "the log of a run, and what was received of it",
    "dask/tracker.py": "a record that this program has written",
    "data/decompressed.py": "a file that it makes",
    "data/folders.py": "IDX files, whose size was checked",
    "data/image_folder/reading.py": "images: regular files, of which Pillow may decode so many pixels",
    "data/importing/array_files.py": "arrays that the user names, read in pieces, never unpickled",
    "data/importing/csv_rows.py": "lines of bounded length",
    "data/importing/csv_table.py": "a file that the user names, read line by line; a pipe is welcome",
    "data/importing/parquet.py": "a file that the user names, read in pieces by pyarrow",
    "data/importing/spool.py": "a file of its own",
    "data/packing.py": "files that were verified, and an archive of them",
    "data/web/package_index.py": "a wheel whose sha256 is pinned",
    "data/web/recipes.py": "downloads whose sha256 is pinned",
    "estimators/rows.py": "a temporary file of its own",
    "evaluation/images.py": "arrays: regular files, mapped",
    "evaluation/results.py": "model files, whose size was checked",
    "jobs/named.py": "an option of the command line",
    "jobs/source_code.py": "the user's own modules, which were imported",
    "runs/folder/dispatcher.py": "orders of the program that started it",
    "local/deployments.py": "the response of a server of its own",
    "mlflow/flavor.py": "files that are being registered, and those that MLflow hands over",
    "models/archives.py": "archives within bounded bytes: the module checks them",
    "models/persistence.py": "a pickle that the caller allowed, in bounded bytes",
    "models/skops_schema.py": "JSON in an archive, of which size and nesting were bounded before",
    "registry/files.py": "copies that were verified by sha256",
    "registry/manifest.py": "bytes that the registry read, checked value by value",
    "reports/data.py": "pictures of bounded size",
    "reports/drawing.py": "pictures that were drawn here",
    "reports/overview.py": "files of the package",
    "reports/page.py": "a file of the package",
    "runs/folder/child.py": "messages of the supervisor's own child",
    "runs/folder/index.py": "rows that are left out unless they are of the types that it wrote",
    "runs/folder/owner.py": "the system's id of its boot",
    "runs/folder/packing.py": "an archive in bounded bytes; regular files to pack",
    "runs/folder/processes.py": "standard streams",
    "serving/calling.py": "a response of bounded size",
    "serving/packaging.py": "files of the package",
    "serving/schema.py": "requests, bounded and strict in their own way",
    "serving/smoke.py": "responses of the program's own application",
    "tracking/registration.py": "model files, whose size was checked, or pickles that the caller allowed",
    "utils/documents.py": "the one place",
    "utils/files.py": "a folder or a file of its own that is flushed",
    "utils/regular.py": "the one place",
}
_PARSERS = {"json", "tomllib", "tomli", "toml", "yaml", "pickle", "joblib", "np", "numpy"}
_OPENERS = {"open", "FileIO", "ZipFile", "memmap", "fromfile", "loadtxt", "genfromtxt"}


def reads(source: str) -> list[int]:
    """Return the lines of a module that parse a document, or open a file for anything but writing."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Attribute, ast.Name)):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else function.id
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
        texts = [each for each in [*node.args, *(key.value for key in node.keywords)] if isinstance(each, ast.Constant)]
        writes = any(isinstance(each.value, str) and each.value[:1] in {"w", "a", "x"} for each in texts)
        writes = writes or any(flag in ast.unparse(node) for flag in ("O_WRONLY", "_CREATE_FLAGS", "O_DIRECTORY"))
        is_parser = name == "JSONDecoder" or (name in {"load", "loads"} and owner in _PARSERS)
        is_reader = name == "read_bytes" or (name == "read_text" and owner)  # without one it is that of `documents`
        if is_parser or is_reader or (name in _OPENERS and not writes):
            found.append(node.lineno)
    return found


@frozen
class Value:
    """A value of each type that is checked."""

    number: int
    share: float
    text: str
    flag: bool
    names: tuple[str, ...] = ()
    by_name: Mapping[str, int] = {}


def test_nothing_else_reads_documents() -> None:
    """A module that reads a file of another program's does so through `documents` and `regular` in `mnistkit.utils`."""
    modules = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    ours = {name: path for name, path in modules.items() if not name.startswith(NOT_OURS)}
    assert {name for name, path in ours.items() if reads(path.read_text(encoding="utf-8"))} == ALLOWED.keys()


@pytest.mark.parametrize(
    "line",
    [
        "json.load(stream)", "json.JSONDecoder()", "tomllib.loads(text)", "path.read_bytes()", "(a / b).read_text()",
        "open(path)", "open(path, 'rb')", "path.open()", "path.open(mode='r')", "io.open(path)",
        "os.open(path, os.O_RDONLY)", "np.load(path)", "numpy.load(path)", "gzip.open(path)",
        "zipfile.ZipFile(path)", "FileIO(path)", "np.memmap(path)",
    ],
)  # fmt: skip
def test_each_way_of_reading_is_found(line: str) -> None:
    """The test above would find it."""
    assert reads(f"def f():\n    return {line}") == [2]


@pytest.mark.parametrize("line", ["read_text(path)", "path.open('xb')", "open(path, 'w')", "os.open(p, os.O_WRONLY)"])
def test_the_one_way_and_writing_are_not_found(line: str) -> None:
    """`read_text` of this library, and files that are made."""
    assert reads(line) == []


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


@pytest.mark.parametrize(
    "text",
    [
        "a = [" * 5000,
        "a" * 2_000_000,
        "a = 1\na = 2",
        "[a" * 1000,
        "a." * 500_000 + "b = 1",
        "[" + "a." * 500_000 + "b]",
        '"a b". ' * 100_000 + "b = 1",
        "'a\\'. " * 100_000 + "b = 1",
        'a = """' + '\\"""' * 200_000,
        "a = { " + "a." * 500_000 + "b = 1 }",
        '# "\n' + "a." * 500_000 + "b = 1",
    ],
)
def test_strange_toml_is_refused(text: str) -> None:
    """Whatever is wrong, it is one error of ours, in time."""
    start = time.monotonic()
    with pytest.raises(DataFormatError):
        parse_toml(text, "it")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "change",
    [{"number": True}, {"number": 1.0}, {"number": "1"}, {"share": "nan"}, {"share": True}, {"share": None},
     {"text": 1}, {"text": None}, {"flag": 1}, {"flag": "no"}, {"more": 1}, {"names": "ab"}, {"names": {"a": 1}},
     {"names": [1]}, {"names": None}, {"by_name": []}, {"by_name": [["a", 1]]}, {"by_name": {"a": "1"}}]
)  # fmt: skip
def test_values_of_other_types_are_refused(change: dict[str, Any]) -> None:
    """Nothing is converted silently."""
    import json

    plain = {"number": 1, "share": 0.5, "text": "x", "flag": False}
    assert from_json(json.dumps(plain), Value, "it") == Value(1, 0.5, "x", False)
    with pytest.raises(DataFormatError, match="it"):
        from_json(json.dumps({**plain, **change}), Value, "it")


@pytest.mark.parametrize("value", ['"' + "x" * 10**5 + '"', "[" + "[]," * 10**5 + "[]]", "[" + "1," * 10**5 + "1]"])
@pytest.mark.parametrize("kind", [tuple[Value, ...], dict[str, Value], Value])
def test_wrong_types_are_found_in_time(value: str, kind: Any) -> None:
    """One error, with a message that can be read, however many values are wrong."""
    start = time.process_time()
    with pytest.raises(DataFormatError) as error:
        from_json(value, kind, "it")
    assert time.process_time() - start < 1
    assert len(str(error.value)) < 3000


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
